"""A budget that all workers keep together, in loans.

Keeps to itself: what was lent and is not held for a request.
Promises: as `Budget` does: what all workers hold and spend together is never more than the limit. What a worker does not need it
gives back as soon as none of its requests is under way. Used on the background loop.
"""

import asyncio
from decimal import Decimal
from typing import Any

from mistral_nb.dask.line import Line
from mistral_nb.engine.budget import Budget
from mistral_nb.errors import MistralNotebookError

# So that not every request asks, as many times what it needs are asked for.
_REQUESTS_PER_LOAN = 8
_UNUSED_SECONDS = 1.0


class SharedBudget(Budget):
    """One worker's part of a budget.

    Parameters
    ----------
    line
        To the coordinator.
    name
        Which budget, for the coordinator.
    limit_usd, title, remedy
        Its limit, and how it is called in an error.
    """

    def __init__(self, line: Line, name: str, limit_usd: Decimal, *, title: str, remedy: str) -> None:
        super().__init__(limit_usd, name=title, remedy=remedy)
        self._line = line
        self._key = name
        self._lent_usd = Decimal(0)
        self._asking: asyncio.Task[None] | None = None
        self._refused_usd: Decimal | None = None
        self._others_hold = False

    @property
    def may_have_more(self) -> bool:
        return self._asking is not None or self._others_hold or self.held_usd > 0

    def hold(self, worst_case_usd: Decimal) -> bool:
        lacking = self.held_usd + worst_case_usd - self._lent_usd
        if lacking > 0:
            is_refused = self._refused_usd is not None and lacking >= self._refused_usd
            if self._asking is None and (self._others_hold or not is_refused):
                self._asking = asyncio.get_running_loop().create_task(self._ask(lacking, worst_case_usd))
            return False
        self.held_usd += worst_case_usd
        return True

    def settle(self, worst_case_usd: Decimal, spent_usd: Decimal | None) -> None:
        cost_usd = worst_case_usd if spent_usd is None else spent_usd
        self.held_usd -= worst_case_usd
        self._lent_usd -= cost_usd
        self.spent_usd += cost_usd
        unneeded_usd = self._lent_usd if self.held_usd == 0 and self._asking is None else Decimal(0)
        self._lent_usd -= unneeded_usd
        if cost_usd or unneeded_usd:
            self._line.tell("money", (self._key, cost_usd + unneeded_usd, cost_usd), as_calls=_as_calls)

    async def _ask(self, least_usd: Decimal, each_usd: Decimal) -> None:
        try:
            await self._line.told()  # what was just given back may be what is missing
            told = await self._line.ask(
                "lend",
                budget=self._key,
                limit_usd=str(self.limit_usd),
                least_usd=str(least_usd),
                most_usd=str(least_usd + (_REQUESTS_PER_LOAN - 1) * each_usd),
            )
        except MistralNotebookError:
            self._others_hold = False
            self._refused_usd = Decimal(0)
            return
        finally:
            self._asking = None
        self._others_hold, self.spent_usd = told["others_hold"], Decimal(told["spent_usd"])
        if told["lent_usd"] is None:
            self._refused_usd = least_usd
            self._return_unneeded()  # two workers that each wait for what the other keeps would wait for ever
        else:
            self._refused_usd, self._others_hold = None, False
            self._lent_usd += Decimal(told["lent_usd"])
            asyncio.get_running_loop().call_later(_UNUSED_SECONDS, self._return_unneeded)

    def _return_unneeded(self) -> None:
        """Give back a loan that nobody came for."""
        if self.held_usd == 0 and self._asking is None and self._lent_usd > 0:
            self.settle(Decimal(0), Decimal(0))


def _as_calls(messages: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return one call for each budget that money goes back to."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for budget, lent_usd, spent_usd in messages:
        lent, spent = sums.get(budget, (Decimal(0), Decimal(0)))
        sums[budget] = (lent + lent_usd, spent + spent_usd)
    return [
        ("pay_back", {"budget": budget, "lent_usd": str(lent), "spent_usd": str(spent)})
        for budget, (lent, spent) in sums.items()
    ]
