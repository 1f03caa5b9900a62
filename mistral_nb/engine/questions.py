"""Single questions of one session: within its limits and budgets, reported.

Promises: everything that belongs to the caller's thread (who asks, which span is current, loading a tokenizer) is read there,
before the question is handed to the background loop.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from mistral_nb.completion import CompletionRequest, Delta, InputsRequest
from mistral_nb.engine.asking import AnswerT, ask, likely_tokens, stream
from mistral_nb.engine.books import Books
from mistral_nb.engine.budgets import MOST_ANSWER_TOKENS, Budgets
from mistral_nb.engine.provider import Provider
from mistral_nb.engine.request_record import Operation
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.engine.telemetry import occasion_now
from mistral_nb.errors import AskedFor

RequestT = TypeVar("RequestT", CompletionRequest, InputsRequest)


class Questions:
    """What asks one question after the other.

    Parameters
    ----------
    provider, books, retry
        Who answers, who is told, how patient it is.
    """

    def __init__(self, provider: Provider, books: Books, retry: RetryPolicy) -> None:
        self._provider = provider
        self._books = books
        self._retry = retry

    def ask(
        self,
        request: RequestT,
        call: Callable[[RequestT], Awaitable[AnswerT]],
        *,
        operation: Operation,
        verb: str,
    ) -> Coroutine[Any, Any, AnswerT]:
        """Return the asking of a question, which `call` sends; `verb` is what for, unless a door has said."""
        model, occasion = request.model, occasion_now(verb)
        budgets = self._books.budgets(model, occasion)
        asked = _bounded(request, budgets)
        return ask(
            lambda: call(asked),
            opened=self._books.opened(occasion, operation, asked),
            limiter=self._provider.limiter(model),
            retry=self._retry,
            price=partial(self._provider.cost_usd, model),
            budgets=budgets,
            most_usd=budgets.most_usd(asked),
            asked_for=AskedFor(
                model=model,
                count=len(request.texts),
                unit="message" if operation == "chat" else "text",
                tokens=likely_tokens(request.texts, request.max_tokens),
            ),
        )

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        """Return the answer's pieces as they come."""
        model, occasion = request.model, occasion_now("stream")
        budgets = self._books.budgets(model, occasion)
        asked = _bounded(request, budgets)
        return stream(
            asked,
            opened=self._books.opened(occasion, "chat", asked),
            backend=self._provider.backend(model),
            limiter=self._provider.limiter(model),
            retry=self._retry,
            price=partial(self._provider.cost_usd, model),
            budgets=budgets,
            most_usd=budgets.most_usd(asked),
        )


def _bounded(request: RequestT, budgets: Budgets) -> RequestT:
    """Return the request with a bound for its answer, where a budget has to be kept."""
    if budgets.bounds_answers and isinstance(request, CompletionRequest) and request.max_tokens is None:
        return replace(request, max_tokens=MOST_ANSWER_TOKENS)
    return request
