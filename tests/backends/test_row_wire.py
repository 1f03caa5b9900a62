"""The rows' own wire gives what the SDK's gives, sends nothing else, and keeps its connections."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from mistral_nb.api_key import SecretKey
from mistral_nb.backends.endpoint import Endpoint
from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.backends.row_wire import LARGE_BODY_BYTES, RowWire, json_body
from mistral_nb.completion import Completion, CompletionRequest
from mistral_nb.errors import InvalidInput, InvalidOption
from tests.backends.hosting import MODEL, WEATHER, ask, ask_transport, chat_body, question
from tests.backends.loopback import http_response, loopback
from tests.fake_api import FakeApi, Fault

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"label": {"type": "string", "enum": ["billing", "bug"]}},
            "required": ["label"],
            "additionalProperties": False,
        },
    },
}
REQUESTS = {
    "text": question("Où est ma facture ? 🧾"),
    "options": question(temperature=0.2, top_p=0.5, max_tokens=9, stop=("END",), random_seed=7),
    "schema": question("The bill is wrong.", response_format=SCHEMA),
    "reasoning": question("one two three", options={"reasoning_effort": "high"}),
    "several choices": question(options={"n": 2}),
    "tool calls": question("weather in Paris?", tools=(WEATHER,), tool_choice="any"),
    "list content": question(
        messages=(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]},
        )
    ),
}


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


def without_chance(completion: Completion) -> Completion:
    """Return the completion without what differs between two answers to the same request."""
    return replace(completion, response_id=None, correlation_id=None, latency_seconds=0.0, rate_limits=None)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_row_gets_the_completion_that_the_sdk_gives(fake: FakeApi, request_: CompletionRequest) -> None:
    async def both(backend: HostedBackend) -> tuple[Completion, Completion]:
        return await backend.complete_row(request_), await backend.complete(request_)

    row, through_the_sdk = ask(fake, both)

    assert without_chance(row) == without_chance(through_the_sdk)
    assert row.text or row.tool_calls


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_what_is_sent_is_the_request_body(fake: FakeApi, request_: CompletionRequest) -> None:
    ask(fake, lambda backend: backend.complete_row(request_))

    assert fake.requests[-1].body == request_.body()


def test_an_answer_has_what_the_headers_say(fake: FakeApi) -> None:
    fake.play(Fault(headers={"x-ratelimit-remaining-req-minute": "3", "mistral-correlation-id": "to-quote"}))

    completion = ask(fake, lambda backend: backend.complete_row(question()))

    assert completion.rate_limits is not None
    assert (completion.rate_limits.remaining_requests, completion.correlation_id) == (3, "to-quote")
    assert (bool(completion.response_id), completion.latency_seconds > 0) == (True, True)


def test_concurrent_rows_get_their_own_answers(fake: FakeApi) -> None:
    async def many(backend: HostedBackend) -> list[Completion]:
        return await asyncio.gather(*(backend.complete_row(question(str(number))) for number in range(50)))

    assert [answer.text for answer in ask(fake, many)] == [f"Answer to: {number}" for number in range(50)]


def test_a_row_needs_no_sdk(fake: FakeApi) -> None:
    script = f"""
import asyncio, sys
from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.completion import CompletionRequest

async def main():
    backend = HostedBackend(endpoint={fake.url!r}, api_key={fake.api_key!r})
    request = CompletionRequest(model={MODEL!r}, messages=({{"role": "user", "content": "hi"}},))
    print((await backend.complete_row(request)).text)
    await backend.aclose()

