"""One question of a person who waits for the answer: ahead of rows, within the same limits, tried again, reported.

Promises: a stream that was left early closes its connection; a stream is tried again only while nothing of it has been shown.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeVar

from mistral_nb.backends.backend import Backend
from mistral_nb.completion import Completion, CompletionRequest, Delta, TokenUsage
from mistral_nb.engine.budgets import Budgets, Price
from mistral_nb.engine.leave import LeaveToSend
from mistral_nb.engine.limiter import Reservation
from mistral_nb.engine.open_request import Answer, OpenRequest, may_be_billed
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.engine.tokens import estimated_tokens
from mistral_nb.errors import AskedFor, MistralNotebookError, Refused

AnswerT = TypeVar("AnswerT", bound=Answer)

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


async def _reserved(limiter: LeaveToSend, tokens: int, budgets: Budgets, most_usd: Decimal) -> Reservation:
    """Return leave to send, the money held."""
    await budgets.hold_or_raise(most_usd)
    try:
        return await limiter.reserve(tokens, is_urgent=True)
    except BaseException:
        budgets.settle(most_usd, Decimal(0))
        raise


def _note_failure(
    error: MistralNotebookError,
    *,
    opened: OpenRequest,
    reservation: Reservation,
    price: Price,
    budgets: Budgets,
    most_usd: Decimal,
) -> None:
    """Note how a request failed; an answer that was withheld was paid for all the same."""
    withheld = error.withheld if isinstance(error, Refused) else None
    if withheld is None:
        reservation.failed(error)
        opened.failed(error)
        budgets.settle(most_usd, None if may_be_billed(error) else Decimal(0))
    else:
        cost_usd = price(withheld.usage)
        reservation.settle(tokens=withheld.usage.total_tokens, rate_limits=withheld.rate_limits)
        opened.answered(withheld, cost_usd=cost_usd, error=error)
        budgets.settle(most_usd, cost_usd)


async def ask(
    call: Callable[[], Awaitable[AnswerT]],
    *,
    opened: OpenRequest,
    limiter: LeaveToSend,
    retry: RetryPolicy,
    price: Price,
    budgets: Budgets,
    most_usd: Decimal,
    asked_for: AskedFor,
) -> AnswerT:
    """Return the answer that `call` gives."""
    tokens = asked_for.tokens

    async def attempt() -> AnswerT:
        reservation = await _reserved(limiter, tokens, budgets, most_usd)
        opened.attempt()
        try:
            answer = await call()
        except MistralNotebookError as error:
            _note_failure(
                error, opened=opened, reservation=reservation, price=price, budgets=budgets, most_usd=most_usd
            )
            raise
        except BaseException:
            reservation.release()
            budgets.settle(most_usd, None)
            raise
        usage = getattr(answer, "usage", None)
        reservation.settle(
            tokens=tokens if usage is None else usage.total_tokens, rate_limits=getattr(answer, "rate_limits", None)
        )
        cost_usd = price(usage or TokenUsage())
        opened.answered(answer, cost_usd=cost_usd)
        budgets.settle(most_usd, cost_usd)
        return answer

    try:
        with noting(asked_for):
            return await retry.attempt(attempt)
    finally:
        opened.end()


async def stream(
    request: CompletionRequest,
    *,
    opened: OpenRequest,
    backend: Backend,
    limiter: LeaveToSend,
    retry: RetryPolicy,
    price: Price,
    budgets: Budgets,
    most_usd: Decimal,
) -> AsyncGenerator[Delta]:
    """Yield the answer piece by piece."""
    texts = request.texts
    tokens = likely_tokens(texts, request.max_tokens)
    asked_for = AskedFor(model=request.model, count=len(texts), unit="message", tokens=tokens)
    heard = Completion(text="", model=request.model, finish_reason="")

    async def first_piece() -> tuple[Delta | None, AsyncGenerator[Delta], Reservation]:
        reservation = await _reserved(limiter, tokens, budgets, most_usd)
        opened.attempt()
        pieces = backend.stream(request)
        try:
            return await anext(pieces, None), pieces, reservation
        except MistralNotebookError as error:
            _note_failure(
                error, opened=opened, reservation=reservation, price=price, budgets=budgets, most_usd=most_usd
            )
            await pieces.aclose()
            raise
        except BaseException:
            reservation.release()
            budgets.settle(most_usd, None)
            raise

    try:
        with noting(asked_for):
            last, pieces, reservation = await retry.attempt(first_piece)
    except BaseException:
        opened.end()
        raise
    cost_usd = None
    try:
        if last is not None:
            heard = heard.extended_by(last)
            yield last
        async for last in pieces:
            heard = heard.extended_by(last)
            yield last
        usage = last.usage if last is not None else None
        reservation.settle(tokens=tokens if usage is None else usage.total_tokens, rate_limits=None)
        cost_usd = price(heard.usage)
        opened.answered(heard, cost_usd=cost_usd)
    except MistralNotebookError as error:
        reservation.failed(error)
        opened.failed(error)
        error.note_request(asked_for)
        raise
    finally:
        reservation.release()  # of a stream that was left early; otherwise this does nothing
        opened.end(heard)  # likewise
        budgets.settle(most_usd, cost_usd)
        await pieces.aclose()
