"""What the embedded server refuses, in the API's own shapes, so that the same code meets the same errors with a key."""

import asyncio
import json
from typing import Any

import pytest

from mistral_nb.api_errors import error_from_response
from mistral_nb.backends.embedded.process import ServerHandle
from mistral_nb.errors import (
    InvalidKey,
    InvalidMessages,
    PromptTooLong,
    RequestRejected,
    UnknownModel,
    WrongEndpoint,
)
from tests.backends.embedded.conftest import RawClient

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "abcDEF123", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"role": "tool", "content": "1", "tool_call_id": "abcDEF123"}


def raised_by(answer: tuple[int, Any], model: str = "local-tiny") -> Exception:
    status, body = answer
    return error_from_response(status, json.dumps(body), model=model)


def test_a_wrong_key_is_an_invalid_key(raw: RawClient) -> None:
    answer = raw.send("/v1/models", key="wrong")

    assert (answer[0], type(raised_by(answer))) == (401, InvalidKey)


def test_health_needs_no_key(raw: RawClient) -> None:
    assert raw.send("/health", key="wrong") == (200, {"status": "ok"})


def test_an_unknown_model_is_told_which_there_are(raw: RawClient) -> None:
    answer = raw.chat(model="mistral-small-latest")

    assert (answer[0], answer[1]["code"], type(raised_by(answer))) == (400, "1500", UnknownModel)
    assert "local-small" in answer[1]["message"]


def test_a_model_without_weights_is_told_how_to_get_them(raw: RawClient) -> None:
    _, body = raw.chat(model="local-medium")

    assert "mistral-nb download-model local-medium" in body["message"]


@pytest.mark.parametrize("model", ["relative.gguf", "/nowhere/model.gguf", "/etc/passwd"])
def test_a_path_that_is_no_model_is_unknown(raw: RawClient, model: str) -> None:
    assert type(raised_by(raw.chat(model=model))) is UnknownModel


def test_a_prompt_that_does_not_fit_is_counted(raw: RawClient) -> None:
    answer = raw.chat("word " * 9000)

    assert type(raised_by(answer)) is PromptTooLong
    assert "8192 maximum context length" in answer[1]["message"]


def test_an_unknown_field_is_named(raw: RawClient) -> None:
    status, body = raw.chat(max_completion_tokens=3)

    assert status == 422
    assert body["message"]["detail"][0]["loc"] == ["body", "max_completion_tokens"]
    assert body["message"]["detail"][0]["type"] == "extra_forbidden"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 7}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"random_seed": -1}, "random_seed"),
        ({"logprobs": True}, "logprobs"),
        ({"safe_prompt": True}, "safe_prompt"),
        ({"guardrails": [{"moderation": {}}]}, "guardrails"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"min_tokens": 4}, "min_tokens"),
    ],
)
def test_a_value_it_cannot_honour_is_refused_by_name(raw: RawClient, fields: dict[str, Any], field: str) -> None:
    answer = raw.chat(**fields)

    assert answer[0] == 422
    assert f"'{field}'" in str(raised_by(answer))


def test_what_changes_no_answer_is_accepted(raw: RawClient) -> None:
    harmless = {
        "metadata": {"a": 1},
        "prompt_cache_key": "k",
        "service_tier": "standard",
        "parallel_tool_calls": False,
        "prediction": {"type": "content", "content": "x"},
        "safe_prompt": False,
        "reasoning_effort": "none",
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "response_format": {"type": "text"},
    }

    assert raw.chat(**harmless)[0] == 200


def test_an_image_is_refused_with_what_would_read_it(raw: RawClient) -> None:
    image = [{"type": "image_url", "image_url": "data:image/png;base64,AA"}]
    status, body = raw.chat([{"role": "user", "content": image}])

    assert status == 422
    assert "MISTRAL_API_KEY" in body["message"]["detail"][0]["msg"]


@pytest.mark.parametrize(
    "messages",
    [
        [USER, {"role": "assistant", "content": "Hello"}],
        [USER, {"role": "assistant", "tool_calls": [CALL]}, RESULT, USER],
        [USER, {"role": "assistant", "tool_calls": [{**CALL, "id": "call_1"}]}, RESULT],
        [USER, {"role": "assistant", "tool_calls": [CALL]}, {**RESULT, "tool_call_id": "1"}],
        [USER, {"role": "system", "content": "Be brief."}],
    ],
)
def test_messages_that_the_api_would_refuse_are_refused(raw: RawClient, messages: list[dict[str, Any]]) -> None:
    assert type(raised_by(raw.chat(messages))) is InvalidMessages


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(raw: RawClient, body: bytes) -> None:
    assert type(raised_by(raw.send("/v1/chat/completions", body))) is RequestRejected


def test_a_rejected_value_does_not_send_the_data_back(raw: RawClient) -> None:
    _, body = raw.chat(unknown="secret" * 1000)

    assert len(json.dumps(body)) < 1000


def test_tiny_does_not_fill_in_the_middle(raw: RawClient) -> None:
    answer = raw.send("/v1/fim/completions", {"model": "local-tiny", "prompt": "a", "suffix": "b"})

    assert (answer[0], type(raised_by(answer))) == (422, RequestRejected)


def test_another_address_is_a_wrong_endpoint(raw: RawClient) -> None:
    assert type(raised_by(raw.send("/v1/agents"))) is WrongEndpoint


def test_a_left_stream_makes_room_at_once(server: ServerHandle) -> None:
    assert asyncio.run(_wait_behind_a_left_request(server, leaves_while_queued=False)) < 8


def test_a_queued_request_whose_client_left_is_skipped(server: ServerHandle) -> None:
    assert asyncio.run(_wait_behind_a_left_request(server, leaves_while_queued=True)) < 8


async def _wait_behind_a_left_request(server: ServerHandle, *, leaves_while_queued: bool) -> float:
    """Return how long a short request takes after a client that asked for minutes of text has left."""
    import aiohttp

    def body(**fields: Any) -> dict[str, Any]:
        return {"model": "local-tiny", "messages": [USER], "temperature": 0, "max_tokens": 1, **fields}

    endless = {"n": 16, "max_tokens": 4000, "stream": True, "stop": ["\0"], "temperature": 1.5}
    headers = {"Authorization": f"Bearer {server.key}"}
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        first = await session.post("/v1/chat/completions", json=body(**endless))
        await first.content.readany()
        if leaves_while_queued:
            second = asyncio.create_task(session.post("/v1/chat/completions", json=body(**endless)))
            third = asyncio.create_task(session.post("/v1/chat/completions", json=body()))
            await asyncio.wait([second], timeout=0.3)
            second.cancel()
            await asyncio.wait([second])
            if not second.cancelled():  # its answer began just then
                second.result().close()
        else:
            third = asyncio.create_task(session.post("/v1/chat/completions", json=body()))
        first.close()
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with await third as response:
            assert response.status == 200
            await response.read()
        return loop.time() - started
