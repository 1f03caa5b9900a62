"""Headers, bodies and streams look as they were recorded."""

import base64
import json
import struct

import httpx2
import pytest

from tests.fake_api import KNOWN_MODELS, FakeApi, KnownModel
from tests.fake_api.asking import CHAT, asked, events, http


def test_a_completion_has_the_recorded_headers(client: httpx2.Client) -> None:
    headers = client.post(CHAT, json=asked()).headers

    assert {name for name in headers if name.startswith(("x-ratelimit", "mistral"))} == {
        "mistral-correlation-id",
        "x-ratelimit-limit-req-minute",
        "x-ratelimit-remaining-req-minute",
        "x-ratelimit-limit-tokens-minute",
        "x-ratelimit-remaining-tokens-minute",
        "x-ratelimit-tokens-query-cost",
    }


def test_the_query_cost_is_the_usage(client: httpx2.Client) -> None:
    response = client.post(CHAT, json=asked())

    assert response.headers["x-ratelimit-tokens-query-cost"] == str(response.json()["usage"]["total_tokens"])


def test_a_stream_has_no_rate_limit_headers(client: httpx2.Client) -> None:
    headers = client.post(CHAT, json=asked(stream=True)).headers

    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert not [name for name in headers if name.startswith("x-ratelimit")]


def test_a_stream_begins_with_the_role_and_ends_with_done(client: httpx2.Client) -> None:
    first, *_, last, done = events(client.post(CHAT, json=asked(stream=True)))

    assert json.loads(first)["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (json.loads(last)["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")


def test_embeddings_show_no_token_limit(client: httpx2.Client) -> None:
    headers = client.post("/v1/embeddings", json={"model": "mistral-embed", "input": "text"}).headers

    assert "x-ratelimit-limit-req-minute" in headers
    assert "x-ratelimit-limit-tokens-minute" not in headers


def test_embeddings_come_in_base64_too(client: httpx2.Client) -> None:
    body = {"model": "codestral-embed", "input": "text", "encoding_format": "base64", "output_dimension": 4}
    packed = client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

    assert sum(value**2 for value in struct.unpack("<4f", base64.b64decode(packed))) == pytest.approx(1)


def test_a_repeated_prefix_under_one_cache_key_is_cached(client: httpx2.Client) -> None:
    body = asked("x" * 400, prompt_cache_key="same")
    cached = [client.post(CHAT, json=body).json()["usage"]["prompt_tokens_details"] for _ in range(2)]

    assert cached == [{"cached_tokens": 0}, {"cached_tokens": 96}]


def test_a_deprecated_model_says_so() -> None:
    old = KnownModel(names=("old-1",), serves=frozenset({"chat"}), context_window=9, deprecation="2026-12-01T00:00:00Z")
    with FakeApi(models=(*KNOWN_MODELS, old)) as server, http(server) as client:
        response = client.post(CHAT, json=asked(model="old-1"))

    assert response.headers["x-model-deprecation-timestamp"] == "2026-12-01T00:00:00Z"
