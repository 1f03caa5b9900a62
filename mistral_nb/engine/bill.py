"""What one run has paid, in all and row by row.

Keeps to itself: how a row's share is stored. Each record that is kept is one more that the garbage collector looks through; plain
tuples of numbers and texts it leaves alone. So the records are made when one is asked for.
Promises: the shares of a request add up to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

from mistral_nb.completion import TokenUsage
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.cache import KeptAnswer
from mistral_nb.engine.receipt import sum_known
from mistral_nb.engine.request_record import RequestRecord
from mistral_nb.engine.rows import PaidRow

_ANSWER_FIELDS = tuple(field.name for field in fields(KeptAnswer))
_NO_ANSWER = None
_NOTHING: tuple[Any, ...] = (0, 0, Decimal(0), _NO_ANSWER)


class Bill:
    """Requests, tokens and dollars of one run; `cost_usd` is None once a price was unknown."""

    def __init__(self) -> None:
        self.requests = 0
        self.usage = TokenUsage()
        self.cost_usd: Decimal | None = Decimal(0)
        self._rows: dict[int, tuple[Any, ...]] = {}

    def add(self, usage: TokenUsage, cost_usd: Decimal | None) -> None:
        """Count one request that was answered."""
        self.requests += 1
        self.usage += usage
        self.cost_usd = None if cost_usd is None or self.cost_usd is None else self.cost_usd + cost_usd

    def share(
        self, numbers: Sequence[int], answers: Mapping[int, KeptAnswer], usage: TokenUsage, cost_usd: Decimal | None
    ) -> None:
        """Divide a request among the texts it asked for; `answers` are those that count from now on."""
        count = len(numbers)
        for place, number in enumerate(numbers):
            prompt_tokens, completion_tokens, paid_usd, *before = self._rows.get(number, _NOTHING)
            answer = answers.get(number)
            self._rows[number] = (
                prompt_tokens + share_of(usage.prompt_tokens, place, count),
                completion_tokens + share_of(usage.completion_tokens, place, count),
                None if cost_usd is None or paid_usd is None else paid_usd + cost_usd / count,
                *(before if answer is None else (getattr(answer, name) for name in _ANSWER_FIELDS)),
            )

    def rows(self) -> Mapping[int, PaidRow]:
        """Return what was paid for each text so far, by its number."""
        return _PaidRows(self._rows.copy())


class Opening:
    """What is asked before a run, for it: paid from the run's budget, and on its bill before the first row is."""

    def __init__(self, budget_usd: Decimal | None) -> None:
        self.budget = Budget(budget_usd)
        self.bill = Bill()

    def note(self, record: RequestRecord) -> None:
        """Count a request that was answered."""
        if record.error is None:
            usage = TokenUsage(
                prompt_tokens=record.prompt_tokens,
                cached_tokens=record.cached_tokens,
                completion_tokens=record.completion_tokens,
            )
            self.bill.add(usage, record.cost_usd)


class _PaidRows(Mapping[int, PaidRow]):
    def __init__(self, rows: dict[int, tuple[Any, ...]]) -> None:
        self._rows = rows

    def __getitem__(self, number: int) -> PaidRow:
        return _paid_row(self._rows[number])

    def __contains__(self, number: object) -> bool:
        return number in self._rows

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def paid_by_both(before: PaidRow | None, now: PaidRow) -> PaidRow:
    """Return what two requests for the same thing have paid, with the latest answer."""
    if before is None:
        return now
    return PaidRow(
        answer=now.answer,
        prompt_tokens=before.prompt_tokens + now.prompt_tokens,
        completion_tokens=before.completion_tokens + now.completion_tokens,
        cost_usd=sum_known([before.cost_usd, now.cost_usd]),
    )


def share_of(total: int, place: int, count: int) -> int:
    """Return one row's part of tokens that `count` rows used together; the parts add up to the total."""
    return total // count + (place < total % count)


def _paid_row(row: Sequence[Any]) -> PaidRow:
    prompt_tokens, completion_tokens, cost_usd, *answer = row
    return PaidRow(
        answer=None if answer == [_NO_ANSWER] else KeptAnswer(**dict(zip(_ANSWER_FIELDS, answer, strict=True))),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost_usd=cost_usd,
    )
