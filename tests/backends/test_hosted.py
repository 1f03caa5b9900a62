"""The hosted backend against a server that behaves like the API."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from mistral_nb.backends.backend import Backend
from mistral_nb.backends.hosted import MAX_BATCH_BYTES, MAX_BATCH_TEXTS, HostedBackend, batches
from mistral_nb.completion import Completion, CompletionRequest
from mistral_nb.errors import InvalidOption, PromptTooLong
from tests.backends.hosting import MODEL, WEATHER, ask, ask_transport, chat_body, deltas, question
from tests.fake_api import FakeApi, Fault


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


def test_the_hosted_backend_keeps_the_protocol() -> None:
    backend: Backend = HostedBackend(endpoint="https://api.mistral.ai", api_key=None)

    assert (backend.name, backend.max_concurrency, backend.answering_model(MODEL)) == ("hosted", None, MODEL)


def test_importing_the_backend_does_not_import_the_sdk() -> None:
    line = "import sys, mistral_nb.backends.hosted; print([name for name in ('mistralai', 'httpx2') if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", line], capture_output=True, text=True, check=True, env=dict(os.environ)
    )

    assert done.stdout.strip() == "[]"


def test_an_answer_comes_with_its_usage_its_model_and_the_id_to_quote(fake: FakeApi) -> None:
    completion = ask(fake, lambda backend: backend.complete(question("one two three")))

    assert (completion.text, completion.finish_reason) == ("Answer to: one two three", "stop")
    assert (completion.model, completion.usage.prompt_tokens > 0) == (MODEL, True)
    assert (bool(completion.correlation_id), completion.latency_seconds > 0) == (True, True)


def test_what_is_sent_is_the_request_body_and_nothing_else(fake: FakeApi) -> None:
    request = question(
        messages=(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "weather in Paris?"},
            {"role": "assistant", "content": "", "prefix": False, "tool_calls": [call_message("abcdefghi")]},
            {"role": "tool", "tool_call_id": "abcdefghi", "name": "weather", "content": "sunny"},
        ),
        temperature=0.0,
        top_p=0.5,
        max_tokens=50,
        stop=("END",),
        random_seed=7,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object", "properties": {}}},
        },
        tools=(WEATHER,),
        tool_choice="auto",
        options={"safe_prompt": True, "parallel_tool_calls": False},
    )

    ask(fake, lambda backend: backend.complete(request))

    assert fake.requests[-1].body == {**request.body(), "stream": False}


def call_message(call_id: str) -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "index": 0,
        "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
    }


def test_a_trailing_v1_and_slash_of_the_endpoint_do_not_matter(fake: FakeApi) -> None:
    ask(fake, lambda backend: backend.complete(question()), endpoint=f"{fake.url}/v1/")

    assert fake.requests[-1].path == "/v1/chat/completions"


def test_an_option_that_the_api_does_not_have_is_named_before_anything_is_sent(fake: FakeApi) -> None:
    with pytest.raises(InvalidOption, match="no option 'temprature'"):
        ask(fake, lambda backend: backend.complete(question(options={"temprature": 1})))

    assert fake.requests == []


def test_thinking_is_kept_apart_from_the_text(fake: FakeApi) -> None:
    request = question("one two three", options={"reasoning_effort": "high"})

    async def both(backend: HostedBackend) -> tuple[Completion, Completion]:
        streamed = Completion(text="", model="")
        async for delta in backend.stream(request):
            streamed = streamed.extended_by(delta)
        return await backend.complete(request), streamed

    answers = ask(fake, both)

    assert [(answer.thinking, answer.text) for answer in answers] == [
        ("Thinking about: one two three", "Answer to: one two three")
    ] * 2


def test_of_several_choices_the_first_is_taken(fake: FakeApi) -> None:
    request = question("one two three", options={"n": 2})

    async def both(backend: HostedBackend) -> list[str]:
        return [
            (await backend.complete(request)).text,
            "".join(delta.text for delta in await deltas(backend, request)),
        ]

    assert ask(fake, both) == ["Answer to: one two three"] * 2


def test_an_unknown_finish_reason_is_kept_as_it_is(fake: FakeApi) -> None:
    fake.play(Fault(content="", finish_reason="content_filter", times=2))

    async def both(backend: HostedBackend) -> list[str | None]:
        return [
            (await backend.complete(question())).finish_reason,
            (await deltas(backend, question()))[-1].finish_reason,
        ]

    assert ask(fake, both) == ["content_filter"] * 2


def test_text_between_a_prompt_and_a_suffix_is_filled_in(fake: FakeApi) -> None:
    completion = ask(
        fake, lambda backend: backend.fill_in_middle("def f():", "return 1", model="codestral-latest", max_tokens=50)
    )

    assert completion.text == "# fills def f(): to return 1"
    assert "temperature" not in (fake.requests[-1].body or {})


def test_each_text_gets_its_own_vector(fake: FakeApi) -> None:
    async def embed(backend: HostedBackend) -> list[Any]:
        return [await backend.embed(texts, model="mistral-embed") for texts in (["cat", "dog"], ["dog"], ["cat"])]

    both, dog, cat = ask(fake, embed)

    assert both.vectors == (*cat.vectors, *dog.vectors)


def test_a_long_list_of_texts_is_embedded_in_batches_and_in_order(fake: FakeApi) -> None:
    texts = [f"word{number}" for number in range(MAX_BATCH_TEXTS + 1)]

    async def embed(backend: HostedBackend) -> tuple[Any, Any]:
        return await backend.embed(texts, model="mistral-embed"), await backend.embed(texts[-1:], model="mistral-embed")

    every, last = ask(fake, embed)

    assert len(every.vectors) == len(texts)
    assert every.vectors[-1] == last.vectors[0]
    assert [len((request.body or {})["input"]) for request in fake.requests] == [MAX_BATCH_TEXTS, 1, 1]


def test_a_batch_that_the_api_finds_too_long_is_split() -> None:
    with FakeApi(max_embedding_inputs=3) as fake:
        embeddings = ask(fake, lambda backend: backend.embed([str(n) for n in range(8)], model="mistral-embed"))

    assert len(embeddings.vectors) == 8
    assert embeddings.usage.prompt_tokens > 0


def test_one_text_that_is_too_long_is_an_error() -> None:
    with FakeApi(max_embedding_tokens=2) as fake, pytest.raises(PromptTooLong):
        ask(fake, lambda backend: backend.embed(["a long text with many words"], model="mistral-embed"))


def test_no_texts_make_no_request(fake: FakeApi) -> None:
    embeddings = ask(fake, lambda backend: backend.embed([], model="mistral-embed"))

    assert (embeddings.vectors, fake.requests) == ((), [])


def test_batches_keep_every_text_in_its_place() -> None:
    texts = ["x" * (MAX_BATCH_BYTES // 2), "y" * MAX_BATCH_BYTES, "é" * MAX_BATCH_BYTES, *map(str, range(300))]

    parts = list(batches(texts))

    assert [text for part in parts for text in part] == texts
    assert max(map(len, parts)) <= MAX_BATCH_TEXTS
    assert all(len(part) == 1 or sum(len(text.encode()) for text in part) <= MAX_BATCH_BYTES for part in parts)


def test_each_text_is_moderated(fake: FakeApi) -> None:
    moderations = ask(
        fake, lambda backend: backend.moderate(["I will attack", "good day"], model="mistral-moderation-2603")
    )

    assert [moderation.flagged["violence_and_threats"] for moderation in moderations] == [True, False]
    assert moderations[0].scores["violence_and_threats"] > 0.5


def test_the_models_of_the_endpoint_are_listed(fake: FakeApi) -> None:
    cards = ask(fake, lambda backend: backend.models())

    small = next(card for card in cards if card.id == MODEL)
    assert small.capabilities["completion_chat"]
    assert small.max_context_length == 262_144


def test_concurrent_answers_keep_their_own_correlation_id() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        asked = json.loads(request.content)["messages"][0]["content"]
        message = {"role": "assistant", "content": asked}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return httpx2.Response(200, json=chat_body(choices=[choice]), headers={"mistral-correlation-id": f"id {asked}"})

    async def many(backend: HostedBackend) -> list[Completion]:
        return await asyncio.gather(*(backend.complete(question(str(number))) for number in range(20)))

    answers = ask_transport(answer, many)

    assert [(answer.text, answer.correlation_id) for answer in answers] == [(str(n), f"id {n}") for n in range(20)]


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_deprecation_header_does_not_break_an_answer(
    fake: FakeApi, is_stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fake.play(Fault(headers={"x-model-deprecation-timestamp": "2026-12-01T00:00:00Z"}, times=None))

    async def twice(backend: HostedBackend) -> list[str]:
        if is_stream:
            return ["".join(delta.text for delta in await deltas(backend, question("hi"))) for _ in range(2)]
        return [(await backend.complete(question("hi"))).text for _ in range(2)]

    assert ask(fake, twice) == ["Answer to: hi"] * 2
    assert [record.getMessage() for record in caplog.records] == [
        f"The API will remove the model {MODEL} on 2026-12-01T00:00:00Z."
    ]


def test_the_deprecation_header_does_not_break_the_list_of_models(fake: FakeApi) -> None:
    fake.play(Fault(headers={"x-model-deprecation-timestamp": "2026-12-01T00:00:00Z"}))

    assert ask(fake, lambda backend: backend.models())


@pytest.mark.parametrize("lacking", ["object", "created", "usage", "id", "model"])
def test_an_answer_that_lacks_a_field_is_read_all_the_same(lacking: str) -> None:
    body = {name: value for name, value in chat_body().items() if name != lacking}

    completion = ask_transport(
        lambda request: httpx2.Response(200, json=body), lambda backend: backend.complete(question())
    )

    assert (completion.text, completion.model) == ("Hello.", MODEL)


def test_a_closed_backend_opens_again_when_it_is_asked(fake: FakeApi) -> None:
    async def ask_close_ask(backend: HostedBackend) -> list[str]:
        first = await backend.complete(question("hi"))
        await backend.aclose()
        return [first.text, (await backend.complete(question("hi"))).text]

    assert ask(fake, ask_close_ask) == ["Answer to: hi"] * 2


def test_a_wrong_role_is_named(fake: FakeApi) -> None:
    request = CompletionRequest(model=MODEL, messages=({"role": "usr", "content": "hi"},))

    with pytest.raises(InvalidOption, match="'usr'"):
        ask(fake, lambda backend: backend.complete(request))