asyncio.run(main())
print([name for name in ("mistralai", "pydantic", "httpx2") if name in sys.modules])
"""

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ)
    )

    assert done.stdout.splitlines() == ["Answer to: hi", "[]"]


def test_an_option_that_the_api_does_not_have_is_named_before_anything_is_sent(fake: FakeApi) -> None:
    with pytest.raises(InvalidOption, match="no option 'temprature'"):
        ask(fake, lambda backend: backend.complete_row(question(options={"temprature": 1})))

    assert fake.requests == []


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), float("inf"), object()])
def test_an_option_that_json_can_not_hold_is_named_as_such(fake: FakeApi, value: Any) -> None:
    with pytest.raises(InvalidOption, match="can't be sent as JSON"):
        ask(fake, lambda backend: backend.complete_row(question(options={"metadata": {"x": value}})))

    assert fake.requests == []


def test_a_value_without_an_end_can_not_be_sent() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(InvalidOption, match="can't be sent as JSON"):
        json_body({"metadata": endless})


def test_half_a_surrogate_pair_is_no_text(fake: FakeApi) -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        ask(fake, lambda backend: backend.complete_row(question("a\ud83d")))

    assert fake.requests == []


def test_a_large_text_is_sent_without_a_warning(fake: FakeApi) -> None:
    text = "word " * (LARGE_BODY_BYTES // 5 + 1)

    with FakeApi(context_window=10_000_000) as roomy:
        assert ask(roomy, lambda backend: backend.complete_row(question(text))).text


def test_the_deprecation_of_a_model_is_announced_once_for_both_wires(
    fake: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    fake.play(Fault(headers={"x-model-deprecation-timestamp": "2026-12-01T00:00:00Z"}, times=None))

    async def several(backend: HostedBackend) -> None:
        for answer in (backend.complete_row, backend.complete_row, backend.complete):
            await answer(question())

    ask(fake, several)

    assert [record.getMessage() for record in caplog.records] == [
        f"The API will remove the model {MODEL} on 2026-12-01T00:00:00Z."
    ]


def test_rows_one_after_another_share_one_connection() -> None:
    async def five_rows() -> int:
        async with loopback(http_response(json.dumps(chat_body()).encode())) as server:
            backend = HostedBackend(endpoint=f"http://127.0.0.1:{server.port}", api_key="a-key-of-a-test")
            for _ in range(5):
                await backend.complete_row(question())
            await backend.aclose()
            return server.connections

    assert asyncio.run(five_rows()) == 1


def test_each_request_has_the_key_and_says_that_it_is_json() -> None:
    async def head() -> str:
        async with loopback(http_response(json.dumps(chat_body()).encode())) as server:
            backend = HostedBackend(endpoint=f"http://127.0.0.1:{server.port}/", api_key="a-key-of-a-test")
            await backend.complete_row(question())
            await backend.aclose()
            return server.requests[0]

    lines = asyncio.run(head()).splitlines()

    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert {"Authorization: Bearer a-key-of-a-test", "Content-Type: application/json"} <= set(lines)


def test_a_closed_backend_opens_again_when_it_is_asked(fake: FakeApi) -> None:
    async def ask_close_ask(backend: HostedBackend) -> list[str]:
        first = await backend.complete_row(question("hi"))
        await backend.aclose()
        return [first.text, (await backend.complete_row(question("hi"))).text]

    assert ask(fake, ask_close_ask) == ["Answer to: hi"] * 2


def test_a_wire_that_is_asked_on_another_loop_opens_anew(fake: FakeApi) -> None:
    wire = RowWire(endpoint=Endpoint(fake.url, SecretKey(fake.api_key)), timeout_seconds=10)

    fake.play(Fault(headers={"connection": "close"}))  # so that the first loop leaves nothing open

    first = asyncio.run(wire.complete(question("hi")))

    async def ask_and_close() -> str:
        answer = await wire.complete(question("hi"))
        await wire.aclose()
        return answer.text

    assert [first.text, asyncio.run(ask_and_close())] == ["Answer to: hi"] * 2


def test_a_transport_of_the_tests_serves_rows_too() -> None:
    answer = ask_transport(
        lambda request: httpx2.Response(200, json=chat_body()), lambda backend: backend.complete_row(question())
    )

    assert answer.text == "Hello."
