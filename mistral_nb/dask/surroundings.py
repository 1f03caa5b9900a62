"""What a partition shares with the others that are computed at the same time.

Promises: within one process everything is shared, as the session is; what can't be shared is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from mistral_nb.engine.budget import Budget
from mistral_nb.errors import InvalidOption

if TYPE_CHECKING:
    from mistral_nb.engine.occasion import Tab
    from mistral_nb.engine.request_record import RequestRecord

REMEDY = "Call the verb again with a larger budget_usd: what is answered is kept and not paid for again."
_MOST_CALLS = 1000


class BudgetTab:
    """The bill of one call, of which only the budget matters."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def note(self, record: "RequestRecord") -> None:
        """Take no notice."""


@contextmanager
def surroundings(budget: tuple[str, Decimal] | None, *, is_elsewhere: bool) -> "Iterator[tuple[Tab, ...]]":
    """Yield the bills on which a partition's requests go.

    Parameters
    ----------
    budget
        Name and limit of the call's.
    is_elsewhere
        Whether this is another process than the caller's.

    Raises
    ------
    InvalidOption
        There is a budget, and processes that know nothing of each other.
    """
    if budget is None:
        yield ()
        return
    if is_elsewhere:
        raise InvalidOption(
            "Processes without a scheduler between them can't share a budget.",
            "Compute with a cluster, client = distributed.Client(), or in threads, scheduler='threads'.",
        )
    yield (BudgetTab(_budget(*budget)),)


@lru_cache(maxsize=_MOST_CALLS)
def _budget(name: str, limit_usd: Decimal) -> Budget:
    return Budget(limit_usd, remedy=REMEDY)
