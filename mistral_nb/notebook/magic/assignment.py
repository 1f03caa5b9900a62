"""``plan << %mistral one-line prompts too``, and prompts that end with a question mark.

Keeps to itself: how IPython turns its own syntax into Python; to IPython, a line that ends with "?" asks for help on its last word.
Promises: strings, comments and the body of a cell magic are left alone; ``%mistral?`` still shows the help.
"""

from tokenize import TokenInfo
from typing import Any, Self

from IPython.core.inputtransformer2 import TokenTransformBase, assemble_continued_line, find_end_of_continued_line
from IPython.core.interactiveshell import InteractiveShell


class MistralLine(TokenTransformBase):
    """Turns ``%mistral TEXT``, also behind ``NAME =`` and ``NAME <<``, into a call of the line magic."""

    priority = 1  # before IPython's help, which begins at the same place

    def __init__(self, first: TokenInfo, percent: TokenInfo) -> None:
        super().__init__(first.start)  # type: ignore[no-untyped-call]  # IPython has no types here
        self._percent_column = percent.start[1]

    @classmethod
    def find(cls, tokens_by_line: list[list[TokenInfo]]) -> Self | None:
        """Return the first such line of a cell."""
        for line in tokens_by_line:
            tokens = [token for token in line if token.string.strip()]
            at = _magic(tokens)
            if at is not None:
                return cls(tokens[0], tokens[at])
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Return the cell's lines with this one replaced."""
        end = find_end_of_continued_line(lines, self.start_line)
        before = lines[self.start_line][: self._percent_column].rstrip(" \t")
        typed = assemble_continued_line(lines, (self.start_line, self._percent_column), end)
        target = f"{before[:-2]}= " if before.endswith("<<") else lines[self.start_line][: self._percent_column]
        call = f"{target}get_ipython().run_line_magic('mistral', {typed.removeprefix('%mistral').strip()!r})\n"
        return [*lines[: self.start_line], call, *lines[end + 1 :]]


def _magic(tokens: list[TokenInfo]) -> int | None:
    """Return where ``%mistral TEXT`` begins: at the line's beginning, or behind the first ``=`` or ``<<`` outside of brackets."""
    depth = 0
    for at, token in enumerate(tokens[:-1]):
        if token.string == "%" and tokens[at + 1].string == "mistral":
            is_first = at == 0 or tokens[at - 1].string in {"=", "<<"}
            is_one_word = token.end == tokens[at + 1].start
            has_text = any(further.string.strip("?") for further in tokens[at + 2 :])
            return at if is_first and is_one_word and has_text and depth == 0 else None
        if at and tokens[at - 1].string in {"=", "<<"} and depth == 0:
            return None
        depth += (token.string in {"(", "[", "{"}) - (token.string in {")", "]", "}"})
    return None


def register_assignment(shell: InteractiveShell) -> None:
    """Let this shell know the syntax; once, however often the extension is loaded."""
    known: list[Any] = shell.input_transformer_manager.token_transformers
    known[:] = [transformer for transformer in known if transformer.__name__ != MistralLine.__name__]
    known.append(MistralLine)
