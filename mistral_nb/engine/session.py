"""The only thing the doors talk to: complete, stream, run rows, embed, and what it cost.

Keeps to itself: which backend answers which model, the cache, the retries, the background loop.
Promises: plain calls (no await) that Ctrl-C cancels; one session per kernel for all doors, replaced when the settings change.
"""

import atexit
import dataclasses
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Literal, Self

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
from mistral_nb.errors import EmptyPrompt, MistralNotebookError
from mistral_nb.settings import Settings, current_settings, is_local

DEFAULT_MAX_CONCURRENCY = 16
DEFAULT_EMBEDDING_MODELS = {"hosted": "mistral-embed", "embedded": "local-embed"}
DEFAULT_MODERATION_MODEL = "mistral-moderation-2603"
DEFAULT_FILL_IN_MIDDLE_MODELS = {"hosted": "codestral-latest", "embedded": "local-small"}

Messages = str | Sequence[JsonObject]


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
        return background_loop.run(self._complete(request))

    def stream(self, request: CompletionRequest) -> Iterator[Delta]:
        """Yield the answer to a request (see `request`) piece by piece; errors as in `complete`.

        Leaving the loop early (``break``, Ctrl-C) closes the connection, so that no further token is generated. The last delta
        has `finish_reason` and `usage`.
        """
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
        else:
            messages = tuple(prompt)
            if not messages:
                raise EmptyPrompt(
                    "There are no messages.", 'Give at least one, e.g. [{"role": "user", "content": "…"}].'
                )
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
        return background_loop.run(
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
        return background_loop.run(
            self._retry.attempt(lambda: backend.fill_in_middle(prompt, suffix, model=name, max_tokens=max_tokens))
        )

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> Embeddings:
        """Return one vector per text, in order; default model: mistral-embed, embedded local-embed."""
        name = self.model_name(model or DEFAULT_EMBEDDING_MODELS[self.settings.answered_by])
        backend = self._backend(name)
        return background_loop.run(self._retry.attempt(lambda: backend.embed(texts, model=name)))

    def moderate(self, texts: Sequence[str], *, model: str | None = None) -> list[Moderation]:
        """Return the moderation model's claims and scores per text; only hosted models can."""
        backend = self._backend(self.model_name(None))
        name = model or DEFAULT_MODERATION_MODEL
        return background_loop.run(self._retry.attempt(lambda: backend.moderate(texts, model=name)))

    def models(self) -> list[ModelCard]:
        """Return the models that the settings' endpoint (or the embedded server) offers."""
        backend = self._backend(self.model_name(None))
        return background_loop.run(self._retry.attempt(backend.models))

    def cost_usd(self, model: str, usage: TokenUsage) -> Decimal | None:
        """Return what the tokens cost: 0 for an embedded model, None where the price is unknown."""
        if is_local(model):
            return Decimal(0)
        return catalogue.cost_usd(model, usage, region=self.settings.region)

    def model_name(self, model: str | None) -> str:
        """Return the API's name of the model that answers when `model` (or, with None, no model) is named."""
        return catalogue.full_name(model or self.settings.default_model)

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


_current: Session | None = None
_current_pid = 0
_current_lock = threading.RLock()


def current_session() -> Session:
    """Return the session that all doors of this kernel share.

    It follows the settings: after `mistral_nb.configure` (or a change of the environment) the next call gives a new one.
    """
    global _current, _current_pid  # noqa: PLW0603  # one session per kernel is the point
    settings = current_settings()
    with _current_lock:
        if _current is not None and _current_pid != os.getpid():
            _current = None  # the parent's connections are not ours to close after a fork
        if _current is not None and _current.settings != settings:
            _current.close()
            _current = None
        if _current is None:
            _current, _current_pid = Session(settings), os.getpid()
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
