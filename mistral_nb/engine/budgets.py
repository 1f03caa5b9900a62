"""The budgets that one request has to fit into: its run's, its block's, the kernel's, the day's.

Keeps to itself: how the most that a request can cost is found.
Promises: money is held in all of them or in none; where no budget has a limit, nothing is counted and no tokenizer is loaded.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

from mistral_nb.completion import CompletionRequest, RowRequest, TokenUsage
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.tokens import TokenCounter
from mistral_nb.errors import BudgetReached
from mistral_nb.price_list import unknown_price

Price = Callable[[TokenUsage], Decimal | None]

# Within a budget an answer without max_tokens is bounded by this: what can't be bounded can't be held.
MOST_ANSWER_TOKENS = 4_096
# An image is looked at in squares of 16 × 16 pixels, at most 64 × 64 of them and one more token per row (mistral-common, 2026-11).
_MOST_TOKENS_OF_AN_IMAGE = 64 * 65
SECONDS_BETWEEN_LOOKS = 0.1


class Budgets:
    """Several budgets that are held together.

    Parameters
    ----------
    budgets
        All that apply; those without a limit count what is spent.
    price
        What tokens cost.
    counter
        Gives what counts the model's tokens; asked for only where a budget has a limit.

    Raises
    ------
    UnknownPrice
        A budget has a limit, and there is no price to keep it with.
    """

    def __init__(
        self, budgets: Sequence[Budget], *, model: str, price: Price, counter: Callable[[], TokenCounter]
    ) -> None:
        self._budgets = budgets
        self._price = price
        self._counter: TokenCounter | None = None
        self._blocking: Budget | None = None
        if any(budget.is_limited for budget in budgets):
            one = price(TokenUsage(prompt_tokens=1, completion_tokens=1))
            if one is None:
                raise unknown_price(model, where="here")
            self._counter = counter() if one else None

    @property
    def bounds_answers(self) -> bool:
        """Whether a request needs max_tokens."""
        return self._counter is not None

    def most_usd(self, request: RowRequest) -> Decimal:
        """Return the most that a request can cost; 0 where nothing is held, because there is no limit or no price to pay."""
        if self._counter is None:
            return Decimal(0)
        prompt_tokens = self._counter.most_prompt_tokens(request) + _images(request) * _MOST_TOKENS_OF_AN_IMAGE
        most = request.most_completion_tokens
        answer_tokens = MOST_ANSWER_TOKENS if most is None else most
        cost_usd = self._price(TokenUsage(prompt_tokens=prompt_tokens, completion_tokens=answer_tokens))
        assert cost_usd is not None, "a budget is refused where the price is unknown"
        return cost_usd

    def hold(self, most_usd: Decimal) -> bool:
        """Hold the amount in each budget; False, and nothing held, where one of them has not that much."""
        held: list[Budget] = []
        for budget in self._budgets:
            if not budget.hold(most_usd):
                self._blocking = budget
                for other in held:
                    other.settle(most_usd, Decimal(0))
                return False
            held.append(budget)
        return True

    @property
    def may_have_more(self) -> bool:
        """Whether waiting can help where `hold` did not: others hold something, which they may give back."""
        return self._blocking is not None and self._blocking.may_have_more

    async def hold_or_raise(self, most_usd: Decimal) -> None:
        """Hold the amount, after waiting for what others hold; BudgetReached where that can't help."""
        while not self.hold(most_usd):
            if not self.may_have_more:
                raise self.reached(most_usd)
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)

    def settle(self, most_usd: Decimal, spent_usd: Decimal | None) -> None:
        """Give back what was held and count what was spent; None counts all that was held."""
        for budget in self._budgets:
            budget.settle(most_usd, spent_usd)

    def reached(self, most_usd: Decimal, *, left: str = "") -> BudgetReached:
        """Return the error of what did not fit."""
        assert self._blocking is not None
        return self._blocking.reached(most_usd, left=left)


def _images(request: RowRequest) -> int:
    if not isinstance(request, CompletionRequest):
        return 0
    contents = (message.get("content") for message in request.messages)
    return sum(
        chunk.get("type") == "image_url" for content in contents if isinstance(content, list) for chunk in content
    )
