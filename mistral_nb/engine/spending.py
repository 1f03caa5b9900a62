"""``with mistral_nb.spend(…) as bill:`` groups what is asked in a block, totals it, and keeps it within a budget.

Promises: what the block asks carries its tag in the ledger, whichever door it is asked through, runs in the background included;
the bill goes on counting these after the block.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from mistral_nb.counted import counted
from mistral_nb.engine.budget import Budget, checked_budget
from mistral_nb.engine.occasion import tagged
from mistral_nb.engine.request_record import RequestRecord
from mistral_nb.errors import InvalidOption


class Spending:
    """What a block has spent.

    Attributes
    ----------
    tag
        Its name, as in ``mistral_nb.usage(tag=…)``.
    requests, failed, rows, cached_rows
        Requests that were sent and those of them that failed; rows they carried; rows that took a kept answer.
    prompt_tokens, completion_tokens
        Of all requests.
    cost_usd
        The sum of what is known, exact.
    cost_unknown
        How many requests have no known cost.
    saved_usd
        What asking for the kept answers again would have cost, as far as known.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I was charged twice", "The parcel never came"])
    >>> with mistral_nb.spend("parcels", budget_usd=1) as bill:
    ...     topics = texts.mistral.classify(["billing", "delivery"])
    >>> bill.tag, bill.rows + bill.cached_rows, bill.failed, bill.cost_usd
    ('parcels', 2, 0, Decimal('0'))
    """

    def __init__(self, tag: str, limit_usd: Decimal | None) -> None:
        self.tag = tag
        self.requests = self.failed = self.rows = self.cached_rows = 0
        self.prompt_tokens = self.completion_tokens = 0
        self.cost_usd = Decimal(0)
        self.cost_unknown = 0
        self.saved_usd = Decimal(0)
        self.budget = Budget(
            limit_usd,
            name=f"The budget of {tag!r}",
            remedy="Give the block more: mistral_nb.spend(…, budget_usd=…). What is answered is kept and not paid for again.",
        )

    def note(self, record: RequestRecord) -> None:
        """Count a request of the block."""
        if record.from_cache:
            self.cached_rows += record.rows
            self.saved_usd += record.saved_usd or 0
            return
        self.requests += 1
        self.rows += record.rows
        self.failed += record.error is not None
        self.prompt_tokens += record.prompt_tokens
        self.completion_tokens += record.completion_tokens
        self.cost_unknown += record.cost_usd is None
        self.cost_usd += record.cost_usd or 0

    def __repr__(self) -> str:
        unknown = f" and {self.cost_unknown:,} of unknown cost" if self.cost_unknown else ""
        limit = f" of ${self.budget.limit_usd:f}" if self.budget.limit_usd is not None else ""
        parts = [
            f"{self.tag}: ${self.cost_usd:.6f}{limit}{unknown}",
            f"{counted(self.requests, 'request')}, {self.failed:,} failed",
            f"{self.prompt_tokens:,} + {self.completion_tokens:,} tokens",
        ]
        if self.cached_rows:
            parts.append(f"{counted(self.cached_rows, 'kept answer')} saved ${self.saved_usd:.6f}")
        return "; ".join(parts)


@contextmanager
def spend(tag: str, *, budget_usd: float | Decimal | None = None) -> Iterator[Spending]:
    """Tag and total what is asked in a ``with`` block, and keep it within a budget.

    Parameters
    ----------
    tag
        A name, e.g. "churn study"; ``mistral_nb.usage(tag="churn study")`` finds it again, in later kernels too.
    budget_usd
        Most that the block may spend. A block within a block counts for both.

    Yields
    ------
    Spending
        The bill so far: requests, rows, tokens, cost_usd, cost_unknown, saved_usd.

    Raises
    ------
    InvalidOption
        The tag is no text, or the budget no number of dollars.
    BudgetReached
        From a question that might cost more than is left; rows that do not fit are missing with it.

    Examples
    --------
    >>> import mistral_nb
    >>> with mistral_nb.spend("greetings", budget_usd=0.10) as bill:
    ...     answer = mistral_nb.session().complete("Say hello.", max_tokens=5)
    >>> bill.requests, bill.cost_usd
    (1, Decimal('0'))
    """
    if not isinstance(tag, str) or not tag.strip():
        raise InvalidOption(f"tag is {tag!r}.", 'Give a name, e.g. mistral_nb.spend("churn study").')
    bill = Spending(tag, checked_budget(budget_usd))
    with tagged(tag, bill):
        yield bill
