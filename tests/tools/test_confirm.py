import builtins
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from IPython.core import getipython
from IPython.core.error import StdinNotImplementedError
from nbclient import NotebookClient

from mistral_nb.tools.confirm import NOBODY_TO_ASK, ask_person
from mistral_nb.tools.records import Call

CALL = Call(id="aB3dE6gH9", name="close_account", arguments={"id": "42"}, round=1)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make IPython think that it is in a kernel."""
    monkeypatch.setattr(getipython, "get_ipython", lambda: SimpleNamespace(kernel=object()))


def answering(monkeypatch: pytest.MonkeyPatch, answer: str | Exception) -> list[str]:
    """Let a person answer; return the prompts."""
    prompts: list[str] = []

    def answered(prompt: str) -> str:
        prompts.append(prompt)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(builtins, "input", answered)
    return prompts


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    ("answer", "is_allowed"),
    [("y", True), (" Yes ", True), ("", False), ("n", False), ("yes please", False), ("1", False)],
)
def test_only_yes_allows(monkeypatch: pytest.MonkeyPatch, answer: str, is_allowed: bool) -> None:
    answering(monkeypatch, answer)

    assert ask_person(CALL) is is_allowed


@pytest.mark.usefixtures("kernel")
def test_the_prompt_shows_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = answering(monkeypatch, "n")
    ask_person(CALL)

    assert prompts == ['Run close_account(id="42")? [y/N] ']


@pytest.mark.usefixtures("kernel")
def test_the_prompt_can_not_be_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = answering(monkeypatch, "n")
    ask_person(Call(id="aB3dE6gH9", name="pay", arguments={"to": "x\n\x1b[1A\u202eharmless"}, round=1))

    assert prompts[0].isprintable()


@pytest.mark.usefixtures("kernel")
def test_what_the_prompt_does_not_show_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = answering(monkeypatch, "n")
    ask_person(Call(id="aB3dE6gH9", name="pay", arguments={"to": "x" * 10_000}, round=1))

    assert "more characters" in prompts[0]
    assert len(prompts[0]) < 2_200


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("error", [StdinNotImplementedError("no"), EOFError()])
def test_a_front_end_that_can_not_ask_denies(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    answering(monkeypatch, error)

    assert ask_person(CALL) == NOBODY_TO_ASK


@pytest.mark.parametrize("stdin", [None, SimpleNamespace(isatty=lambda: False)])
def test_a_script_without_a_terminal_denies(monkeypatch: pytest.MonkeyPatch, stdin: Any) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    prompts = answering(monkeypatch, "y")

    assert (ask_person(CALL), prompts) == (NOBODY_TO_ASK, [])


def test_a_terminal_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    answering(monkeypatch, "y")

    assert ask_person(CALL) is True


def test_a_notebook_that_runs_by_itself_denies() -> None:
    cell = """
from mistral_nb.tools.confirm import ask_person
from mistral_nb.tools.records import Call
print(ask_person(Call(id="aB3dE6gH9", name="close_account", arguments={}, round=1)))
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=120).execute()

    assert notebook.cells[0].outputs[0]["text"].strip() == NOBODY_TO_ASK
