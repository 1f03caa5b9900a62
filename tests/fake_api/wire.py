"""How answers look on the wire: headers, JSON bodies, and the chunks of a stream.

Keeps to itself: the recorded shapes (2026-08): field order, the padding field `p`, where `usage` travels, what a
chunk of thinking or of a tool call looks like.
Promises: pure functions from an `Answer` to bytes; a stream's deltas add up to the body that was not streamed.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream; charset=utf-8"

_PADDING = "abcdefghijklmnopqrstuvwxyz0123456789"
# Words with the space before them, long words in pieces of 12 characters: about what one recorded chunk holds.
_DELTA = re.compile(r"\s*\S{1,12}|\s+\Z")


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response: JSON in one part, or a stream in one part per event."""

    status: int
    headers: dict[str, str]
    parts: Sequence[bytes]
    is_stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the model said once: text (perhaps after some thinking) or tool calls."""

    text: str = ""
    thinking: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = "stop"
    logprobs: list[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a completion endpoint answers, before it becomes a body or a stream."""

    model: str
    choices: tuple[Choice, ...]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    created: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "completion_tokens": self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "service_tier": "standard",
        }


_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def to_json(value: Any) -> bytes:
    return _ENCODE(value).encode()


def correlation_headers(content_type: str) -> dict[str, str]:
    """Return the headers that every recorded response has."""
    request_id = str(uuid.uuid4())
    return {"content-type": content_type, "mistral-correlation-id": request_id, "x-kong-request-id": request_id}


def json_reply(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None, ending: str = "") -> Reply:
    return Reply(status, {**correlation_headers(JSON_TYPE), **(headers or {})}, (to_json(body) + ending.encode(),))


def completion_body(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.id,
        "created": answer.created,
        "model": answer.model,
        "usage": answer.usage,
        "object": "chat.completion",
        "choices": [
            {"index": index, "finish_reason": choice.finish_reason, "message": _message(choice), **_logprobs(choice)}
            for index, choice in enumerate(answer.choices)
        ],
    }


def _logprobs(choice: Choice) -> dict[str, Any]:
    """Return what the SDK's models (3.7.0) have of them; no recording does."""
    return {} if choice.logprobs is None else {"logprobs": {"content": choice.logprobs}}


def _message(choice: Choice) -> dict[str, Any]:
    content: Any = choice.text
    if choice.thinking is not None:
        content = [_thinking(choice.thinking, is_closed=True), {"type": "text", "text": choice.text}]
    return {"role": "assistant", "tool_calls": list(choice.tool_calls) or None, "content": content}


def _thinking(text: str, *, is_closed: bool) -> dict[str, Any]:
    chunk: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
    if is_closed:
        chunk["closed"] = True
    return chunk


def stream_reply(answer: Answer, *, is_tool_call_split: bool, headers: Mapping[str, str]) -> Reply:
    """Return the answer as server-sent events."""
    chunks = list(stream_chunks(answer, is_tool_call_split=is_tool_call_split))
    parts = [*map(event, chunks), b"data: [DONE]\n\n"]
    return Reply(200, {**correlation_headers(STREAM_TYPE), **headers}, parts, is_stream=True)


def event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + to_json(chunk) + b"\n\n"


def stream_chunks(answer: Answer, *, is_tool_call_split: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a stream: roles first, then one choice's delta each, in turns; the last one has the usage."""
    roles = [(index, {"role": "assistant", "content": ""}, None) for index in range(len(answer.choices))]
    turns = zip_longest(
        *(
            [(index, delta, reason) for delta, reason in _deltas(choice, is_tool_call_split=is_tool_call_split)]
            for index, choice in enumerate(answer.choices)
        )
    )
    said = [delta for turn in turns for delta in turn if delta is not None]
    for number, (index, delta, reason) in enumerate([*roles, *said]):
        chunk: dict[str, Any] = {
            "id": answer.id,
            "object": "chat.completion.chunk",
            "created": answer.created,
            "model": answer.model,
            "choices": [{"index": index, "delta": delta, "finish_reason": reason}],
        }
        if number + 1 == len(roles) + len(said):
            chunk["usage"] = answer.usage
        if number >= len(roles):
            # The real padding hides the length of the delta from who watches the wire; here it need only vary.
            chunk["p"] = _PADDING[: 1 + number * 7 % len(_PADDING)]
        yield chunk


def _deltas(choice: Choice, *, is_tool_call_split: bool) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield (delta, finish_reason); only the last one of a choice has a reason."""
    if choice.tool_calls:
        yield from (({"content": content}, None) for content in _contents(choice) if content)
        calls = list(choice.tool_calls)
        if is_tool_call_split:
            yield from (({"tool_calls": [piece]}, None) for call in calls for piece in _call_pieces(call))
            yield {"content": ""}, choice.finish_reason
        else:
            yield {"tool_calls": calls}, choice.finish_reason
        return
    contents = list(_contents(choice))
    for content in contents[:-1]:
        yield {"content": content}, None
    yield {"content": contents[-1]}, choice.finish_reason


def _contents(choice: Choice) -> Iterator[str | list[dict[str, Any]]]:
    words = _DELTA.findall(choice.text) or [""]
    if choice.thinking is None:
        yield from words
        return
    *thoughts, last_thought = _DELTA.findall(choice.thinking) or [""]
    for number, thought in enumerate(thoughts):
        # As recorded: `closed` is on every thinking chunk but the first, long before thinking ends.
        yield [_thinking(thought, is_closed=number > 0)]
    # The chunk in which thinking ends carries the first words of the text as well; after it, content is plain text.
    yield [_thinking(last_thought, is_closed=True), {"type": "text", "text": words[0]}]
    yield from words[1:]


def _call_pieces(call: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one call the way some hosted models stream it: id and name first, then its arguments without them."""
    function, index = call["function"], call["index"]
    yield {**call, "function": {"name": function["name"], "arguments": ""}}
    for piece in _DELTA.findall(function["arguments"]):
        yield {"type": "function", "function": {"name": "", "arguments": piece}, "index": index}


def error_event(body: Mapping[str, Any]) -> bytes:
    """Return an error inside a stream that has begun with status 200 (shape assumed: the body of an error response)."""
    return event(body)
