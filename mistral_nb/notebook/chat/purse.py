"""What a panel may spend, and has spent.

Promises: before a request is sent, the most it can cost is held; what it cost is counted also when it was stopped, failed half-way
or its turn was dropped; an unknown price makes the sum unknown, never smaller.
"""

import threading
from collections.abc import Generator
from contextlib import closing
from decimal import Decimal

from mistral_nb.completion import Completion, CompletionRequest, Delta
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.budgets import Budgets
from mistral_nb.engine.session import Session
from mistral_nb.notebook.outcome import estimated_usage

_REMEDY = "Give it more, e.g. panel.budget_usd = 1, clear the conversation, or choose a cheaper model."


class Purse:
    """Of one panel; its requests follow each other.

    Parameters
    ----------
    limit_usd
        Most that may be spent; None for no limit.
    """

    def __init__(self, limit_usd: Decimal | None) -> None:
        self._budget = Budget(limit_usd, name="The panel's budget", remedy=_REMEDY)
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
        self._budgets(model, session)

    def stream(self, request: CompletionRequest, session: Session) -> Generator[Delta]:
        """Yield the answer piece by piece, within the limit.

        Raises
        ------
        BudgetReached
            The request might cost more than is left; it was not sent.
        """
        budgets = self._budgets(request.model, session)
        held = budgets.most_usd(request)
        with self._lock:
            if not budgets.hold(held):
                raise budgets.reached(held)
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

    def _budgets(self, model: str, session: Session) -> Budgets:
        return Budgets(
            [self._budget],
            model=model,
            price=lambda usage: session.cost_usd(model, usage),
            counter=lambda: session.token_counter(model),
        )


def _cost(request: CompletionRequest, answer: Completion, session: Session) -> Decimal | None:
    """Return what an answer cost; of one that broke off, or whose server does not tell, about what it did."""
    usage = answer.usage if answer.usage.total_tokens else estimated_usage(request, answer)
    return session.cost_usd(request.model, usage)
