"""Running cells of a shell, and looking at what they show."""

from typing import Any

from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

from mistral_nb.completion import Completion


def ask(shell: InteractiveShell, line: str, cell: str) -> str:
    """Run ``%%mistral`` and return what it prints."""
    with capture_output() as captured:
        shell.run_cell_magic("mistral", line, cell)
    return captured.stdout


def line(shell: InteractiveShell, text: str) -> tuple[Any, str]:
    """Run ``%mistral`` and return its value and what it prints."""
    with capture_output() as captured:
        value = shell.run_line_magic("mistral", text)
    return value, captured.stdout


def displays(shell: InteractiveShell, cell: str, line: str = "") -> list[RichOutput]:
    """Run ``%%mistral`` and return what it displays."""
    with capture_output() as captured:
        shell.run_cell_magic("mistral", line, cell)
    return captured.outputs


def run(shell: InteractiveShell, code: str) -> tuple[Any, str]:
    """Run a cell as the user does; return the result and what it prints."""
    with capture_output() as captured:
        result = shell.run_cell(code, store_history=True)
    return result, captured.stdout


def kept(shell: InteractiveShell, name: str = "answer") -> Completion:
    """Return the variable that a cell has set."""
    return shell.user_ns[name]


def offered(shell: InteractiveShell, code: str) -> set[str]:
    """Return what Tab offers, as whole texts of the cell, at the mark ``|``."""
    cursor = code.index("|")
    text = code.replace("|", "")
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, cursor))
    return {text[: one.start] + one.text for one in found}
