"""Money held before it is spent.

Promises: exact amounts (`Decimal`); what is spent and held together is never more than the limit, so the limit is not overshot as
long as no request costs more than was held for it.
"""

from decimal import Decimal

from mistral_nb.errors import BudgetReached, InvalidOption


class Budget:
    """A limit in USD, what is spent of it, and what is held for requests under way; without a limit it only counts.

    Parameters
    ----------
    limit_usd
        Most that may be spent; None for no limit.
    name
        What the limit is, for the error: "The budget".
    remedy
        What to do when it is reached.
    """

    def __init__(
        self,
        limit_usd: Decimal | None,
        *,
        name: str = "The budget",
        remedy: str = "Run it again with a larger budget_usd: what is answered is kept and not paid for again.",
    ) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = Decimal(0)
        self.held_usd = Decimal(0)
        self._name = name
        self._remedy = remedy

    @property
    def is_limited(self) -> bool:
        return self.limit_usd is not None

    @property
    def may_have_more(self) -> bool:
        """Whether requests under way may give back some of what is held for them."""
        return self.held_usd > 0

    def hold(self, worst_case_usd: Decimal) -> bool:
        """Hold the most that a request can cost; False, and nothing held, where it would not fit."""
        if self.limit_usd is not None and self.spent_usd + self.held_usd + worst_case_usd > self.limit_usd:
            return False
        self.held_usd += worst_case_usd
        return True

    def settle(self, worst_case_usd: Decimal, spent_usd: Decimal | None) -> None:
        """Give back what was held for a request, and count what it cost; None, where that is not known, counts all of it."""
        self.held_usd -= worst_case_usd
        self.spent_usd += worst_case_usd if spent_usd is None else spent_usd

    def reached(self, worst_case_usd: Decimal, *, left: str = "") -> BudgetReached:
        """Return the error of what does not fit any more; `left` says what is left to do."""
        return BudgetReached(
            f"{self._name} of ${self.limit_usd:f} is reached: ${self.spent_usd:.6f} is spent, and the next request may cost "
            f"${worst_case_usd:.6f}.{left and f' Left to do: {left}.'}",
            self._remedy,
        )


def checked_budget(budget_usd: object) -> Decimal | None:
    """Return the limit as an exact amount; InvalidOption for anything but a positive, finite number of dollars."""
    if budget_usd is None:
        return None
    try:
        limit = Decimal(str(budget_usd))
    except ArithmeticError:
        limit = Decimal("NaN")
    if isinstance(budget_usd, bool) or not limit.is_finite() or limit <= 0:
        raise InvalidOption(f"budget_usd is {budget_usd!r}.", "Give dollars, e.g. budget_usd=0.50.")
    return limit
