"""One question of a person who waits for the answer: ahead of rows, within the same limits, tried again.

Promises: a stream that was left early closes its connection; a stream is tried again only while nothing of it has been shown.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from mistral_nb.backends.backend import Backend
from mistral_nb.completion import CompletionRequest, Delta
from mistral_nb.engine.limiter import Limiter, Reservation
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.engine.tokens import estimated_tokens
from mistral_nb.errors import AskedFor, MistralNotebookError

T = TypeVar("T")

# Of an answer without max_tokens, before there is one.
_LIKELY_ANSWER_TOKENS = 500


def likely_tokens(texts: Sequence[str], answer_tokens: int | None) -> int:
    """Return about how many tokens a question and its answer take."""
    return sum(map(estimated_tokens, texts)) + (_LIKELY_ANSWER_TOKENS if answer_tokens is None else answer_tokens)


@contextmanager
def noting(asked_for: AskedFor) -> Iterator[None]:
    """Have an error that leaves the block say what was asked for."""
    try:
        yield
    except MistralNotebookError as error:
        error.note_request(asked_for)
        raise


async def ask(call: Callable[[], Awaitable[T]], *, limiter: Limiter, retry: RetryPolicy, asked_for: AskedFor) -> T:
    """Return the answer that `call` gives."""
    tokens = asked_for.tokens

    async def attempt() -> T:
        reservation = await limiter.reserve(tokens, is_urgent=True)
        try:
            answer = await call()
        except MistralNotebookError as error:
            reservation.failed(error)
            raise
        except BaseException:
            reservation.release()
            raise
        usage = getattr(answer, "usage", None)
        reservation.settle(
            tokens=tokens if usage is None else usage.total_tokens, rate_limits=getattr(answer, "rate_limits", None)
        )
        return answer

    with noting(asked_for):
        return await retry.attempt(attempt)


async def stream(
    request: CompletionRequest, *, backend: Backend, limiter: Limiter, retry: RetryPolicy
) -> AsyncGenerator[Delta]:
    """Yield the answer piece by piece."""
    texts = request.texts
    tokens = likely_tokens(texts, request.max_tokens)
    asked_for = AskedFor(model=request.model, count=len(texts), unit="message", tokens=tokens)

    async def first_piece() -> tuple[Delta | None, AsyncGenerator[Delta], Reservation]:
        reservation = await limiter.reserve(tokens, is_urgent=True)
        pieces = backend.stream(request)
        try:
            return await anext(pieces, None), pieces, reservation
        except MistralNotebookError as error:
            reservation.failed(error)
            await pieces.aclose()
            raise
        except BaseException:
            reservation.release()
            raise

    with noting(asked_for):
        last, pieces, reservation = await retry.attempt(first_piece)
    try:
        if last is not None:
            yield last
        async for last in pieces:
            yield last
        usage = last.usage if last is not None else None
        reservation.settle(tokens=tokens if usage is None else usage.total_tokens, rate_limits=None)
    except MistralNotebookError as error:
        reservation.failed(error)
        error.note_request(asked_for)
        raise
    finally:
        reservation.release()  # of a stream that was left early; otherwise this does nothing
        await pieces.aclose()
