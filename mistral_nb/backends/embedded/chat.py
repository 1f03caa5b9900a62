"""One chat or fill-in-the-middle request, answered piece by piece.

Keeps to itself: how Mistral's request becomes llama.cpp's, and how llama.cpp's chunks are read.
Promises: text comes as it is written; the last piece of a choice has its finish_reason and usage.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from mistral_nb.backends.embedded.api_requests import ChatRequest, FillInMiddleRequest, Message, ResponseFormat
from mistral_nb.backends.embedded.engine import ChatEngine, Handler
from mistral_nb.backends.embedded.json_schemas import ANY_OBJECT_GRAMMAR, bounded

DEFAULT_TEMPERATURE = 0.3
# The API has no limit of its own, but a small model that does not find the end would write until its window is full.
DEFAULT_MAX_TOKENS = 512
FILL_IN_MIDDLE_MAX_TOKENS = 128
# Small models fall into loops: of 12 summaries of tickets by local-small one repeated itself to its limit without this, and
# none with it. Only what repeats more than ten tokens is held back, so that numbers and names are still copied exactly.
AGAINST_LOOPS = {"dry_multiplier": 0.8, "dry_allowed_length": 10}
FILL_IN_MIDDLE_STOPS = ("<|endoftext|>", "<|file_sep|>", "<|fim_pad|>", "<|im_end|>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens read and written; usages add up with ``+``."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )

    def body(self) -> dict[str, int]:
        """Return the usage as the API words it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The next part of an answer: text, a whole tool call, or the end."""

    text: str = ""
    tool_call: Mapping[str, Any] | None = None
    finish_reason: str | None = None
    usage: Usage = Usage()


def engine_request(request: ChatRequest, *, choice_index: int = 0) -> dict[str, Any]:
    """Return llama.cpp's words for a chat request, without its tools; each further choice draws with its own seed."""
    seed = None if request.random_seed is None else (request.random_seed + choice_index) % (2**32 - 1)
    optional = {
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "repeat_penalty": request.repetition_penalty,
        "stop": request.stops() or None,
    }
    return {
        "messages": flattened(request.messages),
        "temperature": DEFAULT_TEMPERATURE if request.temperature is None else request.temperature,
        "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS,
        **{name: value for name, value in optional.items() if value is not None},
        **_answer_format(request.response_format),
    }


def schema_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an engine request that holds the answer to a schema."""
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    }


def flattened(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return the messages as plain text, in the roles that every chat template knows.

    Tool calls and their results are told in words: a template without a place for tools would drop them silently.
    """
    names = {call.id: call.function.name for message in messages for call in message.tool_calls or ()}
    plain: list[dict[str, str]] = []
    for message in messages:
        role, text = message.role.replace("tool", "user"), message.text()
        if message.role == "tool":
            tool = message.name or names.get(message.tool_call_id or "", "the tool")
            text = f"Result of {tool}: {text}\nAnswer my question from this result."
        elif message.tool_calls and not text:
            calls = (f"{call.function.name}({call.function.arguments})" for call in message.tool_calls)
            text = f"Calling {', '.join(calls)}"
        if plain and role == "user" and plain[-1]["role"] == "user":
            plain[-1]["content"] += f"\n{text}"
        else:
            plain.append({"role": role, "content": text})
    return plain


async def reply(engine: ChatEngine, request: Mapping[str, Any], *, handler: Handler = "chat") -> AsyncGenerator[Piece]:
    """Yield the answer to an engine request: an empty piece when it is accepted, its parts, and last finish_reason and usage."""
    reason, usage, is_first = "stop", Usage(), True
    async with aclosing(engine.generate(handler, request)) as chunks:
        async for chunk in chunks:
            if is_first:  # accepted: the prompt is being read, which may take a while
                yield Piece()
                is_first = False
            if counted := chunk.get("usage"):
                usage = Usage(prompt_tokens=counted["prompt_tokens"], completion_tokens=counted["completion_tokens"])
            for choice in chunk.get("choices", ()):
                reason = choice.get("finish_reason") or reason
                delta = choice.get("delta") or {}
                text = choice.get("text") or delta.get("content")
                if text:
                    yield Piece(text=text)
                for call in delta.get("tool_calls") or ():
                    yield Piece(tool_call=call)
    if reason == "length" and usage.completion_tokens < request["max_tokens"]:
        reason = "model_length"
    yield Piece(finish_reason=reason, usage=usage)


async def plain_answer(engine: ChatEngine, request: ChatRequest, *, choice_index: int = 0) -> AsyncGenerator[Piece]:
    """Yield the answer to a chat request without regard to its tools."""
    last = request.messages[-1]
    if last.role == "assistant":  # the API's answers begin with the prefix
        yield Piece(text=last.text())
    async with aclosing(reply(engine, engine_request(request, choice_index=choice_index))) as pieces:
        async for piece in pieces:
            yield piece


async def fill_in_middle(engine: ChatEngine, request: FillInMiddleRequest) -> AsyncGenerator[Piece]:
    """Yield the text between prompt and suffix, or after the prompt where there is no suffix."""
    prompt = request.prompt
    if request.suffix:
        prompt = f"<|fim_prefix|>{prompt}<|fim_suffix|>{request.suffix}<|fim_middle|>"
    words: dict[str, Any] = {
        "prompt": prompt,
        "temperature": request.temperature or 0,
        "max_tokens": request.max_tokens or FILL_IN_MIDDLE_MAX_TOKENS,
        "stop": [*FILL_IN_MIDDLE_STOPS, *request.stops()],
    }
    if request.top_p is not None:
        words["top_p"] = request.top_p
    if request.random_seed is not None:
        words["seed"] = request.random_seed
    async with aclosing(reply(engine, words, handler="text")) as pieces:
        async for piece in pieces:
            yield piece


def _answer_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.type == "json_object":
        return {"grammar": ANY_OBJECT_GRAMMAR}
    if wanted.type == "json_schema" and wanted.json_schema is not None:
        return schema_format(bounded(wanted.json_schema.schema_))
    return AGAINST_LOOPS
