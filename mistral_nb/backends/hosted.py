"""Mistral's hosted API, or any server that speaks it, as a backend.

Keeps to itself: how requests become calls of the SDK, and how many texts fit into one request for embeddings.
Promises: the protocol `Backend`; one HTTP request per call (embeddings and moderations: one per batch), no retries, and only
exceptions of `mistral_nb.errors`. Importing it does not import the SDK; the first call does.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from mistral_nb.api_key import SecretKey
from mistral_nb.backends.answers import json_object, models_from
from mistral_nb.backends.batch_api import BatchApi
from mistral_nb.backends.endpoint import Endpoint
from mistral_nb.backends.event_stream import EventDecoder, StreamedAnswer
from mistral_nb.backends.row_wire import RowWire, json_body, read_completion, read_inputs_answer
from mistral_nb.backends.sdk_client import Exchange, SdkClient
from mistral_nb.completion import (
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    InputsAnswer,
    InputsRequest,
    ModelCard,
    Moderation,
    TokenUsage,
)
from mistral_nb.errors import InvalidOption, PromptTooLong

if TYPE_CHECKING:
    import httpx2

DEFAULT_TIMEOUT_SECONDS = 300.0
# The API takes 256 texts and 16 384 tokens in one request for embeddings (measured by users, 2024-05 to 2026-05). Real text
# has three to four bytes per token, so these keep well below; a batch that is refused all the same is split in half.
MAX_BATCH_TEXTS = 128
MAX_BATCH_BYTES = 32_000

_NOT_OPTIONS = frozenset({"self", "model", "messages", "stream", "retries", "server_url", "timeout_ms", "http_headers"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a server says of itself; `server_time` in UTC, to the second, None where it does not tell."""

    models: list[ModelCard]
    server_time: datetime | None


