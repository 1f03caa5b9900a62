"""The only thing the doors talk to: complete, stream, run rows, embed, and what it cost.

Keeps to itself: which backend answers which model, the cache, the retries, the background loop.
Promises: plain calls (no await) that Ctrl-C cancels; one session per kernel for all doors, replaced when the settings change.
"""

import atexit
import dataclasses
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from mistral_nb import catalogue
from mistral_nb.backends.backend import Backend
from mistral_nb.backends.selection import backend_for
from mistral_nb.completion import (
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    JsonObject,
    ModelCard,
    Moderation,
    TokenUsage,
)
from mistral_nb.engine.background_loop import background_loop
from mistral_nb.engine.cache import AnswerCache
from mistral_nb.engine.columns import ColumnRun
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.engine.rows import RowsProgress, RowsResult, RowTask, run_rows
from mistral_nb.errors import EmptyPrompt, InvalidOption, MistralNotebookError
from mistral_nb.settings import REGIONS, Settings, checked_model_name, current_settings, is_local

DEFAULT_MAX_CONCURRENCY = 16
DEFAULT_EMBEDDING_MODELS = {"hosted": "mistral-embed", "embedded": "local-embed"}
DEFAULT_MODERATION_MODEL = "mistral-moderation-2603"
DEFAULT_FILL_IN_MIDDLE_MODELS = {"hosted": "codestral-latest", "embedded": "local-small"}

Messages = str | Sequence[JsonObject]
T = TypeVar("T")

_MESSAGES_EXAMPLE = '[{"role": "user", "content": "…"}]'


