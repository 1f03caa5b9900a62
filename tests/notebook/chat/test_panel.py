import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import mistral_nb
from mistral_nb import errors
from tests.engine.row_runs import until
from tests.fake_api import FakeApi, Fault
from tests.notebook.chat.page import PATIENCE_SECONDS, Page

Opened = Callable[..., Page]
SLOW = {"content": "some words " * 2_000, "bytes_per_second": 20_000}


def sent(api: FakeApi, number: int = -1) -> list[Any]:
    return [message["content"] for message in api.requests[number].body["messages"]]


@mistral_nb.tool
def weather(city: str) -> str:
    """Return the weather."""
    return "sunny"


class TestAnswers:
    def test_a_question_of_the_page_is_answered(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        page.asks("How many towns?")
        turn = page.ended(1)

        assert turn["parts"] == [{"kind": "text", "text": "Answer to: How many towns?"}]
        assert turn["footer"].startswith("mistral-small-latest · ")

    def test_the_page_hears_which_of_its_drafts_was_taken(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        page.asks("Hello", draft="7")
        page.ended(1)

        assert [message["draft"] for message in page.of_kind("turn") if message.get("draft")] == ["7"]

    def test_a_question_that_comes_twice_is_asked_once(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        message = {"kind": "ask", "text": "Hello", "draft": "d", "images": [], "page": "a", "number": 1}
        page.arrives(message)
        page.arrives(message)
        page.ended(1)

        assert sent(api) == ["Hello"]

    def test_a_page_is_told_what_became_of_the_questions_it_asks_after(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        page.asks("Hello", draft="taken")
        page.asks(" ", draft="refused")
        page.hello("taken", "refused", "never came")
        became = page.of_kind("snapshot")[-1]["drafts"]

        assert became.keys() == {"taken", "refused"}
        assert became["taken"] is None
        assert became["refused"]["kind"] == "EmptyPrompt"

    def test_an_answer_comes_in_pieces(self, api: FakeApi, opened: Opened) -> None:
        rest = threading.Event()
        api.play(Fault(content="some words " * 20, rest_waits_for=rest))
        page = opened()
        page.asks("Hello")
        came = page.until(lambda: page.text(1))
        rest.set()
        page.ended(1)

        assert 0 < len(came) < len(page.text(1))
        assert page.of_kind("piece")
        assert page.text(1) == "some words " * 20

    def test_earlier_turns_are_sent_along(self, api: FakeApi, opened: Opened) -> None:
        page = opened(system="Be brief.")
        page.panel.ask("One?")
        page.panel.ask("Two?")

        assert sent(api) == ["Be brief.", "One?", "Answer to: One?", "Two?"]

    def test_asking_from_a_cell_returns_the_turn(self, api: FakeApi, opened: Opened) -> None:
        panel = opened().panel
        turn = panel.ask("Hello")

        assert (turn.text, turn.state) == ("Answer to: Hello", "done")
        assert panel.last == turn

    def test_messages_are_those_of_the_api(self, api: FakeApi, opened: Opened) -> None:
        panel = opened(system="Be brief.").panel
        panel.ask("Hello")

        assert [message["role"] for message in panel.messages] == ["system", "user", "assistant"]

    def test_thoughts_are_told_apart(self, api: FakeApi, opened: Opened) -> None:
        page = opened(reasoning_effort="high")
        page.asks("Think of a town.")
        turn = page.ended(1)

        assert [part["kind"] for part in turn["parts"]] == ["thinking", "text"]


class TestFailing:
    def test_an_error_is_shown_with_its_remedy_and_the_question_stays(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(status=401))
        page = opened()
        page.asks("Hello")
        turn = page.ended(1)

        assert (turn["state"], turn["error"]["kind"], turn["question"]) == ("failed", "InvalidKey", "Hello")
        assert "console.mistral.ai" in turn["error"]["remedy"]

    def test_an_error_fails_the_cell_that_asked(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(status=401))

        with pytest.raises(errors.InvalidKey):
            opened().panel.ask("Hello")

    def test_a_retry_takes_the_place_of_what_failed(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(status=401))
        page = opened()
        page.asks("Hello")
        page.ended(1)
        page.says("retry", turn=1, model=None)
        page.ended(2)

        assert [turn["question"] for turn in page.turns.values()] == ["Hello"]
        assert page.text(2) == "Answer to: Hello"

    def test_an_empty_question_is_refused_and_its_draft_named(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        page.asks("  ", draft="3")

        assert page.received[-1]["draft"] == "3"
        assert page.received[-1]["error"]["kind"] == "EmptyPrompt"

    def test_what_came_before_a_connection_broke_is_kept_and_sent_along(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(content="first words " * 200, truncate_after_bytes=9_000, times=None, when="Broken"))
        page = opened()
        page.asks("Broken")
        turn = page.ended(1)
        page.panel.ask("And then?")

        assert turn["state"] == "failed"
        assert sent(api)[0] == "Broken"
        assert sent(api)[1].startswith("first words ")

    def test_a_message_that_nobody_knows_does_nothing(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        before = len(page.received)
        page.says("dance", turn="x")

        assert len(page.received) == before


class TestStopping:
    def test_stop_closes_the_request_and_keeps_what_has_come(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(**SLOW))
        page = opened()
        page.asks("Hello")
        page.until(lambda: page.text(1))
        page.says("stop", turn=1)
        turn = page.ended(1)

        assert turn["state"] == "stopped"
        assert turn["note"] == "Stopped before the end."
        assert 0 < len(page.text(1)) < len(SLOW["content"])
        assert page.panel.conversation.wait_until_idle(PATIENCE_SECONDS)
        until(lambda: api.stats.in_flight == 0)

    def test_what_was_stopped_is_sent_along_next_time(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(**SLOW))
        page = opened()
        page.asks("Hello")
        page.until(lambda: page.text(1))
        page.says("stop", turn=1)
        page.ended(1)
        page.panel.ask("Go on")

        assert sent(api) == ["Hello", page.text(1), "Go on"]

    def test_stop_ends_the_wait_for_an_answer_that_has_not_begun(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(delay_seconds=600))
        page = opened()
        page.asks("Hello")
        page.until(lambda: page.turns[1]["state"] == "running")
        page.says("stop", turn=1)

        assert page.ended(1)["state"] == "stopped"

    def test_a_tool_that_runs_does_not_hold_up_a_stop(self, api: FakeApi, opened: Opened) -> None:
        is_over = threading.Event()

        @mistral_nb.tool
        def weather(city: str) -> str:
            """Return the weather."""
            is_over.wait(600)
            return "sunny"

        page = opened(tools=[weather])
        page.asks("What is the weather in Paris?")
        page.until(lambda: page.turns[1]["parts"])
        page.says("stop", turn=1)
        turn = page.ended(1)
        is_over.set()

        assert (turn["state"], turn["parts"][0]["state"]) == ("stopped", "stopped")

    def test_a_second_question_waits_for_the_first(self, api: FakeApi, opened: Opened) -> None:
        rest = threading.Event()
        api.play(Fault(content="some words", rest_waits_for=rest))
        page = opened()
        page.asks("One?", draft="1")
        page.asks("Two?", draft="2")
        waiting = page.turns[2]["state"]
        rest.set()
        page.ended(2)

        assert waiting == "queued"
        assert page.text(2) == "Answer to: Two?"

    def test_a_question_that_waits_can_be_taken_back(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(**SLOW))
        page = opened()
        page.asks("One?", draft="1")
        page.asks("Two?", draft="2")
        page.until(lambda: page.text(1))
        page.says("stop", turn=2)
        page.says("stop", turn=1)
        page.ended(1)

        assert (page.turns[2]["state"], page.turns[2]["note"]) == ("stopped", "Not sent.")
        assert len(api.requests) == 1

    def test_closing_the_panel_stops_its_answer(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(**SLOW))
        page = opened()
        page.asks("Hello")
        page.until(lambda: page.text(1))
        page.panel.close()
        page.panel.conversation.wait_until_idle(PATIENCE_SECONDS)

        assert page.panel.turns[0].state == "stopped"

    def test_what_had_come_when_the_panel_was_closed_is_in_its_transcript(self, api: FakeApi, opened: Opened) -> None:
        transcripts: list[str] = []
        api.play(Fault(content="some words " * 100, rest_waits_for=threading.Event()))
        page = opened()
        page.panel._below = SimpleNamespace(update=lambda bundle, raw: transcripts.append(bundle["text/plain"]))
        page.asks("Hello")
        page.until(lambda: "some words" in page.text(1))
        page.panel.close()
        page.panel.conversation.wait_until_idle(PATIENCE_SECONDS)

        assert "some words" in transcripts[-1]

    def test_an_interrupt_of_the_cell_that_asks_stops_the_answer(
        self, api: FakeApi, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.play(Fault(**SLOW))
        page = opened()

        def interrupted(turn_id: int, seconds: float | None = None) -> bool:
            monkeypatch.undo()
            page.until(lambda: page.text(1))
            raise KeyboardInterrupt

        monkeypatch.setattr(page.panel.conversation._worker, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            page.panel.ask("Hello")

        assert page.turns[1]["state"] == "stopped"

    def test_other_settings_do_not_cut_an_answer_that_is_under_way(self, api: FakeApi, opened: Opened) -> None:
        rest = threading.Event()
        api.play(Fault(content="some words " * 20, rest_waits_for=rest))
        page = opened()
        page.asks("Hello")
        page.until(lambda: page.text(1))
        mistral_nb.configure(model="mistral-large-latest")
        mistral_nb.session()
        rest.set()

        assert page.ended(1)["state"] == "done"

    def test_two_panels_answer_at_the_same_time(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(delay_seconds=600, when="slow"))
        slow, quick = opened(), opened()
        slow.asks("slow")
        slow.until(lambda: slow.turns[1]["state"] == "running")
        quick.asks("quick")

        assert quick.ended(1)["state"] == "done"


class TestTools:
    def test_a_call_is_shown_as_it_happens(self, api: FakeApi, opened: Opened) -> None:
        page = opened(tools=[weather])
        page.asks("What is the weather in Paris?")
        page.ended(1)
        states = [part["state"] for message in page.of_kind("turn") for part in message["turn"]["parts"][:1]]

        assert states[0] == "running"
        assert states[-1] == "done"
        assert page.turns[1]["parts"][0]["result"] == "sunny"
        assert page.text(1) == "The tool says: sunny"

    def test_calls_and_results_are_sent_along(self, api: FakeApi, opened: Opened) -> None:
        page = opened(tools=[weather])
        page.panel.ask("What is the weather in Paris?")
        page.panel.ask("Thanks")
        roles = [message["role"] for message in api.requests[-1].body["messages"]]

        assert roles == ["user", "assistant", "tool", "assistant", "user"]

    @pytest.mark.parametrize(("is_allowed", "state"), [(True, "done"), (False, "denied")])
    def test_a_tool_that_needs_consent_waits_for_the_page(
        self, api: FakeApi, opened: Opened, *, is_allowed: bool, state: str
    ) -> None:
        page = opened(tools=[mistral_nb.tool(confirm=True)(new_weather())])
        page.asks("What is the weather in Paris?")
        call = page.until(lambda: next((part for part in page.turns[1]["parts"] if part["state"] == "asking"), None))
        page.says("consent", call=call["id"], isAllowed=is_allowed)

        assert page.ended(1)["parts"][0]["state"] == state

    def test_asked_from_a_cell_without_a_person_a_tool_that_needs_consent_is_denied(
        self, api: FakeApi, opened: Opened
    ) -> None:
        turn = opened(tools=[mistral_nb.tool(confirm=True)(new_weather())]).panel.ask("What is the weather in Paris?")

        assert turn.steps[0].was_denied

    def test_what_a_tool_raises_is_shown(self, api: FakeApi, opened: Opened) -> None:
        @mistral_nb.tool
        def weather(city: str) -> str:
            """Return the weather."""
            raise KeyError(city)

        page = opened(tools=[weather])
        page.asks("What is the weather in Paris?")
        call = page.ended(1)["parts"][0]

        assert (call["state"], call["result"].startswith("KeyError")) == ("failed", True)


def new_weather() -> Callable[[str], str]:
    """Return a function of its own: marking one marks it for good."""

    def weather(city: str) -> str:
        """Return the weather."""
        return "sunny"

    return weather


class TestTheConversation:
    def test_an_edited_question_drops_what_follows(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        for question in ("One?", "Two?", "Three?"):
            page.panel.ask(question)
        page.says("edit", turn=2, text="Deux?", draft="9")
        page.ended(4)

        assert [turn["question"] for turn in page.turns.values()] == ["One?", "Deux?"]
        assert sent(api) == ["One?", "Answer to: One?", "Deux?"]

    def test_a_retry_may_ask_another_model(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        page.panel.ask("Hello")
        page.says("retry", turn=1, model="large")
        page.ended(2)

        assert api.requests[-1].body["model"] == "mistral-large-latest"
        assert page.panel.model == "mistral-small-latest"

    def test_the_model_can_be_changed_in_the_page(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        page.says("model", model="large")
        page.panel.ask("Hello")

        assert page.facts["model"] == "mistral-large-latest"
        assert api.requests[-1].body["model"] == "mistral-large-latest"

    def test_a_cleared_conversation_is_not_sent_along(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        page.panel.ask("One?")
        page.says("clear")
        page.panel.ask("Two?")

        assert sent(api) == ["Two?"]
        assert [turn["question"] for turn in page.turns.values()] == ["Two?"]

    def test_a_page_that_opens_in_the_middle_of_an_answer_catches_up(self, api: FakeApi, opened: Opened) -> None:
        rest = threading.Event()
        api.play(Fault(content="some words " * 40, rest_waits_for=rest))
        page = opened()
        page.asks("Hello")
        page.until(lambda: page.text(1))
        page.hello()
        told = page.of_kind("snapshot")[-1]["turns"][0]["parts"][0]["text"]
        rest.set()
        page.ended(1)

        assert told != "some words " * 40
        assert told.startswith("some")
        assert page.text(1) == "some words " * 40

    def test_other_settings_hold_from_the_next_question_on(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        page.panel.ask("One?")
        mistral_nb.configure(model="mistral-large-latest")
        page.panel.ask("Two?")

        assert api.requests[-1].body["model"] == "mistral-large-latest"


class TestTheWindow:
    def test_the_oldest_turns_are_left_out_and_counted(
        self, api: FakeApi, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = opened(system="Be brief.", max_tokens=20)
        for question in ("One?", "Two?", "Three?"):
            page.panel.ask(question)
        monkeypatch.setattr("mistral_nb.notebook.context_window.window_tokens", lambda model, session: 48)
        turn = page.panel.ask("Four?")

        assert turn.left_out == 2
        assert sent(api) == ["Be brief.", "Three?", "Answer to: Three?", "Four?"]

    def test_a_pinned_turn_stays(self, api: FakeApi, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
        page = opened(max_tokens=20)
        for question in ("One?", "Two?", "Three?"):
            page.panel.ask(question)
        page.says("pin", turn=1, isPinned=True)
        monkeypatch.setattr("mistral_nb.notebook.context_window.window_tokens", lambda model, session: 56)
        page.panel.ask("Four?")

        assert sent(api) == ["One?", "Answer to: One?", "Three?", "Answer to: Three?", "Four?"]

    def test_a_model_that_says_the_prompt_is_too_long_is_sent_less(self, api: FakeApi, opened: Opened) -> None:
        page = opened()
        for question in ("One?", "Two?", "Three?"):
            page.panel.ask(question)
        too_long = {
            "object": "error",
            "message": "Prompt contains 99 tokens, too large for model with 9 maximum context length",
        }
        api.play(Fault(status=400, body={**too_long, "type": "invalid_request", "code": "3051"}))
        turn = page.panel.ask("Four?")

        assert (turn.state, turn.left_out) == ("done", 2)
