"""What a partition shares with the others that are computed at the same time.

Promises: within one process everything is shared, as the session is; within a cluster limits, budgets and questions are; what can't
be shared is refused.
"""

import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from mistral_nb.dask.membership import Member
from mistral_nb.engine.budget import Budget
from mistral_nb.errors import InvalidOption
from mistral_nb.settings import current_settings

if TYPE_CHECKING:
    from mistral_nb.engine.occasion import Tab
    from mistral_nb.engine.request_record import RequestRecord

_MORE = "Call the verb again with a larger budget_usd: what is answered is kept and not paid for again."
_MOST_CALLS = 1000


class BudgetTab:
    """A bill of which only the budget matters."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def note(self, record: "RequestRecord") -> None:
        """Take no notice."""


def shared_bills(budget: tuple[str, Decimal] | None, *, caller: str, member: Member | None) -> "tuple[Tab, ...]":
    """Return the bills on which a partition's requests go, in another process than the caller's.

    Parameters
    ----------
    budget
        Name and limit of the call's.
    caller
        The process in which the call was made.
    member
        This process, where it has a worker of a cluster.

    Raises
    ------
    InvalidOption
        There is a budget, and processes that know nothing of each other.
    """
    if member is None:
        if budget is None:
            return ()
        raise InvalidOption(
            "Processes without a scheduler between them can't share a budget.",
            'Compute with a cluster, client = distributed.Client(), or in threads, scheduler="threads".',
        )
    settings, budgets = current_settings(), []
    if budget is not None:
        name, limit_usd = budget
        budgets.append(member.budget(f"call/{name}", limit_usd, title="The budget", remedy=_MORE))
    if settings.budget_usd_per_session is not None:
        limit_usd = settings.budget_usd_per_session
        remedy = "Allow more: mistral_nb.configure(budget_usd_per_session=…). What is answered is kept and not paid for again."
        budgets.append(
            member.budget(f"session/{caller}/{limit_usd}", limit_usd, title="The kernel's budget", remedy=remedy)
        )
    if settings.budget_usd_per_day is not None:
        limit_usd, today = settings.budget_usd_per_day, datetime.datetime.now(tz=datetime.UTC).date()
        remedy = (
            "Allow more: mistral_nb.configure(budget_usd_per_day=…). What is answered is kept and not paid for again."
        )
        budgets.append(member.budget(f"day/{today}/{limit_usd}", limit_usd, title="The day's budget", remedy=remedy))
    return tuple(BudgetTab(each) for each in budgets)


def own_bills(budget: tuple[str, Decimal] | None) -> "tuple[Tab, ...]":
    """Return the bills on which a partition's requests go in the caller's own process."""
    return () if budget is None else (BudgetTab(_budget(*budget)),)


@lru_cache(maxsize=_MOST_CALLS)
def _budget(name: str, limit_usd: Decimal) -> Budget:
    return Budget(limit_usd, remedy=_MORE)
