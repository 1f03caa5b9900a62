"""Streamed answers of the hosted backend: piece by piece, whole at the end, and let go of when the reader leaves."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx2
import pytest

from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.completion import Completion, ToolCall
from mistral_nb.errors import ConnectionLost, ServerProblem, UnknownModel
from tests.backends.hosting import WEATHER, ask, ask_transport, chat_body, deltas, question
from tests.fake_api import FakeApi, Fault


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


def test_a_stream_gives_the_same_answer_as_a_whole_one(fake: FakeApi) -> None:
    async def both(backend: HostedBackend) -> tuple[Completion, Completion]:
        streamed = Completion(text="", model="")
        async for delta in backend.stream(question("one two three")):
            streamed = streamed.extended_by(delta)
        return streamed, await backend.complete(question("one two three"))

    streamed, whole = ask(fake, both)

    assert (streamed.text, streamed.finish_reason, streamed.usage, streamed.model) == (
        whole.text,
        whole.finish_reason,
        whole.usage,
        whole.model,
    )


def test_a_streamed_answer_knows_when_its_first_piece_came(fake: FakeApi) -> None:
    async def streamed(backend: HostedBackend) -> Completion:
        answer = Completion(text="", model="")
        async for delta in backend.stream(question()):
            answer = answer.extended_by(delta)
        return answer

    answer = ask(fake, streamed)

    assert answer.first_token_seconds is not None
    assert 0 < answer.first_token_seconds <= answer.latency_seconds
    assert answer.correlation_id


def test_only_the_last_delta_ends_the_answer(fake: FakeApi) -> None:
    pieces = ask(fake, lambda backend: deltas(backend, question()))

    assert [piece.finish_reason for piece in pieces] == [None] * (len(pieces) - 1) + ["stop"]
    assert [piece.usage is not None for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@pytest.mark.parametrize("is_tool_call_split", [False, True])
def test_a_streamed_tool_call_comes_whole_in_the_last_delta(is_tool_call_split: bool) -> None:
    request = question("the weather in Paris", tools=(WEATHER,), tool_choice="any")

    async def both(backend: HostedBackend) -> tuple[list[tuple[ToolCall, ...]], Completion]:
        return [delta.tool_calls for delta in await deltas(backend, request)], await backend.complete(request)

    with FakeApi(is_tool_call_split=is_tool_call_split) as fake:
        streamed, whole = ask(fake, both)

    assert [calls for calls in streamed if calls] == [streamed[-1]]
    assert [(call.name, call.parsed_arguments()) for call in streamed[-1]] == [
        (call.name, call.parsed_arguments()) for call in whole.tool_calls
    ]


def test_a_server_that_does_not_stream_gives_one_delta() -> None:
    pieces = ask_transport(
        lambda request: httpx2.Response(200, json=chat_body()), lambda backend: deltas(backend, question())
    )

    assert [(piece.text, piece.finish_reason) for piece in pieces] == [("Hello.", "stop")]


def test_a_stream_that_is_cut_off_is_a_lost_connection(fake: FakeApi) -> None:
    fake.play(Fault(truncate_after_bytes=400))

    with pytest.raises(ConnectionLost):
        ask(fake, lambda backend: deltas(backend, question("one two three four five six")))


def test_a_stream_that_ends_in_order_but_too_early_is_a_lost_connection() -> None:
    chunk = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"He"},"finish_reason":null}]}\n\n'

    with pytest.raises(ConnectionLost, match="middle of the answer"):
        ask_transport(
            lambda request: httpx2.Response(200, content=chunk, headers={"content-type": "text/event-stream"}),
            lambda backend: deltas(backend, question()),
        )


def test_a_stream_may_end_without_an_empty_line() -> None:
    chunk = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"He"},"finish_reason":"stop"}]}'

    pieces = ask_transport(
        lambda request: httpx2.Response(200, content=chunk, headers={"content-type": "text/event-stream"}),
        lambda backend: deltas(backend, question()),
    )

    assert [(piece.text, piece.finish_reason) for piece in pieces] == [("He", None), ("", "stop")]


def test_an_error_inside_a_stream_is_the_error_it_says(fake: FakeApi) -> None:
    fake.play(
        Fault(error_frame_in_stream=True),
        Fault(error_frame_in_stream={"object": "error", "message": "Invalid model: x", "code": "1500"}),
    )
    for expected in (ServerProblem, UnknownModel):
        with pytest.raises(expected):
            ask(fake, lambda backend: deltas(backend, question()))


class Endless(httpx2.AsyncByteStream):
    """The events of an answer that has no end; `is_closed` tells whether the reader let go of it."""

    is_closed = False

    async def __aiter__(self) -> Any:
        for number in count(1):
            chunk = {"choices": [{"index": 0, "delta": {"content": str(number)}, "finish_reason": None}]}
            yield f"data: {json.dumps(chunk)}\n\n".encode()

    async def aclose(self) -> None:
        self.is_closed = True

    def response(self) -> httpx2.Response:
        return httpx2.Response(200, stream=self, headers={"content-type": "text/event-stream"})


def test_closing_a_stream_closes_its_connection() -> None:
    endless = Endless()

    async def first_of(backend: HostedBackend) -> str:
        stream = backend.stream(question())
        async for delta in stream:
            await stream.aclose()
            return delta.text
        raise AssertionError("no delta")

    assert (ask_transport(lambda request: endless.response(), first_of), endless.is_closed) == ("1", True)


def test_a_stream_that_is_interrupted_before_it_is_read_closes_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Endless()

    def interrupted(*arguments: Any, **named: Any) -> None:
        raise OSError("interrupted")

    monkeypatch.setattr("mistralai.client.chat.eventstreaming.EventStreamAsync", interrupted)

    with pytest.raises(ConnectionLost, match="interrupted"):
        ask_transport(lambda request: endless.response(), lambda backend: deltas(backend, question()))
    assert endless.is_closed
