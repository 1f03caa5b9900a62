"""How long an answer may be, in words and in tokens, and what else is said of it.

Promises: pure checks that name the option and its value.
"""

import operator
from typing import Any

from mistral_nb.errors import InvalidOption

# What an answer usually has, and what it may have: words of the longest languages take about four tokens.
TOKENS_PER_WORD = 2
_MOST_TOKENS_PER_WORD = 6
_SPARE_TOKENS = 40


def most_tokens(max_words: int) -> int:
    """Return the `max_tokens` of an answer of so many words, with room for one that runs over."""
    return max_words * _MOST_TOKENS_PER_WORD + _SPARE_TOKENS


def checked_count(number: Any, *, name: str = "max_words") -> int:
    """Return the number; InvalidOption when it is not a whole one from 1 up."""
    if not hasattr(number, "__index__") or isinstance(number, bool) or number < 1:
        raise InvalidOption(f"{name} is {number!r}.", f"Give a whole number from 1 up, e.g. {name}=15.")
    return operator.index(number)


def checked_instructions(instructions: Any, *, name: str = "instructions") -> str:
    """Return what the user adds to the prompt, "" for None; InvalidOption for what is blank or no text."""
    if instructions is None:
        return ""
    if not isinstance(instructions, str) or not instructions.strip():
        raise InvalidOption(
            f"{name} is {instructions!r}.", f'Say in words what you want, e.g. {name}="…", or leave it out.'
        )
    return instructions.strip()
