"""Every recording of the API's traffic at hand, replayed under the SDK under the hosted backend.

Keeps to itself: the formats the recordings are in (VCR cassettes, bare bodies, event streams, one chunk per line).
Promises: what must come out is worked out here from the raw recording, by other code than the package's; nothing is skipped but the
endpoints in `NOT_OURS`.
"""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from mistral_nb.backends.answers import completion_from, models_from
from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.completion import Completion, CompletionRequest
from mistral_nb.errors import InvalidKey

WIRE = Path(__file__).parents[2] / "shared" / "wire"
pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="the recordings (../shared/wire) are not here")

NOT_OURS = {
    "/v1/audio/transcriptions": "speech to text",
    "/v1/audio/speech": "text to speech",
    "/v1/ocr": "documents to text",
    "/v1/files": "file store",
    "https://www.ruby-lang.org": "a page that the recorded client fetched, not the API",
    "https://httpbin.org": "an image that the recorded client fetched, not the API",
}
# Bare bodies say nothing of their endpoint; these are known by their names.
BARE_NAMES = {
    "speech-to-text-": "/v1/audio/transcriptions",
    "audio-from-": "/v1/audio/transcriptions",
    "mistral-transcription": "/v1/audio/transcriptions",
    "ocr-": "/v1/ocr",
    "embeddings-": "/v1/embeddings",
}
CHAT, EMBEDDINGS, BATCH = "/v1/chat/completions", "/v1/embeddings", "/v1/batch/jobs"
OURS = (CHAT, EMBEDDINGS, BATCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    path: str
    number: int
    endpoint: str
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_stream(self) -> bool:
        return self.headers["content-type"].startswith("text/event-stream")

    @property
    def correlation_id(self) -> str | None:
        return self.headers.get("mistral-correlation-id")

    def response(self) -> httpx2.Response:
        return httpx2.Response(self.status, headers=self.headers, content=self.body)

    def __str__(self) -> str:
        return f"{Path(self.path).name}[{self.number}]"


class CassetteLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Ruby writes it: binary text has a tag of its own."""


CassetteLoader.add_constructor("!binary", lambda loader, node: base64.b64decode(node.value))


def cassette(file: Path) -> Iterator[Recording]:
    content = yaml.load(file.read_bytes(), Loader=CassetteLoader)
    for number, interaction in enumerate(content["http_interactions"]):
        response = interaction["response"]
        text = response["body"]["string"]
        kept = ("content-type", "mistral-correlation-id")
        headers = {name.lower(): values[0] for name, values in response["headers"].items() if name.lower() in kept}
        yield Recording(
            path=str(file.relative_to(WIRE)),
            number=number,
            endpoint=endpoint_of(interaction["request"]["uri"]),
            body=text if isinstance(text, bytes) else text.encode(),
            status=response["status"]["code"],
            headers=headers,
        )


def endpoint_of(uri: str) -> str:
    known = (*OURS, *NOT_OURS)
    return next(
        (endpoint for endpoint in known if uri.removeprefix("https://api.mistral.ai").startswith(endpoint)), uri
    )


def bare(file: Path) -> Recording:
    body, content_type = file.read_bytes(), "application/json"
    if file.name.endswith(".chunks.txt"):
        chunks = [line for line in body.decode().splitlines() if line.strip()]
        body, content_type = "".join(f"data: {chunk}\n\n" for chunk in chunks).encode(), "text/event-stream"
    elif file.suffix == ".sse":
        content_type = "text/event-stream; charset=utf-8"
    endpoint = next((place for name, place in BARE_NAMES.items() if file.name.startswith(name)), CHAT)
    headers = {"content-type": content_type}
    return Recording(path=str(file.relative_to(WIRE)), number=0, endpoint=endpoint, body=body, headers=headers)


@cache
def recordings() -> tuple[Recording, ...]:
    found: list[Recording] = []
    for file in sorted(WIRE.glob("*/**/*")):
        if file.suffix == ".yml":
            found.extend(cassette(file))
        elif file.is_file():
            found.append(bare(file))
    return tuple(found)


def of(endpoint: str, *, is_stream: bool = False, status: int = 200) -> list[Any]:
    chosen = (r for r in recordings() if (r.endpoint, r.is_stream, r.status) == (endpoint, is_stream, status))
    return [pytest.param(recording, id=str(recording)) for recording in chosen]


def answered(recording: Recording) -> Completion:
    """Return what the hosted backend makes of a recorded response to a chat request."""

    async def ask() -> Completion:
        backend = HostedBackend(
            endpoint="https://api.mistral.ai",
            api_key="not-a-real-key",
            transport=httpx2.MockTransport(lambda request: recording.response()),
        )
        request = CompletionRequest(model="asked-model", messages=({"role": "user", "content": "Hello"},))
        try:
            if not recording.is_stream:
                return await backend.complete(request)
            answer = Completion(text="", model="asked-model")
            async for delta in backend.stream(request):
                answer = answer.extended_by(delta)
            return answer
        finally:
            await backend.aclose()

    return asyncio.run(ask())


def shown(completion: Completion) -> dict[str, Any]:
    """Return what is compared, as plain values."""
    usage = completion.usage
    return {
        "text": completion.text,
        "thinking": completion.thinking,
        "tool_calls": [(call.id, call.name, call.parsed_arguments()) for call in completion.tool_calls],
        "finish_reason": completion.finish_reason,
        "model": completion.model,
        "id": completion.response_id,
        "usage": (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens),
    }


def recorded(body: dict[str, Any]) -> dict[str, Any]:
    """Return the same, worked out from a whole response."""
    choice = body["choices"][0]
    message = choice["message"]
    calls = message.get("tool_calls") or []
    return {
        "text": "".join(part["text"] for part in parts(message.get("content")) if part["type"] == "text"),
        "thinking": "".join(inner["text"] for part in thoughts(message.get("content")) for inner in part["thinking"]),
        "tool_calls": [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls],
        "finish_reason": choice["finish_reason"],
        "model": body["model"],
        "id": body["id"],
        "usage": recorded_usage(body["usage"]),
    }


def recorded_stream(text: str) -> dict[str, Any]:
    """Return the same, worked out from a stream: its chunks laid end to end."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    fragments = [fragment for delta in deltas for fragment in delta.get("tool_calls") or []]
    indices = sorted({fragment.get("index", 0) for fragment in fragments})
    calls = [[f for f in fragments if f.get("index", 0) == index] for index in indices]
    return {
        "text": "".join(p["text"] for delta in deltas for p in parts(delta.get("content")) if p["type"] == "text"),
        "thinking": "".join(
            inner["text"] for delta in deltas for part in thoughts(delta.get("content")) for inner in part["thinking"]
        ),
        "tool_calls": [
            (
                call[0]["id"],
                call[0]["function"]["name"],
                json.loads("".join(fragment["function"]["arguments"] for fragment in call)),
            )
            for call in calls
        ],
        "finish_reason": chunks[-1]["choices"][0]["finish_reason"],
        "model": chunks[-1]["model"],
        "id": chunks[-1]["id"],
        "usage": recorded_usage(chunks[-1]["usage"]),
    }


def parts(content: Any) -> list[dict[str, Any]]:
    return content if isinstance(content, list) else [{"type": "text", "text": content or ""}]


def thoughts(content: Any) -> list[dict[str, Any]]:
    return [part for part in parts(content) if part["type"] == "thinking"]


def recorded_usage(usage: dict[str, Any]) -> tuple[int, int, int]:
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens", usage.get("num_cached_tokens"))
    return usage["prompt_tokens"], usage["completion_tokens"], cached or 0


if WIRE.is_dir():
    ANSWERS, STREAMS = of(CHAT), of(CHAT, is_stream=True)
    REFUSALS, VECTORS, JOBS = of(CHAT, status=401), of(EMBEDDINGS), of(BATCH)
else:
    ANSWERS = STREAMS = REFUSALS = VECTORS = JOBS = []


@pytest.mark.parametrize("recording", ANSWERS)
def test_a_recorded_answer_is_read_as_it_was_recorded(recording: Recording) -> None:
    completion = answered(recording)

    assert shown(completion) == recorded(json.loads(recording.body))


@pytest.mark.parametrize("recording", STREAMS)
def test_a_recorded_stream_is_read_as_it_was_recorded(recording: Recording) -> None:
    completion = answered(recording)

    assert shown(completion) == recorded_stream(recording.body.decode())


@pytest.mark.parametrize("recording", [*ANSWERS, *STREAMS])
def test_the_correlation_id_is_the_recorded_one(recording: Recording) -> None:
    completion = answered(recording)

    assert completion.correlation_id == recording.correlation_id


@pytest.mark.parametrize("recording", REFUSALS)
def test_the_recorded_refusal_of_a_key_is_an_invalid_key(recording: Recording) -> None:
    with pytest.raises(InvalidKey, match="Invalid API Key") as caught:
        answered(recording)

    assert caught.value.correlation_id == recording.correlation_id


@pytest.mark.parametrize("recording", VECTORS)
def test_recorded_vectors_come_in_the_order_of_their_index(recording: Recording) -> None:
    body = json.loads(recording.body)

    async def embed() -> Any:
        transport = httpx2.MockTransport(lambda request: recording.response())
        backend = HostedBackend(endpoint="https://api.mistral.ai", api_key="not-a-real-key", transport=transport)
        try:
            return await backend.embed(["text"] * len(body["data"]), model="mistral-embed")
        finally:
            await backend.aclose()

    embeddings = asyncio.run(embed())
    by_index = sorted(body["data"], key=lambda item: item["index"])

    assert [list(vector) for vector in embeddings.vectors] == [item["embedding"] for item in by_index]
    assert (embeddings.model, embeddings.usage.prompt_tokens) == (body["model"], body["usage"]["prompt_tokens"])


def batch_answers(jobs: list[Any]) -> list[Any]:
    bodies = [json.loads(job.values[0].body) for job in jobs]
    outputs = [output for body in bodies for output in body["outputs"] or []]
    return [pytest.param(output["response"]["body"], id=output["id"]) for output in outputs]


@pytest.mark.parametrize("body", batch_answers(JOBS))
def test_a_recorded_batch_answer_is_read_by_the_same_parser(body: dict[str, Any]) -> None:
    completion = completion_from(body, model="asked-model")

    assert shown(completion) == recorded(body)


def test_the_recorded_list_of_models_is_read() -> None:
    body = json.loads((WIRE / "models_list_sample_2025-12.json").read_text())

    cards = models_from(body)

    assert [(card.id, list(card.aliases), card.max_context_length) for card in cards] == [
        (item["id"], item["aliases"], item["max_context_length"]) for item in body["data"]
    ]


def test_every_recording_is_replayed_or_named_as_not_ours() -> None:
    replayed = {id(param.values[0]) for param in (*ANSWERS, *STREAMS, *REFUSALS, *VECTORS, *JOBS)}

    left = [recording for recording in recordings() if id(recording) not in replayed]

    assert {recording.endpoint for recording in left} <= NOT_OURS.keys()


def test_every_recording_in_the_manifest_is_among_the_files() -> None:
    manifest = json.loads((WIRE / "manifest.json").read_text())

    listed = {(row["source_repo"].replace("/", "__") + "/" + row["path"], row["interaction"]) for row in manifest}

    assert listed <= {(recording.path, recording.number) for recording in recordings()}
