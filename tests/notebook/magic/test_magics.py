import os
import re
import signal
import threading
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

import mistral_nb
from mistral_nb import errors
from mistral_nb.backends import event_stream
from mistral_nb.backends.embedded import process
from mistral_nb.completion import TokenUsage
from mistral_nb.notebook.magic.answer_view import AnswerView
from tests.fake_api import FakeApi, Fault
from tests.notebook.cells import ask, displays, kept, line, run

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


class TestLoading:
    def loaded(self, shell: InteractiveShell) -> str:
        with capture_output() as captured:
            shell.run_line_magic("reload_ext", "mistral_nb")
        return captured.stdout

    def test_without_a_key_it_says_that_the_embedded_model_answers(self, shell: InteractiveShell) -> None:
        assert self.loaded(shell) == (
            "mistral_nb: the embedded local-small (Qwen2.5-Coder-0.5B-Instruct, q4_k_m) on this machine answers "
            "(no key found). Set MISTRAL_API_KEY for Mistral's own models. "
            "Its weights are not here yet; in a terminal: mistral-nb download-model local-small\n"
        )

    def test_weights_that_are_here_are_not_asked_for(self, shell: InteractiveShell, embedded: Path) -> None:
        assert "weights" not in self.loaded(shell)

    def test_with_a_key_it_says_which_hosted_model_answers(
        self, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MISTRAL_API_KEY", "k" * 32)

        assert self.loaded(shell) == (
            "mistral_nb: mistral-small-latest at https://api.mistral.ai answers (key found in MISTRAL_API_KEY).\n"
        )

    def test_it_says_who_answers_when_a_local_model_is_chosen_despite_a_key(
        self, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MISTRAL_API_KEY", "k" * 32)
        monkeypatch.setenv("MISTRAL_NB_MODEL", "local-tiny")

        assert (
            "local-tiny (SmolLM2-135M-Instruct, Q4_1) on this machine answers (MISTRAL_NB_MODEL is set)."
            in self.loaded(shell)
        )

    def test_it_says_when_the_engine_is_not_installed(
        self, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process, "ENGINE_PACKAGES", ("no_such_package",))

        assert '%pip install "mistral_nb[local]"' in self.loaded(shell)


class TestAsking:
    def test_the_cell_is_the_prompt(self, api: FakeApi, shell: InteractiveShell) -> None:
        ask(shell, "", "What is churn?")

        assert api.requests[0].body["messages"] == [{"role": "user", "content": "What is churn?"}]

    def test_every_option_reaches_the_request(self, api: FakeApi, shell: InteractiveShell) -> None:
        ask(shell, '-m large -s "Be brief." -t 0.2 --max-tokens 50', "Hello")

        body = api.requests[0].body
        assert {name: body[name] for name in ("model", "temperature", "max_tokens")} | {
            "system": body["messages"][0]
        } == {
            "model": "mistral-large-latest",
            "temperature": 0.2,
            "max_tokens": 50,
            "system": {"role": "system", "content": "Be brief."},
        }

    def test_guardrails_and_safety_instructions_reach_the_request(self, api: FakeApi, shell: InteractiveShell) -> None:
        shell.user_ns["rules"] = [{"block_on_error": True, "moderation_llm_v2": {"action": "block"}}]
        ask(shell, "--guardrails rules --safe-prompt", "Hello")

        body = api.requests[0].body
        assert body["safe_prompt"] is True
        assert body["guardrails"][0]["moderation_llm_v2"]["action"] == "block"

    @pytest.mark.parametrize("option", ['-s "You are terse"', "--system='You are terse'", '--system="You are terse"'])
    def test_quotes_hold_the_words_of_an_option_together(
        self, api: FakeApi, shell: InteractiveShell, option: str
    ) -> None:
        ask(shell, option, "Hello")

        assert api.requests[0].body["messages"][0]["content"] == "You are terse"

    def test_the_answer_is_kept_in_a_variable(self, api: FakeApi, shell: InteractiveShell) -> None:
        ask(shell, "--out answer", "Hello")

        assert (kept(shell).text, kept(shell).finish_reason) == ("Answer to: Hello", "stop")

    def test_the_kept_answer_knows_its_tokens(self, api: FakeApi, shell: InteractiveShell) -> None:
        ask(shell, "--out answer", "Hello")

        assert kept(shell).usage.total_tokens > 0

    def test_a_terminal_prints_the_answer_once(self, api: FakeApi, shell: InteractiveShell) -> None:
        assert ask(shell, "", "Hello").splitlines()[0] == "Answer to: Hello"

    def test_a_terminal_prints_the_footer_below(self, api: FakeApi, shell: InteractiveShell) -> None:
        assert ask(shell, "", "Hello").splitlines()[1].startswith("[mistral-small-latest · 6 tokens read, 4 written")

    def test_a_terminal_is_not_steered_by_an_answer(self, api: FakeApi, shell: InteractiveShell) -> None:
        api.play(Fault(content="\x1b[2Jcleared\x07"))

        assert ask(shell, "", "Hello").splitlines()[0] == "[2Jcleared"

    def test_a_notebook_ends_with_the_whole_answer(self, api: FakeApi, notebook: InteractiveShell) -> None:
        assert displays(notebook, "Hello")[-1].data["text/plain"].startswith("Answer to: Hello\n\n")

    def test_the_footer_says_who_answered_and_what_it_took(self, api: FakeApi, notebook: InteractiveShell) -> None:
        footer = displays(notebook, "Hello")[-1].data["text/plain"].splitlines()[-1]

        assert re.fullmatch(
            r"mistral-small-latest · 6 tokens read, 4 written · unknown price · first token after \d\.\d s, \d\.\d s · stop",
            footer,
        )

    def test_the_same_is_in_the_metadata_of_the_output(self, api: FakeApi, notebook: InteractiveShell) -> None:
        facts = displays(notebook, "Hello")[-1].metadata["mistral_nb"]

        assert {name: facts[name] for name in ("model", "prompt_tokens", "completion_tokens", "finish_reason")} == {
            "model": "mistral-small-latest",
            "prompt_tokens": 6,
            "completion_tokens": 4,
            "finish_reason": "stop",
        }

    def test_a_server_that_does_not_say_its_tokens_has_them_estimated(
        self, api: FakeApi, notebook: InteractiveShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(event_stream, "usage_from", lambda usage: TokenUsage())

        assert "about 2 tokens read, about 5 written" in displays(notebook, "Hello")[-1].data["text/plain"]

    def test_a_notebook_shows_a_placeholder_before_the_first_token(
        self, api: FakeApi, notebook: InteractiveShell
    ) -> None:
        assert displays(notebook, "Hello")[0].data["text/plain"] == "…"

    def test_a_notebook_updates_one_display(self, api: FakeApi, notebook: InteractiveShell) -> None:
        first, *rest = displays(notebook, "Hello")

        assert {output.transient["display_id"] for output in rest} == {first.transient["display_id"]}
        assert all(output.update for output in rest)

    def test_scripts_in_an_answer_are_shown_and_not_run(self, api: FakeApi, notebook: InteractiveShell) -> None:
        api.play(Fault(content="<script>alert(1)</script>"))

        assert "&lt;script&gt;" in displays(notebook, "Hello")[-1].data["text/html"]

    def test_a_question_that_fails_does_not_look_like_an_answer_that_stopped(
        self, api: FakeApi, notebook: InteractiveShell
    ) -> None:
        api.play(Fault(status=401, body={"detail": "Unauthorized"}))
        with capture_output() as captured, pytest.raises(errors.InvalidKey):
            notebook.run_cell_magic("mistral", "", "Hello")

        assert captured.outputs[-1].data["text/plain"] == ""

    def test_a_cut_answer_says_so(self, api: FakeApi, notebook: InteractiveShell) -> None:
        assert (
            "Cut at 2 tokens; raise --max-tokens"
            in displays(notebook, "Hello", "--max-tokens 2")[-1].data["text/plain"]
        )


class TestRefusals:
    @pytest.fixture
    def refused(self, api: FakeApi, notebook: InteractiveShell) -> list[RichOutput]:
        """Run a cell whose answer is filtered after its first words."""
        api.play(Fault(content="```python\nx = 1\n```", finish_reason="content_filter"))
        with capture_output() as captured, pytest.raises(errors.Refused, match="finish_reason 'content_filter'"):
            notebook.run_cell_magic("mistral", "--out answer --as code", "Hello")
        return list(captured.outputs)

    def test_the_cell_fails_and_says_so_below_what_had_come(self, refused: list[RichOutput]) -> None:
        shown = refused[-1].data["text/plain"]

        assert shown.startswith("```python\nx = 1\n```\n\n(Refused or broken off")

    def test_what_had_come_is_kept(self, refused: list[RichOutput], notebook: InteractiveShell) -> None:
        assert kept(notebook).finish_reason == "content_filter"

    def test_its_code_is_in_no_new_cell(self, refused: list[RichOutput], notebook: InteractiveShell) -> None:
        assert getattr(notebook, "rl_next_input", None) is None


class TestInterrupting:
    def test_a_stop_while_a_function_runs_is_no_empty_answer(self, api: FakeApi, notebook: InteractiveShell) -> None:
        stopped = threading.Event()

        def lookup(account: str) -> str:
            """Look it up."""
            os.kill(os.getpid(), signal.SIGINT)
            stopped.wait()
            return account

        notebook.user_ns["lookup"] = lookup
        with capture_output() as captured, pytest.raises(KeyboardInterrupt):
            notebook.run_cell_magic("mistral", "--tools lookup", "lookup 4")
        stopped.set()

        assert "(Stopped before the end.)" in captured.outputs[-1].data["text/plain"]

    @pytest.fixture
    def interrupted(
        self, api: FakeApi, notebook: InteractiveShell, monkeypatch: pytest.MonkeyPatch
    ) -> list[RichOutput]:
        """Interrupt a slow answer once its first words are here."""
        api.play(Fault(content="first words " * 50, bytes_per_second=2000))
        has_words = threading.Event()
        grow = AnswerView.grow

        def note_words(view: AnswerView, text: str, *, is_thinking: bool) -> None:
            grow(view, text, is_thinking=is_thinking)
            if text.startswith("first words"):
                has_words.set()

        def interrupt() -> None:
            has_words.wait()
            os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(AnswerView, "grow", note_words)
        reader = threading.Thread(target=interrupt)
        reader.start()
        with capture_output() as captured, pytest.raises(KeyboardInterrupt):
            notebook.run_cell_magic("mistral", "--out answer", "Hello")
        reader.join()
        return captured.outputs

    def test_an_interrupted_answer_is_kept_as_far_as_it_came(
        self, interrupted: list[RichOutput], notebook: InteractiveShell
    ) -> None:
        assert kept(notebook).text.startswith("first words")

    def test_an_interrupted_answer_is_marked(self, interrupted: list[RichOutput]) -> None:
        assert "Stopped before the end" in interrupted[-1].data["text/plain"]

    def test_the_tokens_of_an_interrupted_answer_are_estimated(
        self, interrupted: list[RichOutput], notebook: InteractiveShell
    ) -> None:
        facts = interrupted[-1].metadata["mistral_nb"]

        assert (facts["are_tokens_estimated"], facts["finish_reason"]) == (True, "interrupted")
        assert kept(notebook).usage.completion_tokens > 0

    def test_an_interrupt_closes_the_connection(self, interrupted: list[RichOutput], api: FakeApi) -> None:
        assert (api.stats.disconnects, api.stats.in_flight) == (1, 0)


def test_an_interrupted_cell_says_so_in_a_line(api: FakeApi, notebook: InteractiveShell) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnswerView, "grow", interrupt)
        result, printed = run(notebook, "%%mistral\nHello")

    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert printed.splitlines() == ["KeyboardInterrupt: stopped; the request is closed."]


class TestFailing:
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault(status=401, body={"detail": "Unauthorized"}), errors.InvalidKey),
            (Fault(status=400, body={"message": "Invalid model: x", "code": "1500"}), errors.UnknownModel),
            (Fault(status=503, body="{}", times=None), errors.ServerProblem),
            (Fault(error_frame_in_stream=True), errors.MistralNotebookError),
        ],
        ids=["key", "model", "server", "in the stream"],
    )
    def test_an_api_error_fails_the_cell(
        self, api: FakeApi, shell: InteractiveShell, fault: Fault, error: type[Exception]
    ) -> None:
        api.play(fault)
        with capture_output():
            result = shell.run_cell("%%mistral\nHello")

        assert isinstance(result.error_in_exec, error)

    def test_an_error_is_shown_without_our_own_frames(self, api: FakeApi, shell: InteractiveShell) -> None:
        api.play(Fault(status=401, body={"detail": "Unauthorized"}))
        with capture_output() as captured:
            shell.run_cell("%%mistral\nHello")

        assert "InvalidKey: The API did not accept the key" in captured.stdout
        assert len(captured.stdout.splitlines()) < 8

    def test_an_error_does_not_repeat_the_prompt(self, api: FakeApi, shell: InteractiveShell) -> None:
        api.play(Fault(status=401, body={"detail": "Unauthorized"}))
        _, printed = run(shell, "%%mistral\nA very long prompt")

        assert printed.startswith("InvalidKey: ")
        assert "very long prompt" not in printed

    def test_an_error_inside_of_a_function_shows_the_readers_lines(self, api: FakeApi, shell: InteractiveShell) -> None:
        api.play(Fault(status=401, body={"detail": "Unauthorized"}))
        run(shell, "def ask():\n    %mistral Hello there\n")
        _, printed = run(shell, "ask()")

        assert "<module>, line 1: ask()" in printed

    def test_debug_shows_all_frames(self, api: FakeApi, shell: InteractiveShell) -> None:
        api.play(Fault(status=401, body={"detail": "Unauthorized"}))
        _, printed = run(shell, "%%mistral --debug\nHello")

        assert "event_stream.py" in printed or "hosted.py" in printed

    def test_a_mistyped_option_fails_the_cell_as_an_error_does(self, shell: InteractiveShell) -> None:
        """IPython's own UsageError leaves no error in a notebook's outputs, and papermill would call the run a success."""
        result, printed = run(shell, "%%mistral --sesion x\nHello")

        assert isinstance(result.error_in_exec, errors.InvalidOption)
        assert "Did you mean '--session'?" in printed

    def test_an_answer_that_fails_does_not_overwrite_the_variable(self, api: FakeApi, shell: InteractiveShell) -> None:
        shell.user_ns["answer"] = "before"
        api.play(Fault(status=401, body={"detail": "Unauthorized"}))
        run(shell, "%%mistral --out answer\nHello")

        assert shell.user_ns["answer"] == "before"

    def test_an_error_never_shows_the_key(self, api: FakeApi, shell: InteractiveShell) -> None:
        api.play(Fault(status=401, body={"detail": f"Invalid API Key {api.api_key}"}))
        with capture_output() as captured:
            shell.run_cell("%%mistral\nHello")

        assert api.api_key not in captured.stdout + captured.stderr

    def test_an_empty_cell_says_what_to_write(self, shell: InteractiveShell) -> None:
        with pytest.raises(errors.EmptyPrompt, match="Write what you want to ask"):
            ask(shell, "", "  \n")

    def test_a_quote_left_open_is_refused(self, shell: InteractiveShell) -> None:
        with pytest.raises(errors.InvalidOption, match="No closing quotation"):
            ask(shell, '-s "Be brief', "Hello")

    def test_an_unknown_option_is_refused(self, shell: InteractiveShell) -> None:
        with pytest.raises(errors.InvalidOption, match="--temprature"):
            ask(shell, "--temprature 1", "Hello")

    @pytest.mark.parametrize("name", ["my-answer", "class", "2nd"])
    def test_a_variable_name_that_is_none_is_refused_before_anything_is_sent(
        self, api: FakeApi, shell: InteractiveShell, name: str
    ) -> None:
        with pytest.raises(errors.InvalidOption, match="is no variable name"):
            ask(shell, f"--out {name}", "Hello")
        assert api.requests == []

    def test_without_weights_the_error_has_the_line_to_paste(self, shell: InteractiveShell) -> None:
        with pytest.raises(errors.WeightsMissing, match="mistral-nb download-model local-small"):
            ask(shell, "", "Hello")


