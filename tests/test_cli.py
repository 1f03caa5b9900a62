import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mistral_nb
from mistral_nb import cli
from mistral_nb.backends.embedded import download as download_module
from mistral_nb.errors import MistralNotebookError

pytestmark = pytest.mark.usefixtures("_no_downloads")


@pytest.fixture
def _no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test reach for the real sources."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a test started a real download")

    monkeypatch.setattr(download_module, "download", refuse)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Note what would be downloaded, and do nothing."""
    plans: list[object] = []

    def note(plan: object, *, on_progress: object) -> None:
        plans.append(plan)

    monkeypatch.setattr(download_module, "download", note)
    return plans


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("builtins.input", lambda question: text)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["version"])

    assert capsys.readouterr().out == f"mistral_nb {mistral_nb.__version__}\n"


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).parent / "mistral-nb"
    ended = subprocess.run([command, "version"], capture_output=True, text=True, check=True)

    assert ended.stdout == f"mistral_nb {mistral_nb.__version__}\n"


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main([])
    assert "COMMAND" in capsys.readouterr().err


class TestDownloading:
    def test_a_download_says_what_it_is_before_it_asks(
        self, downloads: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        answer(monkeypatch, "y")
        cli.main(["download-model", "local-tiny"])

        printed = capsys.readouterr().out
        assert all(word in printed for word in ("SmolLM2-135M-Instruct", "98 MB", "Apache-2.0"))

    @pytest.mark.parametrize("said", ["y", "yes", " Y "])
    def test_a_yes_downloads(self, downloads: list[object], monkeypatch: pytest.MonkeyPatch, said: str) -> None:
        answer(monkeypatch, said)

        assert (cli.main(["download-model", "local-tiny"]), len(downloads)) == (0, 1)

    @pytest.mark.parametrize("said", ["", "n", "what?"])
    def test_anything_else_downloads_nothing(
        self, downloads: list[object], monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        answer(monkeypatch, said)

        assert (cli.main(["download-model", "local-tiny"]), downloads) == (1, [])

    def test_without_a_terminal_nothing_is_downloaded(
        self, downloads: list[object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_terminal(question: str) -> str:
            raise EOFError

        monkeypatch.setattr("builtins.input", no_terminal)

        assert (cli.main(["download-model", "local-tiny"]), downloads) == (1, [])

    def test_an_agreement_on_the_command_line_is_not_asked_for_again(
        self, downloads: list[object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr("builtins.input")

        assert (cli.main(["download-model", "local-tiny", "--yes"]), len(downloads)) == (0, 1)

    def test_an_unknown_model_is_answered_with_the_list(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="2"):
            cli.main(["download-model", "mistral-small"])
        assert "local-small" in capsys.readouterr().err


class TestFailing:
    def test_an_error_is_one_message_with_its_remedy(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(options: object) -> int:
            raise MistralNotebookError("It went wrong.", "Do this.")

        monkeypatch.setattr(cli, "_version", fail)

        assert (cli.main(["version"]), capsys.readouterr().err) == (1, "mistral-nb: It went wrong.\nDo this.\n")

    def test_ctrl_c_ends_with_the_code_that_shells_expect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(options: object) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr(cli, "_version", interrupt)

        assert cli.main(["version"]) == 130

    def test_a_demo_without_weights_says_what_to_paste(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

        assert cli.main(["demo"]) == 1
        assert "mistral-nb download-model local-small" in capsys.readouterr().err

    @pytest.mark.parametrize("number", ["0", "-1", "many"])
    def test_a_demo_of_no_summaries_is_refused(self, number: str) -> None:
        with pytest.raises(SystemExit, match="2"):
            cli.main(["demo", "--summaries", number])


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["serve", "--port", port])


class TestDemo:
    @pytest.fixture
    def printed(self, embedded: Path, capsys: pytest.CaptureFixture[str]) -> str:
        assert cli.main(["demo", "--model", "local-tiny", "--tickets", "24", "--summaries", "2"]) == 0
        return capsys.readouterr().out

    def test_the_demo_prints_accuracy_seconds_receipt_and_bill(self, printed: str) -> None:
        assert all(
            word in printed
            for word in (
                "24 support tickets",
                "ticket  text",
                "right (",
                " s; ",
                "Receipt for classify with mistral-small-latest: nothing was sent.",
                "Bill: $0 for",
                "On mistral-small-latest about $0.0",
            )
        )

    def test_the_commands_that_it_names_in_the_end_are_there(self, printed: str) -> None:
        named = re.findall(r"mistral-nb (.*?)  ", printed.partition("Where to go next:")[2])

        assert len(named) == 2
        assert all(cli._parser().parse_args(command.split()) for command in named)


def test_characters_that_the_terminal_lacks_do_not_end_the_command() -> None:
    script = "from mistral_nb import cli; cli._version = lambda options: print('64,90 €') or 0; cli.main(['version'])"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)

    assert ended.stdout == "64,90 ?\n"
