"""What a panel may spend, and has spent.

Promises: before a request is sent, the most it can cost is held; what it cost is counted also when it was stopped, failed half-way
or its turn was dropped; an unknown price makes the sum unknown, never smaller.
"""

import threading
from collections.abc import Generator
from contextlib import closing
from decimal import Decimal

from mistral_nb.completion import Completion, CompletionRequest, Delta, TokenUsage
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.session import Session
from mistral_nb.errors import BudgetReached, UnknownPrice
from mistral_nb.notebook.outcome import estimated_usage

# Of an answer without max_tokens, where there is a budget to keep.
MOST_ANSWER_TOKENS = 4_096
# An image is looked at in squares of 16 × 16 pixels, at most 64 × 64 of them and one more token per row (mistral-common, 2026-11).
_MOST_TOKENS_OF_AN_IMAGE = 64 * 65


class Purse:
    """Of one panel; its requests follow each other.

    Parameters
    ----------
    limit_usd
        Most that may be spent; None for no limit.
    """

    def __init__(self, limit_usd: Decimal | None) -> None:
        self._budget = Budget(limit_usd)
        self._is_known = True
        self._lock = threading.Lock()

    @property
    def limit_usd(self) -> Decimal | None:
        return self._budget.limit_usd

    @limit_usd.setter
    def limit_usd(self, limit_usd: Decimal | None) -> None:
        self._budget.limit_usd = limit_usd

    @property
    def spent_usd(self) -> Decimal | None:
        """What all answers cost so far; None where one's price is not known."""
        return self._budget.spent_usd if self._is_known else None

    def check_price(self, model: str, session: Session) -> None:
        """Raise UnknownPrice where there is a limit and no price to keep it with."""
        if self.limit_usd is not None and session.cost_usd(model, TokenUsage()) is None:
            raise UnknownPrice(
                f"The price of {model} at {session.settings.server_url} is not known, so no budget can be kept.",
                "Leave budget_usd out, or use a model with a price, e.g. model='mistral-small-latest'.",
            )

    def stream(self, request: CompletionRequest, session: Session) -> Generator[Delta]:
        """Yield the answer piece by piece, within the limit.

        Raises
        ------
        BudgetReached
            The request might cost more than is left; it was not sent.
        """
        held = Decimal(0) if self.limit_usd is None else self._most_usd(request, session)
        with self._lock:
            if not self._budget.hold(held):
                raise BudgetReached(
                    f"The panel's budget of ${self.limit_usd} is reached: ${self._budget.spent_usd:.4f} is spent, and this "
                    f"request may cost ${held:.4f}.",
                    "Give it more, e.g. panel.budget_usd = 1, clear the conversation, or choose a cheaper model.",
                )
        answer = Completion(text="", model=request.model, finish_reason="")
        is_begun = False
        try:
            with closing(session.stream(request)) as pieces:
                for delta in pieces:
                    is_begun = True
                    answer = answer.extended_by(delta)
                    yield delta
        finally:
            self._settle(held, _cost(request, answer, session) if is_begun else Decimal(0))

    def _settle(self, held: Decimal, cost: Decimal | None) -> None:
        with self._lock:
            self._budget.settle(held, cost or Decimal(0))
            self._is_known = self._is_known and cost is not None

    def _most_usd(self, request: CompletionRequest, session: Session) -> Decimal:
        images = sum(
            chunk.get("type") == "image_url"
            for message in request.messages
            if isinstance(message.get("content"), list)
            for chunk in message["content"]
        )
        prompt = session.token_counter(request.model).most_prompt_tokens(request) + images * _MOST_TOKENS_OF_AN_IMAGE
        usage = TokenUsage(prompt_tokens=prompt, completion_tokens=request.max_tokens or MOST_ANSWER_TOKENS)
        self.check_price(request.model, session)
        return session.cost_usd(request.model, usage) or Decimal(0)


def _cost(request: CompletionRequest, answer: Completion, session: Session) -> Decimal | None:
    """Return what an answer cost; of one that broke off, or whose server does not tell, about what it did."""
    usage = answer.usage if answer.usage.total_tokens else estimated_usage(request, answer)
    return session.cost_usd(request.model, usage)