@pytest.mark.parametrize("typed", ["", "--help", "-h", "help"])
def test_the_magic_alone_shows_its_help(shell: InteractiveShell, typed: str) -> None:
    _, printed = line(shell, typed)

    assert all(word in printed for word in ("--model", "--session", "--dry-run", "%mistral fix", "%%mistral_fim"))


def test_asking_ipython_for_the_magic_shows_the_same_help(shell: InteractiveShell) -> None:
    help_text = shell.object_inspect("%%mistral")["docstring"]

    assert all(word in help_text for word in ("--json SCHEMA", "{name.attr}", "%mistral sessions"))


def test_the_readme_lists_exactly_the_options(shell: InteractiveShell) -> None:
    magic = shell.find_cell_magic("mistral")
    options = re.findall(r"^\| `(-[^`]*)`(?:, `(-[^`]*)`)?", README, re.MULTILINE)
    listed = {option.split()[0] for pair in options for option in pair if option}

    assert listed == set(magic.parser._option_string_actions)


def test_the_readme_lists_every_line_command(shell: InteractiveShell) -> None:
    commands = shell.magics_manager.registry["MistralMagics"].commands

    assert [name for name in commands if f"`%mistral {name}" not in README] == []


def test_the_embedded_model_answers_for_nothing(shell: InteractiveShell, embedded: Path) -> None:
    printed = ask(shell, "--max-tokens 5 --out answer", "Say hello.")

    assert "local-tiny" in printed
    assert " · $0 · " in printed
    assert kept(shell).usage.completion_tokens in range(1, 6)


def test_a_new_key_is_used_by_the_next_cell(api: FakeApi, shell: InteractiveShell) -> None:
    mistral_nb.configure(api_key="wrong-" + "k" * 20)
    with pytest.raises(errors.InvalidKey):
        ask(shell, "", "Hello")
    mistral_nb.configure(api_key=api.api_key)

    assert ask(shell, "", "Hello").startswith("Answer to: Hello\n")


def test_loading_twice_registers_once(shell: InteractiveShell) -> None:
    with capture_output():
        shell.run_line_magic("reload_ext", "mistral_nb")

    assert shell.find_cell_magic("mistral") is not None


def test_a_text_that_the_moderation_model_refuses_fails_the_cell_and_shows_nothing(
    api: FakeApi, shell: InteractiveShell
) -> None:
    mistral_nb.configure(moderate="input")

    with pytest.raises(errors.Refused), capture_output() as captured:
        shell.run_cell_magic("mistral", "", "I will attack you")
    assert captured.stdout == ""
