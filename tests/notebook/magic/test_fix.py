import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from mistral_nb import errors
from mistral_nb.notebook.magic.fix import MOST_CHARACTERS_OF_A_CELL, FailedCell, question_about
from tests.fake_api import FakeApi, Fault
from tests.notebook.cells import line, run

FIXED = "You divided by zero.\n```python\ntotal = 1\n```"


def question(api: FakeApi) -> str:
    messages = api.requests[-1].body["messages"]
    content: str = messages[-1]["content"]
    return content


class TestAsking:
    def test_the_cell_and_its_exception_are_sent(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "total = 1 / 0")
        line(shell, "fix")

        assert "```python\ntotal = 1 / 0\n```" in question(api)
        assert "ZeroDivisionError: division by zero" in question(api)

    def test_what_is_sent_is_shown(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "total = 1 / 0")
        _, printed = line(shell, "fix")

        assert all(message["content"] in printed for message in api.requests[-1].body["messages"])

    def test_a_cell_is_proposed_below(self, api: FakeApi, notebook: InteractiveShell) -> None:
        run(notebook, "total = 1 / 0")
        api.play(Fault(content=FIXED))
        run(notebook, "%mistral fix")

        assert notebook.rl_next_input == "total = 1"
        assert "total" not in notebook.user_ns

    def test_a_hint_goes_along(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "total = 1 / 0")
        line(shell, "fix -m large and don't use division")

        assert question(api).endswith("and don't use division")
        assert api.requests[-1].body["model"] == "mistral-large-latest"

    def test_the_cell_of_a_function_that_failed_goes_along(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "def share(part, whole):\n    return part / whole")
        run(shell, "share(1, 0)")
        line(shell, "fix")

        assert "It uses this cell:\n\n```python\ndef share(part, whole):" in question(api)
        assert "line 2, in share: return part / whole" in question(api)

    def test_a_cell_that_is_no_python_is_explained_too(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "def f(:\n    pass")
        line(shell, "fix")

        assert "```python\ndef f(:\n    pass\n```" in question(api)
        assert "SyntaxError" in question(api)

    def test_values_of_variables_stay_here(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "password = 'hunter2'")
        run(shell, "len(password) / 0")
        line(shell, "fix")

        assert "hunter2" not in question(api)

    def test_braces_of_the_cell_are_no_variables(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "town = 'Lyon'")
        run(shell, "f'{town}' / 0")
        line(shell, "fix")

        assert "f'{town}' / 0" in question(api)

    def test_the_key_is_not_sent(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, f"key = '{api.api_key}' / 0")
        _, printed = line(shell, "fix")

        assert api.api_key not in question(api) + printed

    def test_a_dry_run_sends_nothing(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "total = 1 / 0")
        line(shell, "fix --dry-run")

        assert api.requests == []

    def test_a_fix_that_fails_is_not_what_is_fixed_next(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "total = 1 / 0")
        api.play(Fault(status=400, body={"message": "no"}))
        run(shell, "%mistral fix")
        line(shell, "fix")

        assert "total = 1 / 0" in question(api)

    def test_nothing_to_fix_is_said(self, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr("sys.last_value", raising=False)
        with pytest.raises(errors.InvalidOption, match="No cell has failed yet"):
            line(shell, "fix")


def test_a_failure_from_before_the_extension_was_loaded_is_known(api: FakeApi, bare_shell: InteractiveShell) -> None:
    with capture_output():
        bare_shell.run_cell("total = 1 / 0")
        bare_shell.run_line_magic("load_ext", "mistral_nb")
    line(bare_shell, "fix")

    assert "```python\ntotal = 1 / 0\n```" in question(api)


def test_a_long_cell_is_cut_and_says_so() -> None:
    sent = question_about(FailedCell(source="x" * 20_000, error=ValueError("no")))

    assert len(sent) < MOST_CHARACTERS_OF_A_CELL + 500
    assert "(12,000 characters more)" in sent
