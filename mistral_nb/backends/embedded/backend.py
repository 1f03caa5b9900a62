"""The embedded model as a backend: a server on this machine, spoken to as the hosted API is.

Keeps to itself: when the server is started, replaced, and given up.
Promises: the protocol `Backend`; nothing is started before the first request; what can be known without the server (a missing
package, missing weights, a model of Mistral's own) is said before it is started. Never another model than the one asked for.
"""

import asyncio
import copy
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar, TypeVarTuple, Unpack

from mistral_nb.backends.answers import json_object
from mistral_nb.backends.embedded import process
from mistral_nb.backends.embedded.labels import METHOD_VERSION
from mistral_nb.backends.embedded.weights import LOCAL_MODELS, file_sha256, local_model, weights_folder, weights_path
from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.completion import (
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    InputsAnswer,
    InputsRequest,
    JsonObject,
    LabelChoice,
    ModelCard,
    Moderation,
    TokenUsage,
)
from mistral_nb.errors import (
    SET_KEY_LINE,
    ConnectionLost,
    ConnectionProblem,
    EmbeddedServerFailed,
    NotSupported,
    ServerProblem,
    UnknownModel,
)

EMBEDDING_MODEL = "local-embed"
# Goes up with every change of how the engine is asked (sampling, templates): answers kept from before are then asked anew.
ANSWERING_VERSION = 1
# Loading a large file and waiting for other kernels' requests are part of an answer here.
TIMEOUT_SECONDS = 900.0
# A server that ended this many times without one answer between is not started again for the same requests.
MAX_DEATHS = 2
# The connections of a process that ends are closed one after the other.
DEATH_NOTICE_SECONDS = 0.3

# Twice what 25 German words take, and far below what llama.cpp takes for a bound of a text.
_MOST_CHARACTERS_OF_REASONS = 400
_MOST_BYTES_OF_CHARACTER = 4
CHOICES_PATH = "/v1/mistral_nb/label_choices"

_Answer = TypeVar("_Answer")
_Args = TypeVarTuple("_Args")


class _Connection:
    """The clients of one running server, made on the loop that uses them."""

    def __init__(self, handle: process.ServerHandle) -> None:
        self.handle = handle
        self.has_died = False
        self.api = HostedBackend(
            endpoint=handle.url, api_key=handle.key, timeout_seconds=TIMEOUT_SECONDS, uses_proxy=False
        )

    async def aclose(self) -> None:
        await self.api.aclose()


