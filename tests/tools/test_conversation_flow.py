"""Events, interrupts, loops and consent: how a conversation with tools runs."""

import asyncio
import signal
import threading
from contextlib import closing
from typing import Any

import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.tools.conversation import stream_with_tools
from mistral_nb.tools.records import AnswerPiece, CallFinished, CallStarted, Finished
from tests.fake_api import FakeApi
from tests.tools.said import asked_for, calls, lookup_owner, weather


@pytest.mark.parametrize("is_split", [False, True])
def test_calls_are_streamed_whole_or_in_pieces(impatient: None, is_split: bool) -> None:
    with FakeApi(is_tool_call_split=is_split) as api:
        mistral_nb.configure(endpoint=api.url, api_key=api.api_key)

        answer = mistral_nb.chat_with_tools("lookup_owner id: 42, weather city: Rome", tools=[lookup_owner, weather])

    assert [(step.name, step.arguments) for step in answer.steps] == [
        ("lookup_owner", {"id": "42"}),
        ("weather", {"city": "Rome"}),
    ]


def test_events_come_in_order(api: FakeApi) -> None:
    kinds = [type(event) for event in stream_with_tools("lookup_owner, id: 42", [lookup_owner])]

    first_call, finish = kinds.index(CallStarted), kinds.index(CallFinished)
    assert set(kinds[:first_call]) == {AnswerPiece}
    assert finish == first_call + 1
    assert set(kinds[finish + 1 : -1]) == {AnswerPiece}
    assert kinds[-1] is Finished


def test_the_pieces_of_the_last_round_are_the_answer(api: FakeApi) -> None:
    events = list(stream_with_tools("lookup_owner, id: 42", [lookup_owner]))

    pieces = [event for event in events if isinstance(event, AnswerPiece) and event.round == 2]
    assert "".join(piece.delta.text for piece in pieces) == "The tool says: Ada Lovelace"


def test_every_event_is_told_to_who_asked_for_it(api: FakeApi) -> None:
    told: list[Any] = []

    answer = mistral_nb.chat_with_tools("lookup_owner, id: 42", tools=[lookup_owner], on_event=told.append)

    assert told[-1] == Finished(answer=answer)


def test_after_leaving_early_nothing_more_is_sent(api: FakeApi) -> None:
    with closing(stream_with_tools("lookup_owner, id: 42", [lookup_owner])) as events:
        next(event for event in events if isinstance(event, CallFinished))

    assert len(api.requests) == 1


def test_an_interrupt_does_not_wait_for_the_functions(api: FakeApi) -> None:
    goes_on = threading.Event()

    def hang() -> None:
        signal.raise_signal(signal.SIGINT)
        goes_on.wait(timeout=30)

    try:
        with pytest.raises(KeyboardInterrupt):
            mistral_nb.chat_with_tools("hang", tools=[hang])
        assert len(api.requests) == 1
    finally:
        goes_on.set()


def test_a_tool_can_ask_a_model_itself(api: FakeApi) -> None:
    def summarize(text: str) -> str:
        return mistral_nb.session().complete(f"Short: {text}").text

    (step,) = mistral_nb.chat_with_tools("summarize text: rain", tools=[summarize]).steps

    assert step.result == "Answer to: Short: rain"


async def ask_lookup_owner() -> str:
    return str(mistral_nb.chat_with_tools("lookup_owner, id: 42", tools=[lookup_owner]))


async def ask_lookup_owner_aside() -> str:
    return await asyncio.to_thread(asyncio.run, ask_lookup_owner())


def test_a_plain_function_can_use_tools_itself(api: FakeApi) -> None:
    def ask_lookup_owner_plainly() -> str:
        return asyncio.run(ask_lookup_owner())

    tools = [ask_lookup_owner_plainly, ask_lookup_owner_aside]
    answer = mistral_nb.chat_with_tools("ask_lookup_owner_plainly, ask_lookup_owner_aside", tools=tools)

    assert [step.result for step in answer.steps] == ["The tool says: Ada Lovelace"] * 2


def test_an_async_tool_that_would_wait_for_its_own_loop_is_told_so(api: FakeApi) -> None:
    (step,) = mistral_nb.chat_with_tools("ask_lookup_owner", tools=[ask_lookup_owner]).steps

    assert type(step.exception) is errors.NotSupported


def test_an_async_tool_keeps_its_loop_from_call_to_call(api: FakeApi) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def notice() -> None:
        loops.append(asyncio.get_running_loop())

    for _ in range(2):
        mistral_nb.chat_with_tools("notice", tools=[notice])

    assert loops[0] is loops[1]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (False, "Error: Denied: The person whose notebook this is did not allow the call."),
        ("Not on Fridays.", "Error: Denied: Not on Fridays."),
        (1, "Error: Denied: The person whose notebook this is did not allow the call."),
    ],
)
def test_a_denied_call_is_not_made(api: FakeApi, said: Any, reason: str) -> None:
    made: list[str] = []

    @mistral_nb.tool(confirm=True)
    def close_account(id: str) -> None:  # noqa: A002
        made.append(id)

    (step,) = mistral_nb.chat_with_tools("close_account id: 42", tools=[close_account], confirm=lambda call: said).steps

    assert (made, step.was_denied, step.result) == ([], True, reason)


def test_who_is_asked_sees_the_call(api: FakeApi) -> None:
    asked: list[str] = []

    @mistral_nb.tool(confirm=True)
    def close_account(id: str) -> str:  # noqa: A002
        return f"closed {id}"

    def allow(call: Any) -> bool:
        asked.append(str(call))
        return True

    answer = mistral_nb.chat_with_tools("close_account id: 42", tools=[close_account], confirm=allow)

    assert (asked, answer.steps[0].result) == (['close_account(id="42")'], "closed 42")


def test_nobody_is_asked_about_arguments_that_do_not_fit(api: FakeApi) -> None:
    api.play(calls(asked_for("close_account", {"nr": 42})))

    @mistral_nb.tool(confirm=True)
    def close_account(id: str) -> None:  # noqa: A002
        raise AssertionError

    def never(call: Any) -> bool:
        raise AssertionError

    (step,) = mistral_nb.chat_with_tools("Hello", tools=[close_account], confirm=never).steps

    assert not step.was_denied


def test_without_anybody_to_ask_the_call_is_denied(api: FakeApi) -> None:
    @mistral_nb.tool(confirm=True)
    def close_account(id: str) -> None:  # noqa: A002
        raise AssertionError

    (step,) = mistral_nb.chat_with_tools("close_account id: 42", tools=[close_account]).steps

    assert (step.was_denied, "nobody to ask" in step.result) == (True, True)


def test_a_frames_tools_are_given_as_one_kit(api: FakeApi) -> None:
    df = mistral_nb.load_sample("tickets")

    answer = mistral_nb.chat_with_tools("tickets_describe", tools=[mistral_nb.frame_tools(df, name="tickets"), weather])

    assert answer.steps[0].result.startswith(f"{len(df)} rows, 6 columns\n")
