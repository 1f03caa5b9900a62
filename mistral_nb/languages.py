"""Languages as people name them: a code, an English name, the language's own name.

Keeps to itself: the table `languages.toml`.
Promises: what is no language is refused with the nearest one, before anything is asked.
"""

import difflib
import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from mistral_nb.errors import InvalidOption

_TAG = re.compile(r"([A-Za-z]{2})[-_]([A-Za-z0-9_-]+)")


def language_name(language: Any, *, option: str) -> str:
    """Return what a model is told of a language, e.g. "French" for "fr", "French" or "français", "Portuguese (pt-BR)" for "pt-BR".

    Parameters
    ----------
    language
        An ISO 639-1 code, with or without a region or script; an English name; the language's own name; in any case.
    option
        The name of the option that it is the value of.

    Raises
    ------
    InvalidOption
        It is none of these.

    Examples
    --------
    >>> language_name("de", option="to"), language_name("Deutsch", option="to"), language_name("zh-Hant", option="to")
    ('German', 'German', 'Chinese (zh-Hant)')
    """
    code_of, name_of = _tables()
    if isinstance(language, str):
        wanted = " ".join(language.split())
        code = code_of.get(wanted.casefold())
        if code is not None:
            return name_of[code]
        tag = _TAG.fullmatch(wanted)
        if tag is not None and tag[1].lower() in name_of:
            return f"{name_of[tag[1].lower()]} ({tag[1].lower()}-{tag[2].replace('_', '-')})"
        near = difflib.get_close_matches(wanted.casefold(), code_of, n=1, cutoff=0.7)
        hint = f"Did you mean {name_of[code_of[near[0]]]!r}? " if near else ""
    else:
        hint = ""
    raise InvalidOption(
        f"{option} is {language!r}, which is no language.",
        f'{hint}Give a code or a name, e.g. {option}="fr", {option}="French" or {option}="pt-BR".',
    )


@cache
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    """Return the code of each code and name (case-folded), and the English name of each code."""
    data = tomllib.loads(files("mistral_nb").joinpath("languages.toml").read_text(encoding="utf-8"))
    other: dict[str, str] = data.pop("other")
    name_of = {code: names[0] for code, names in data.items()}
    code_of = {name.casefold(): code for code, names in data.items() for name in names}
    return code_of | other | {code: code for code in data}, name_of
