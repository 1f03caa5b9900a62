import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import mistral_nb
from mistral_nb import errors
from mistral_nb.notebook import context_window
from tests.fake_api import FakeApi, Fault
from tests.notebook.cells import ask, displays, line


def contents(api: FakeApi, number: int = -1) -> list[str]:
    return [message["content"] for message in api.requests[number].body["messages"]]


def test_a_session_sends_its_earlier_turns(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session review", "One?")
    ask(shell, "--session review", "Two?")

    assert contents(api) == ["One?", "Answer to: One?", "Two?"]


def test_another_session_does_not(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session review", "One?")
    ask(shell, "--session other", "Two?")

    assert contents(api) == ["Two?"]


def test_the_footer_says_how_many_turns_were_sent(api: FakeApi, notebook: InteractiveShell) -> None:
    ask(notebook, "--session review", "One?")
    shown = displays(notebook, "Two?", "--session review")[-1]

    assert "session review: 1 earlier turn sent" in shown.data["text/plain"]
    assert shown.metadata["mistral_nb"]["turns_sent"] == 1


def test_a_session_keeps_its_system_message(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session review -s 'Be brief.'", "One?")
    ask(shell, "--session review", "Two?")

    assert contents(api)[0] == "Be brief."


def test_a_session_outlives_other_settings(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session review", "One?")
    mistral_nb.configure(model="mistral-large-latest")
    ask(shell, "--session review", "Two?")

    assert len(contents(api)) == 3


def test_a_session_outlives_loading_the_extension_again(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session review", "One?")
    with capture_output():
        shell.run_line_magic("reload_ext", "mistral_nb")
    ask(shell, "--session review", "Two?")

    assert len(contents(api)) == 3


def test_a_question_that_failed_is_no_turn(api: FakeApi, shell: InteractiveShell) -> None:
    api.play(Fault(status=400, body={"message": "no"}))
    with pytest.raises(errors.RequestRejected):
        ask(shell, "--session review", "One?")
    ask(shell, "--session review", "Two?")

    assert contents(api) == ["Two?"]


def test_tool_calls_are_part_of_the_turn(api: FakeApi, shell: InteractiveShell) -> None:
    def weather(city: str) -> str:
        """Return the weather."""
        return "sunny"

    shell.user_ns["weather"] = weather
    ask(shell, "--session trip --tools weather", "What is the weather in Paris?")
    ask(shell, "--session trip", "And then?")

    assert [message["role"] for message in api.requests[-1].body["messages"]] == [
        "user", "assistant", "tool", "assistant", "user",
    ]  # fmt: skip


def test_the_oldest_turns_are_left_out_when_the_window_is_full(
    api: FakeApi, notebook: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_window, "window_tokens", lambda model, session: 120)
    for _ in range(3):
        ask(notebook, "--session long --max-tokens 10", "word " * 30)
    shown = displays(notebook, "And now?", "--session long --max-tokens 10")[-1].data["text/plain"]

    assert len(contents(api)) == 3
    assert "1 earlier turn sent, 2 older left out (too long for the model's window)" in shown


def test_a_model_that_says_it_is_too_long_is_sent_fewer_turns(api: FakeApi, notebook: InteractiveShell) -> None:
    for number in range(4):
        ask(notebook, "--session long", f"Question {number}?")
    api.play(Fault(status=400, body={"message": "This model's maximum context length is 10 tokens"}))
    shown = displays(notebook, "And now?", "--session long")[-1].data["text/plain"]

    assert len(contents(api)) == 5
    assert "2 earlier turns sent, 2 older left out" in shown


def test_a_question_that_is_too_long_alone_fails(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session long", "One?")
    api.play(Fault(status=400, body={"message": "This model's maximum context length is 10 tokens"}, times=None))

    with pytest.raises(errors.PromptTooLong):
        ask(shell, "--session long", "Two?")


def test_sessions_are_listed(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session review", "One?")
    ask(shell, "--session review", "Two\nlines?")

    assert line(shell, "sessions")[1] == "review: 2 turns, mistral-small-latest, last: Two lines?\n"


def test_one_session_is_forgotten_by_name(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session one", "Hello")
    ask(shell, "--session two", "Hello")

    assert line(shell, "reset one")[1] == "Forgotten: one.\n"
    assert line(shell, "sessions")[1].startswith("two: 1 turn,")


def test_all_sessions_are_forgotten(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session one", "Hello")

    assert line(shell, "reset")[1] == "Forgotten: one.\n"
    assert "no sessions yet" in line(shell, "sessions")[1]


def test_an_unknown_session_is_not_forgotten_silently(api: FakeApi, shell: InteractiveShell) -> None:
    ask(shell, "--session review", "Hello")

    with pytest.raises(errors.InvalidOption, match="Did you mean 'review'"):
        line(shell, "reset reviw")