class EmbeddedBackend:
    """The local models of a home as a backend.

    Parameters
    ----------
    home
        Folder of weights and of the server's files.
    model_path
        A GGUF file of the user's, which requests name by its path.
    """

    name = "embedded"
    packs_rows = False
    batch = None
    endpoint = "embedded"
    # While one is answered, the next is already there.
    max_concurrency: int | None = 2

    def __init__(self, home: Path, model_path: Path | None = None) -> None:
        self._home = home
        self._model_path = model_path
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._deaths = 0
        self._checked: dict[str, tuple[int, int, int]] = {}

    def __repr__(self) -> str:
        return f"EmbeddedBackend(home={str(self._home)!r})"

    def answering_model(self, model: str) -> str:
        """Return the model's name with its weights' hash and the version of how it is asked; the same of the embedding model,
        which takes part in label choices.

        Raises
        ------
        UnknownModel, WeightsMissing, WeightsCorrupt
            The model can't answer.
        """
        found = f"{self._file_name(model)}@{self._sha256(model)[:16]}"
        if model in LOCAL_MODELS and LOCAL_MODELS[model].role == "embed":
            return found
        embedding = f"{EMBEDDING_MODEL}@{LOCAL_MODELS[EMBEDDING_MODEL].sha256[:16]}"
        return f"{found}/{ANSWERING_VERSION}+{embedding}/{METHOD_VERSION}"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the answer to one request; a choice between labels is scored, not written."""
        if request.choice is not None:
            return await self._choose(request, request.choice)
        await self._check(request.model)
        return await self._answer(lambda connection: connection.api.complete(request))

    async def complete_row(self, request: CompletionRequest) -> Completion:
        """Return what `complete` does, for a fraction of this process's CPU."""
        if request.choice is not None:
            return await self._choose(request, request.choice)
        return await self._written(request)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        """Yield the answer piece by piece; closing the generator stops the model."""
        await self._check(request.model)
        connection = await self._connected()
        try:
            async with aclosing(connection.api.stream(request)) as deltas:
                async for delta in deltas:
                    yield delta
        except ConnectionProblem as problem:
            await self._explain(problem, connection)
        except ServerProblem as problem:
            raise self._failed(problem) from None
        self._deaths = 0

    async def fill_in_middle(
        self, prompt: str, suffix: str, *, model: str, temperature: float | None = None, max_tokens: int | None = None
    ) -> Completion:
        """Return the text that belongs between `prompt` and `suffix`, from a model that learnt it."""
        await self._check(model)
        if model in LOCAL_MODELS and not LOCAL_MODELS[model].fill_in_middle:
            able = [name for name, local in LOCAL_MODELS.items() if local.fill_in_middle]
            raise NotSupported(
                f"{model} can't fill in the middle of code.",
                f"Use one that can: model={able[0]!r}, or with a key model='codestral-latest'.",
            )
        return await self._answer(
            lambda connection: connection.api.fill_in_middle(
                prompt, suffix, model=model, temperature=temperature, max_tokens=max_tokens
            )
        )

    async def embed(self, texts: Sequence[str], *, model: str) -> Embeddings:
        """Return one vector per text, in their order."""
        await self._check(model)
        return await self._answer(lambda connection: connection.api.embed(texts, model=model))

    async def answer_inputs(self, request: InputsRequest) -> InputsAnswer:
        """Return the vectors of a request's texts; NotSupported for moderations."""
        if request.endpoint == "moderations":
            raise _no_moderation()
        await self._check(request.model)
        return await self._answer(lambda connection: connection.api.answer_inputs(request))

    async def moderate(self, texts: Sequence[str], *, model: str) -> list[Moderation]:
        """Raise NotSupported: no local model moderates."""
        raise _no_moderation()

    async def models(self) -> list[ModelCard]:
        """Return the models whose weights are on this machine."""
        return await self._answer(lambda connection: connection.api.models())

    async def aclose(self) -> None:
        """Close the connections; the server ends when nobody else uses it and this process does."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    async def _choose(self, request: CompletionRequest, choice: LabelChoice) -> Completion:
        """Return the label that scores best, or those that apply; what else the answer is to have is written for them."""
        model = request.model
        await self._check(model)
        await self._check(EMBEDDING_MODEL)
        body = {
            "model": model,
            "text": choice.text,
            "labels": choice.labels,
            "hints": choice.hints,
            "other": choice.other,
            "is_several": choice.is_several,
        }
        reply = await self._answer(lambda connection: connection.api.rows.post_json(CHOICES_PATH, body, model=model))
        scored = json_object(reply.body)
        stands_for = dict(zip(choice.labels, choice.answers or choice.labels, strict=True))
        if choice.is_several:
            answer: JsonObject = {"labels": [stands_for[label] for label in scored["labels"]]}
        else:
            answer = {"label": stands_for[scored["label"]]}
        written = await self._written(_with_labels(request, answer)) if _has_more_than_labels(request) else None
        return Completion(
            text=written.text if written else json.dumps(answer, ensure_ascii=False),
            model=scored["model"],
            finish_reason=written.finish_reason if written else "stop",
            usage=TokenUsage(prompt_tokens=scored["usage"]["prompt_tokens"])
            + (written.usage if written else TokenUsage()),
            response_id=scored["id"],
            latency_seconds=reply.elapsed_seconds + (written.latency_seconds if written else 0.0),
            label_probabilities=scored["probabilities"],
        )

    async def _written(self, request: CompletionRequest) -> Completion:
        await self._check(request.model)
        return await self._answer(lambda connection: connection.api.complete_row(request))

    async def _answer(self, ask: Callable[[_Connection], Awaitable[_Answer]]) -> _Answer:
        connection = await self._connected()
        try:
            answer = await ask(connection)
        except ConnectionProblem as problem:
            await self._explain(problem, connection)
        except ServerProblem as problem:
            raise self._failed(problem) from None
        self._deaths = 0
        return answer

    async def _connected(self) -> _Connection:
        """Return clients of a server that lives, started if need be."""
        async with self._connecting:
            handle = await self._server()
            connection = self._connection
            if connection is None or connection.handle != handle:
                if connection is not None:
                    await connection.aclose()
                connection = self._connection = _Connection(handle)
            return connection

    async def _server(self) -> process.ServerHandle:
        if self._connection is not None and process.is_running(self._connection.handle, home=self._home):
            return self._connection.handle
        return await _in_thread(process.ensure_server, self._home)

    async def _explain(self, problem: ConnectionProblem, connection: _Connection) -> NoReturn:
        """Raise the problem, or what is behind it when the server has ended: worth another try, unless it ended before."""
        deadline = time.monotonic() + DEATH_NOTICE_SECONDS
        while process.is_running(connection.handle, home=self._home):
            if time.monotonic() > deadline:
                raise problem
            await asyncio.sleep(0.01)
        if not connection.has_died:  # the first to notice, of the requests that were under way
            connection.has_died = True
            self._deaths += 1
        said = process.last_words(self._home)
        if self._deaths >= MAX_DEATHS:
            raise EmbeddedServerFailed(
                f"The process of the embedded model ended again in the middle of an answer.\n{said}".strip(),
                "The model file or the memory of this machine may be the reason: try model='local-tiny'.",
            ) from None
        raise ConnectionLost(
            f"The process of the embedded model ended in the middle of an answer.\n{said}".strip(),
            "Send it again: a new one is started.",
        ) from None

    def _failed(self, problem: ServerProblem) -> EmbeddedServerFailed:
        """Return what a failure inside of the server is: not one of Mistral's, and not gone by itself a moment later."""
        return EmbeddedServerFailed(
            f"The embedded server failed (HTTP {problem.status_code}).\n{process.last_words(self._home)}".strip(),
            "Please report these lines; another model or a shorter request may pass.",
            status_code=problem.status_code,
        )

    async def _check(self, model: str) -> None:
        """Raise what is known to be wrong before a server is asked. Hashing a new file takes seconds, so in a thread."""
        if self._connection is None:
            process.check_engine_is_installed()
        state = self._file_state(model)
        if state is not None and self._checked.get(model) == state:
            return
        await _in_thread(self._sha256, model)
        if state is not None:
            self._checked[model] = state

    def _file_state(self, model: str) -> tuple[int, int, int] | None:
        """Return what changes when the model's file is written to or replaced; None where there is none."""
        local = LOCAL_MODELS.get(model)
        try:
            stat = (weights_folder(self._home) / local.file_name if local else Path(model).expanduser()).stat()
        except (OSError, ValueError, RuntimeError):  # no such file, no path at all, no such user
            return None
        return stat.st_size, stat.st_mtime_ns, stat.st_ino

    def _sha256(self, model: str) -> str:
        if model in LOCAL_MODELS:
            weights_path(model, home=self._home)
            return LOCAL_MODELS[model].sha256
        path = Path(model)
        if path.suffix.lower() == ".gguf":
            return file_sha256(path, home=self._home)
        if model.startswith("local-"):
            local_model(model)
        names = ", ".join(
            [name for name, local in LOCAL_MODELS.items() if local.role == "chat"]
            + [str(path) for path in (self._model_path,) if path is not None]
        )
        raise UnknownModel(
            f"{model!r} is no embedded model.",
            f"On this machine: {names}, or the path of a .gguf file. Mistral's own models need a key:\n{SET_KEY_LINE}",
        )

    def _file_name(self, model: str) -> str:
        return model if model in LOCAL_MODELS else Path(model).name