class HostedBackend:
    """The API as a backend.

    Parameters
    ----------
    endpoint
        Root address of the server; a trailing ``/v1`` is taken off.
    api_key
        Key, or None for a server that asks for none. With None and Mistral's own address each call raises `MissingKey`.
    timeout_seconds
        How long one call may wait for the server in total; in a stream the time that the reader takes does not count.
    uses_proxy
        Whether HTTPS_PROXY and its like hold; not for a server on this machine.
    transport
        What sends the HTTP requests in place of the network, e.g. ``httpx2.MockTransport``.

    Attributes
    ----------
    batch
        Makes batch jobs.
    rows
        The wire that `complete_row` and `answer_inputs` take, for a server's further paths.
    """

    name = "hosted"
    packs_rows = True
    max_concurrency: int | None = None

    def __init__(
        self,
        *,
        endpoint: str,
        api_key: str | SecretKey | None,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        uses_proxy: bool = True,
        transport: "httpx2.AsyncBaseTransport | None" = None,
    ) -> None:
        self.endpoint = endpoint.strip().rstrip("/").removesuffix("/v1").rstrip("/")
        key = SecretKey(api_key) if isinstance(api_key, str) else api_key
        server = Endpoint(self.endpoint, key if key is not None and key.reveal() else None)
        self._scrubbed = server.scrubbed
        self._client = SdkClient(
            endpoint=server, timeout_seconds=timeout_seconds, uses_proxy=uses_proxy, transport=transport
        )
        self.rows = RowWire(endpoint=server, timeout_seconds=timeout_seconds, uses_proxy=uses_proxy)
        self.batch = BatchApi(self._client)
        self._transport = transport

    def __repr__(self) -> str:
        return f"HostedBackend(endpoint={self.endpoint!r})"

    def answering_model(self, model: str) -> str:
        """Return the model's name: the API itself decides which version an alias means."""
        return model

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the answer to one request; with ``options={"n": …}`` the first of the choices."""
        arguments = _chat_arguments(request)
        exchange = await self._client.call(lambda sdk: sdk.chat.complete_async(**arguments), model=request.model)
        return _completion(exchange, request.model)

    async def complete_row(self, request: CompletionRequest) -> Completion:
        """Return what `complete` does, for a fraction of its CPU; what needs the SDK's client goes through it all the same."""
        if self._needs_sdk:
            return await self.complete(request)
        if request.options:  # the names are the SDK's, which takes a while to import
            _check_option_names(frozenset(request.options))
        return await self.rows.complete(request)

    async def answer_inputs(self, request: InputsRequest) -> InputsAnswer:
        """Return the vectors or moderations of a request's texts, by the same way as `complete_row`."""
        return await (self._inputs_through_sdk(request) if self._needs_sdk else self.rows.answer_inputs(request))

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        """Yield the answer piece by piece; the last delta has finish_reason, usage and the whole tool calls.

        Closing the generator closes the connection.
        """
        arguments = _chat_arguments(request)
        streaming = self._client.streaming(lambda sdk: sdk.chat.stream_async(**arguments), model=request.model)
        async with streaming as exchange:
            if exchange.body is not None:  # this server does not stream: the answer came whole
                yield _as_delta(_completion(exchange, request.model))
                return
            async with aclosing(self._streamed_deltas(exchange, request.model)) as deltas:
                async for delta in deltas:
                    yield replace(
                        delta, correlation_id=exchange.correlation_id, elapsed_seconds=exchange.elapsed_seconds
                    )

    async def fill_in_middle(
        self, prompt: str, suffix: str, *, model: str, temperature: float | None = None, max_tokens: int | None = None
    ) -> Completion:
        """Return the text that belongs between `prompt` and `suffix`; needs a model for code, e.g. "codestral-latest"."""
        options = {"temperature": temperature, "max_tokens": max_tokens}
        given = {name: value for name, value in options.items() if value is not None}
        arguments = _sendable({"model": model, "prompt": prompt, "suffix": suffix, **given})
        exchange = await self._client.call(lambda sdk: sdk.fim.complete_async(**arguments), model=model)
        return _completion(exchange, model)

    async def embed(self, texts: Sequence[str], *, model: str) -> Embeddings:
        """Return one vector per text, in their order; long lists are sent in batches that the API accepts."""
        answers = await self._answers_in_batches("embeddings", texts, model=model)
        return Embeddings(
            vectors=tuple(vector for answer in answers for vector in answer.results),
            model=answers[0].model if answers else model,
            usage=sum((answer.usage for answer in answers), TokenUsage()),
        )

    async def moderate(self, texts: Sequence[str], *, model: str) -> list[Moderation]:
        """Return what the moderation model says of each text, in their order."""
        answers = await self._answers_in_batches("moderations", texts, model=model)
        return [moderation for answer in answers for moderation in answer.results]

    async def models(self) -> list[ModelCard]:
        """Return the models that the endpoint offers to this key."""
        return (await self.greeting()).models

    async def greeting(self) -> "Greeting":
        """Return the models that the endpoint offers to this key, and what its clock says."""
        exchange = await self._client.call(lambda sdk: sdk.models.list_async())
        return Greeting(
            models=models_from(json_object(exchange.body or b"")), server_time=_time(exchange.headers.get("date"))
        )

    async def aclose(self) -> None:
        """Close all connections; a later call opens new ones."""
        await self.rows.aclose()
        await self._client.aclose()

    @property
    def _needs_sdk(self) -> bool:
        return self._transport is not None or self.rows.has_foreign_proxy

    async def _answers_in_batches(
        self, endpoint: Literal["embeddings", "moderations"], texts: Sequence[str], *, model: str
    ) -> list[InputsAnswer]:
        answers: list[InputsAnswer] = []
        for batch in batches(texts):
            request = InputsRequest(endpoint=endpoint, model=model, inputs=tuple(batch))
            answers += await _halved_if_too_long(request, self._inputs_through_sdk)
        return answers

    async def _inputs_through_sdk(self, request: InputsRequest) -> InputsAnswer:
        arguments = _sendable({"model": request.model, "inputs": list(request.inputs)})
        is_embeddings = request.endpoint == "embeddings"
        exchange = await self._client.call(
            lambda sdk: (sdk.embeddings.create_async if is_embeddings else sdk.classifiers.moderate_async)(**arguments),
            model=request.model,
        )
        return read_inputs_answer(
            exchange.body or b"", headers=exchange.headers, elapsed_seconds=exchange.elapsed_seconds, request=request
        )

    async def _streamed_deltas(self, exchange: Exchange, model: str) -> AsyncGenerator[Delta]:
        answer, decoder = StreamedAnswer(model=model), EventDecoder()
        async with aclosing(self._client.pieces(exchange)) as pieces:
            async for piece in pieces:
                for event in decoder.feed(piece):
                    delta = answer.receive(replace(event, data=self._scrubbed(event.data)))
                    if delta is not None:
                        yield delta
                if answer.is_done:
                    break
        for event in decoder.end():
            delta = answer.receive(replace(event, data=self._scrubbed(event.data)))
            if delta is not None:
                yield delta
        yield answer.last()


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts in their order, in batches of at most `MAX_BATCH_TEXTS` texts and, unless one alone is longer,
    `MAX_BATCH_BYTES` bytes.
    """
    batch: list[str] = []
    size = 0
    for text in texts:
        bytes_of_text = len(text.encode("utf-8", "replace"))
        if batch and (len(batch) >= MAX_BATCH_TEXTS or size + bytes_of_text > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += bytes_of_text
    if batch:
        yield batch


async def _halved_if_too_long(
    request: InputsRequest, answer: Callable[[InputsRequest], Awaitable[InputsAnswer]]
) -> list[InputsAnswer]:
    """Return the answers to a request: one, or those of its halves where the API finds it too long."""
    inputs = request.inputs
    try:
        return [await answer(request)]
    except PromptTooLong:
        if len(inputs) == 1:
            raise
    middle = len(inputs) // 2
    halves = [replace(request, inputs=part) for part in (inputs[:middle], inputs[middle:])]
    return [found for half in halves for found in await _halved_if_too_long(half, answer)]


def _chat_arguments(request: CompletionRequest) -> dict[str, Any]:
    """Return the request as arguments of the SDK's chat methods, which have the names of the API's fields."""
    _check_option_names(frozenset(request.options))
    return _sendable(request.body())


@cache
def _check_option_names(names: frozenset[str]) -> None:
    known = _option_names()
    unknown = sorted(names - known)
    if unknown:
        raise InvalidOption(f"The API has no option {unknown[0]!r}.", f"There are: {', '.join(sorted(known))}.")


@cache
def _option_names() -> frozenset[str]:
    from mistralai.client.chat import Chat

    return frozenset(inspect.signature(Chat.complete_async).parameters.keys() - _NOT_OPTIONS)


def _sendable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments if they can be sent as they are: the SDK leaves out, without a word, what it can't put into JSON."""
    json_body(arguments)
    return arguments


def _completion(exchange: Exchange, model: str) -> Completion:
    return read_completion(
        exchange.body or b"", headers=exchange.headers, elapsed_seconds=exchange.elapsed_seconds, model=model
    )


def _time(date: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(date).astimezone(UTC) if date else None
    except ValueError:
        return None


def _as_delta(whole: Completion) -> Delta:
    return Delta(
        text=whole.text,
        thinking=whole.thinking,
        tool_calls=whole.tool_calls,
        finish_reason=whole.finish_reason,
        usage=whole.usage,
        model=whole.model,
        response_id=whole.response_id,
        correlation_id=whole.correlation_id,
        elapsed_seconds=whole.latency_seconds,
    )
