import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from mistral_nb import errors
from mistral_nb.notebook.magic.fill_in_middle import around_gap
from tests.fake_api import FakeApi, Fault
from tests.notebook.cells import kept, run

CODE = "def total(prices):\n    <FILL>\n    return result"


@pytest.mark.parametrize(
    ("cell", "before", "after"),
    [
        (CODE, "def total(prices):\n    ", "\n    return result"),
        ("a\n    # <FILL>\nb", "a\n    ", "\nb"),
        ("a\n<FILL>\nold = 1\n</FILL>\nb", "a\n", "\nb"),
        ("a\n# <FILL>\nold = 1\n# </FILL>\nb", "a\n", "\nb"),
        ("a = <FILL>", "a = ", ""),
    ],
)
def test_the_gap_is_found(cell: str, before: str, after: str) -> None:
    assert around_gap(cell) == (before, after)


@pytest.mark.parametrize("cell", ["x = 1", "<FILL> <FILL>", "</FILL> <FILL>", "<FILL></FILL></FILL>"])
def test_without_one_gap_it_says_how_to_mark_one(cell: str) -> None:
    with pytest.raises(errors.InvalidOption, match="Mark one gap"):
        around_gap(cell)


def test_what_stands_around_the_gap_is_sent(api: FakeApi, notebook: InteractiveShell) -> None:
    run(notebook, f"%%mistral_fim\n{CODE}")
    body = api.requests[0].body

    assert (body["model"], body["prompt"], body["suffix"]) == (
        "codestral-latest",
        "def total(prices):\n    ",
        "\n    return result\n",
    )


def test_the_whole_code_goes_into_a_cell_below(api: FakeApi, notebook: InteractiveShell) -> None:
    api.play(Fault(content="result = sum(prices)"))
    run(notebook, f"%%mistral_fim\n{CODE}")

    assert notebook.rl_next_input == "def total(prices):\n    result = sum(prices)\n    return result"


def test_the_filling_is_shown_as_code_with_a_footer(api: FakeApi, notebook: InteractiveShell) -> None:
    api.play(Fault(content="result = sum(prices)"))
    with capture_output() as captured:
        notebook.run_cell(f"%%mistral_fim\n{CODE}")
    shown = captured.outputs[-1].data["text/plain"]

    assert shown.startswith("```python\nresult = sum(prices)\n```\n\ncodestral-latest · ")


def test_the_filling_is_kept(api: FakeApi, notebook: InteractiveShell) -> None:
    api.play(Fault(content="result = sum(prices)"))
    run(notebook, f"%%mistral_fim --out filling --max-tokens 20\n{CODE}")

    assert kept(notebook, "filling").text == "result = sum(prices)"
    assert api.requests[0].body["max_tokens"] == 20


def test_an_error_fails_the_cell(api: FakeApi, notebook: InteractiveShell) -> None:
    result, printed = run(notebook, f"%%mistral_fim -m mistral-small-latest\n{CODE}")

    assert isinstance(result.error_in_exec, errors.MistralNotebookError)
    assert len(printed.splitlines()) < 8
