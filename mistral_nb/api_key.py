"""An API key: held so that it does not show, and looked at for what makes it no key of Mistral's.

Keeps to itself: what keys of other products begin with (as published by their makers, 2026-08).
Promises: a key shows at most its last four characters, and that only of a long one; what is said of its shape never repeats it.
"""

import re
from typing import NoReturn

_SHORTEST_SHOWN = 12
_FOREIGN_PREFIXES = {
    "sk-ant-": "Anthropic",
    "sk-or-": "OpenRouter",
    "sk-": "OpenAI",
    "hf_": "Hugging Face",
    "gsk_": "Groq",
    "AIza": "Google",
    "ghp_": "GitHub",
    "github_pat_": "GitHub",
    "xai-": "xAI",
    "pplx-": "Perplexity",
    "AKIA": "AWS",
}


class SecretKey:
    """An API key that does not show itself: not in a repr, not in a pickle, not in a traceback that prints variables.

    Parameters
    ----------
    key
        White space around it is dropped.
    found_in
        Where it is from, in words that a message can show, e.g. "MISTRAL_API_KEY"; keys are equal without regard to it.
    """

    __slots__ = ("_key", "found_in")

    def __init__(self, key: str, *, found_in: str = "") -> None:
        self._key = key.strip()
        self.found_in = found_in

    def reveal(self) -> str:
        return self._key

    @property
    def tail(self) -> str:
        """The last four characters after an ellipsis; of a short key the ellipsis alone."""
        return f"…{self._key[-4:]}" if len(self._key) >= _SHORTEST_SHOWN else "…"

    def __repr__(self) -> str:
        return f"SecretKey('{self.tail}')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretKey) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> NoReturn:
        raise TypeError("An API key is not pickled; the other process reads its own environment.")


def unsendable_part(key: SecretKey) -> str | None:
    """Return what keeps the key from being any server's, in words; None when nothing does."""
    text = key.reveal()
    if re.search(r"\s", text):
        return "white space in its middle, as when two lines were copied"
    if not (text.isascii() and text.isprintable()):
        return "a character that no key has, such as an accent or a typographic dash"
    return None


def foreign_sign(key: SecretKey) -> str | None:
    """Return what makes the key look like none of Mistral's, in words; None when nothing does."""
    text = key.reveal()
    if text[:1] in {"'", '"'} or text[-1:] in {"'", '"'}:
        return "It begins or ends with a quotation mark: set the key without quotes."
    if text.lower().startswith("bearer"):
        return "It begins with 'Bearer': set the key alone."
    if text.startswith("MISTRAL_API_KEY"):
        return "It begins with 'MISTRAL_API_KEY': set what follows the equals sign."
    maker = next((maker for prefix, maker in _FOREIGN_PREFIXES.items() if text.startswith(prefix)), None)
    return f"It looks like a key of {maker}." if maker else None