def _has_more_than_labels(request: CompletionRequest) -> bool:
    """Whether the form of the answer has more than the labels that a choice is about."""
    return request.response_format is not None and len(_properties(request.response_format)) > 1


def _with_labels(request: CompletionRequest, answer: JsonObject) -> CompletionRequest:
    """Return the request for an answer that has these labels, and more."""
    assert request.response_format is not None
    form = copy.deepcopy(request.response_format)
    most_tokens = request.max_tokens
    if most_tokens is not None:
        # A small model that does not find the end of its reasons would lose the label with them: they end at so many characters,
        # of which none has more tokens than bytes.
        for schema in _properties(form).values():
            if schema.get("type") == "string":
                schema.setdefault("maxLength", _MOST_CHARACTERS_OF_REASONS)
                most_tokens += _MOST_CHARACTERS_OF_REASONS * _MOST_BYTES_OF_CHARACTER
    _properties(form).update({name: {"const": value} for name, value in answer.items()})
    return replace(request, response_format=form, max_tokens=most_tokens, choice=None, options={})


def _properties(response_format: Any) -> dict[str, Any]:
    properties: dict[str, Any] = response_format["json_schema"]["schema"]["properties"]
    return properties


def _no_moderation() -> NotSupported:
    return NotSupported(
        "The embedded models don't moderate.",
        f"Mistral's moderation is free with a key:\n{SET_KEY_LINE}",
    )


async def _in_thread(function: Callable[[Unpack[_Args]], _Answer], *arguments: *_Args) -> _Answer:
    """Return what the function returns, without stopping the loop; when Python is ending and starts no thread, all the same."""
    try:
        future = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    except RuntimeError:
        return function(*arguments)
    return await future
