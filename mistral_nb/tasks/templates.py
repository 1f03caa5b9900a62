"""A prompt with places for the values of columns.

Keeps to itself: how places are written and read.
Promises: values are put in once and never read again, so braces inside of them stay what they are; nothing is evaluated, no
attribute and no item is looked up. What is wrong with a template is said before anything is asked.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mistral_nb.errors import InvalidTemplate, UnknownColumn

# Doubled braces stand for one; a place is whatever else stands between two.
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_EXAMPLE = 'e.g. "Write a {tone} reply to: {review}"'


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt in pieces; made with `parsed_template`.

    Attributes
    ----------
    text
        As it was typed.
    fields
        The columns that it takes values from, each once, in order of appearance.
    """

    text: str
    fields: tuple[str, ...]

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the prompt with each place filled; places without a value stay as they are written."""

        def replaced(match: re.Match[str]) -> str:
            name = match[1]
            return match[0][0] if name is None else values.get(name, match[0])

        return _TOKEN.sub(replaced, self.text)


def parsed_template(text: object, columns: Sequence[object]) -> Template:
    """Return the template for a frame with these columns.

    Raises
    ------
    InvalidTemplate
        It is no text, it is blank, it names no column, or a brace stands alone.
    UnknownColumn
        It names a column that there is not, or one that there is more than once.
    """
    if not isinstance(text, str):
        raise InvalidTemplate(f"The template is a {type(text).__name__}.", f"Give a text, {_EXAMPLE}.")
    if not text.strip():
        raise InvalidTemplate("The template is empty.", f"Say what is asked of each row, {_EXAMPLE}.")
    fields: list[str] = []
    for match in _TOKEN.finditer(text):
        if match[0] in ("{", "}"):
            shown = text[max(0, match.start() - 20) : match.end() + 20]
            raise InvalidTemplate(
                f"A brace stands alone in {shown!r}.", "Write {{ and }} for braces that name no column."
            )
        if match[1] is not None and match[1] not in fields:
            _check_column(match[1], columns)
            fields.append(match[1])
    if not fields:
        raise InvalidTemplate(
            f"The template names no column: {text[:80]!r}.",
            f"Put a column's name in braces, {_EXAMPLE}. There are: {_listed(columns)}.",
        )
    return Template(text, tuple(fields))


def _check_column(name: str, columns: Sequence[object]) -> None:
    times = list(columns).count(name)
    if times == 1:
        return
    if times:
        raise UnknownColumn(f"{times} columns are named {name!r}.", "Rename them, so that each name is used once.")
    near = difflib.get_close_matches(name.strip(), map(str, columns), n=1)
    hint = f"Did you mean {{{near[0]}}}? " if near else ""
    raise UnknownColumn(
        f"The template names {{{name}}}, and there is no column {name!r}.",
        f"{hint}There are: {_listed(columns)}. Braces that name no column are written {{{{ and }}}}.",
    )


def _listed(columns: Iterable[object]) -> str:
    return ", ".join(map(str, columns)) or "none"