class Session:
    """Asks models, keeps answers, and knows the price.

    Parameters
    ----------
    settings
        Key, endpoint, model and folders.
    retry
        How patient requests are.
    max_concurrency
        Most requests of one run of rows under way at once.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        retry: RetryPolicy | None = None,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
    ) -> None:
        self.settings = settings
        self.last_run: ColumnRun | None = None
        self._retry = retry or RetryPolicy()
        self._max_concurrency = max_concurrency
        self._cache = AnswerCache(settings.home / "mistral_nb.sqlite")
        self._backends: dict[str, Backend] = {}
        self._lock = threading.Lock()
        self._calls = 0
        self._is_replaced = False

    def complete(
        self,
        prompt: Messages,
        *,
        model: str | None = None,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> Completion:
        """Return the answer to a prompt.

        Parameters
        ----------
        prompt
            A text, or chat messages as the API takes them.
        model
            Name, alias or short name; default: the settings' model.
        system
            System message put before the prompt.
        temperature, max_tokens
            As in the API; left out, the model's own default holds.
        **options
            Further fields of the API's request, e.g. ``top_p=0.9``, ``response_format={"type": "json_object"}``.

        Raises
        ------
        EmptyPrompt
            There is no text in the prompt.
        MistralNotebookError
            One subclass per cause, see `mistral_nb.errors`.

        Examples
        --------
        >>> import mistral_nb
        >>> answer = mistral_nb.session().complete("Say hello.", max_tokens=10)
        >>> answer.usage.completion_tokens <= 10
        True
        """
        request = self.request(
            prompt, model=model, system=system, temperature=temperature, max_tokens=max_tokens, **options
        )
        return self._run(self._complete(request))

    def stream(self, prompt: "Messages | CompletionRequest", **options: Any) -> Generator[Delta]:
        """Yield the answer piece by piece; prompt, options and errors as in `complete`, or a request made by `request`.

        Leaving the loop early (``break``, Ctrl-C) closes the connection, so that no further token is generated. The last delta
        has `finish_reason` and `usage`.
        """
        request = prompt if isinstance(prompt, CompletionRequest) else self.request(prompt, **options)
        return background_loop.iterate(self._stream(request))

    def request(
        self,
        prompt: Messages,
        *,
        model: str | None = None,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> CompletionRequest:
        """Return the request that `complete` would send, without sending it."""
        if isinstance(prompt, str):
            if not prompt.strip():
                raise EmptyPrompt("The prompt is empty.", "Write what you want to ask.")
            messages: tuple[JsonObject, ...] = ({"role": "user", "content": prompt},)
        elif isinstance(prompt, Sequence) and all(isinstance(message, Mapping) for message in prompt):
            turns: Sequence[Any] = prompt
            messages = tuple(turns)
            if not messages:
                raise EmptyPrompt("There are no messages.", f"Give at least one, e.g. {_MESSAGES_EXAMPLE}.")
        else:
            raise InvalidOption(f"The prompt is {_short(prompt)}.", f"Give a text, or messages: {_MESSAGES_EXAMPLE}.")
        if system:
            messages = ({"role": "system", "content": system}, *messages)
        named = {field.name for field in dataclasses.fields(CompletionRequest)} - {"options", "choice"}
        known = {name: value for name, value in options.items() if name in named}
        for name in ("stop", "tools"):
            if name in known:
                known[name] = (known[name],) if isinstance(known[name], str) else tuple(known[name])
        return CompletionRequest(
            model=self.model_name(model),
            messages=messages,
            temperature=temperature,
            max_tokens=max_tokens,
            options={name: value for name, value in options.items() if name not in named},
            **known,
        )

    def run(
        self,
        task: RowTask,
        texts: Sequence[str | None],
        *,
        model: str | None = None,
        on_progress: Callable[[RowsProgress], None] = lambda progress: None,
    ) -> RowsResult:
        """Return the task's value for each text; None (no text) stays None and causes no request.

        Raises
        ------
        MistralNotebookError
            Only what no row could escape (key, model, plan, engine); a row's own error is in the result.
        """
        name = self.model_name(model)
        return self._run(
            run_rows(
                task,
                texts,
                model=name,
                backend=self._backend(name),
                cache=self._cache,
                retry=self._retry,
                max_concurrency=self._max_concurrency,
                on_progress=on_progress,
            )
        )

    def fill_in_middle(
        self, prompt: str, suffix: str = "", *, model: str | None = None, max_tokens: int | None = None
    ) -> Completion:
        """Return the code between `prompt` and `suffix`; default model: codestral-latest, embedded local-small."""
        name = self.model_name(model or DEFAULT_FILL_IN_MIDDLE_MODELS[self.settings.answered_by])
        backend = self._backend(name)
        return self._try(lambda: backend.fill_in_middle(prompt, suffix, model=name, max_tokens=max_tokens))

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> Embeddings:
        """Return one vector per text, in order; default model: mistral-embed, embedded local-embed."""
        name = self.model_name(model or DEFAULT_EMBEDDING_MODELS[self.settings.answered_by])
        backend, several = self._backend(name), _several(texts)
        return self._try(lambda: backend.embed(several, model=name))

    def moderate(self, texts: Sequence[str], *, model: str | None = None) -> list[Moderation]:
        """Return the moderation model's claims and scores per text; only hosted models can."""
        name = self.model_name(model or DEFAULT_MODERATION_MODEL)
        backend, several = self._backend(name), _several(texts)
        return self._try(lambda: backend.moderate(several, model=name))

    def models(self) -> list[ModelCard]:
        """Return the models that the settings' endpoint (or the embedded server) offers."""
        return self._try(self._backend(self.model_name(None)).models)

    def cost_usd(self, model: str, usage: TokenUsage) -> Decimal | None:
        """Return what the tokens cost: 0 for an embedded model, None where the price is unknown or another's endpoint answers."""
        if is_local(model):
            return Decimal(0)
        if self.settings.server_url not in REGIONS.values():
            return None
        return catalogue.cost_usd(model, usage, region=self.settings.region)

    def model_name(self, model: str | None) -> str:
        """Return the API's name of the model that answers when `model` (or, with None, no model) is named."""
        return catalogue.full_name(checked_model_name(model or self.settings.default_model))

    def close(self) -> None:
        """Close connections and files; the embedded server ends a little later, with its last client."""
        with self._lock:
            backends = list(self._backends.values())
            self._backends.clear()
        for backend in backends:
            background_loop.run(backend.aclose())
        self._cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def retire(self) -> None:
        """Close as soon as no call is under way: other settings hold from now on, but nothing already asked is cut."""
        with self._lock:
            self._is_replaced = True
            is_idle = self._calls == 0
        if is_idle:
            self.close()

    def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        return self._run(self._retry.attempt(call))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with self._in_use():
            return background_loop.run(coroutine)

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._lock:
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                is_last = self._is_replaced and self._calls == 0
            if is_last:
                self.close()

    async def _complete(self, request: CompletionRequest) -> Completion:
        backend = self._backend(request.model)
        return await self._retry.attempt(lambda: backend.complete(request))

    async def _stream(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        """Stream, trying again only while nothing has been shown yet."""
        backend = self._backend(request.model)

        async def first_piece() -> tuple[Delta | None, AsyncGenerator[Delta]]:
            pieces = backend.stream(request)
            try:
                return await anext(pieces, None), pieces
            except MistralNotebookError:
                await pieces.aclose()
                raise

        first, pieces = await self._retry.attempt(first_piece)
        try:
            if first is not None:
                yield first
            async for delta in pieces:
                yield delta
        finally:
            await pieces.aclose()

    def _backend(self, model: str) -> Backend:
        """Return the backend that answers for the model, made at first use."""
        kind: Literal["embedded", "hosted"] = "embedded" if is_local(model) else "hosted"
        with self._lock:
            if kind not in self._backends:
                self._backends[kind] = backend_for(kind, self.settings)
            return self._backends[kind]


def _several(texts: Sequence[str]) -> Sequence[str]:
    """Return the texts; InvalidOption for a single one, whose letters would be taken for texts."""
    if isinstance(texts, str):
        raise InvalidOption(f"texts is the single text {_short(texts)}.", "Give a list of texts, e.g. [text].")
    return texts


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


_current: Session | None = None
_current_pid = 0
_current_lock = threading.RLock()
_inherited: list[Session] = []


def current_session() -> Session:
    """Return the session that all doors of this kernel share.

    It follows the settings: after `mistral_nb.configure` (or a change of the environment) the next call gives a new one.
    """
    global _current, _current_pid  # noqa: PLW0603  # one session per kernel is the point
    settings = current_settings()
    replaced: Session | None = None
    with _current_lock:
        if _current is not None and _current_pid != os.getpid():
            _inherited.append(_current)  # the parent's connections are not ours to close or to collect after a fork
            _current = None
        if _current is not None and _current.settings != settings:
            replaced, _current = _current, None
            replaced.retire()
        if _current is None:
            _current, _current_pid = Session(settings), os.getpid()
            _current.last_run = replaced.last_run if replaced is not None else None
        return _current


def close_current_session() -> None:
    """Close the shared session, if there is one; the next call of `current_session` opens another."""
    global _current  # noqa: PLW0603  # see current_session
    with _current_lock:
        if _current is not None and _current_pid == os.getpid():
            _current.close()
        _current = None


@atexit.register
def _close_at_exit() -> None:
    close_current_session()
    background_loop.close()
