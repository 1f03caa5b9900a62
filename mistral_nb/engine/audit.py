"""Packed rows asked again alone: what that says of packing.

Keeps to itself: which rows, and when a pack is too large.
Promises: the choice depends on the texts alone, not on their order; pure bookkeeping, nothing is sent here.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mistral_nb.engine.rows import PackingAudit

SHARE = 0.02
FEWEST_ROWS = 5
MOST_ROWS = 50
TIMES_ALONE = 2


def rows_to_audit(numbers: Sequence[int], key: Callable[[int], bytes]) -> list[int]:
    """Return about 2 % of the numbers (at least 5, at most 50): those with the smallest keys, which are hashes."""
    count = min(MOST_ROWS, max(FEWEST_ROWS, round(len(numbers) * SHARE)))
    return heapq.nsmallest(count, numbers, key=key)


@dataclass(slots=True)
class _AuditedRow:
    packed: list[Any] = field(default_factory=list)
    rows_per_request: int = 0
    alone: list[Any] = field(default_factory=list)


class Audit:
    """The audited rows of one run.

    Parameters
    ----------
    agrees
        Whether two values say the same.
    rows_per_request
        Rows in one request at the beginning.
    """

    def __init__(self, agrees: Callable[[Any, Any], bool], *, rows_per_request: int) -> None:
        self.rows_per_request = rows_per_request
        self._agrees = agrees
        self._open: dict[int, _AuditedRow] = {}
        self._rows = self._packed_disagreements = self._alone_disagreements = 0
        self._since_change = (0, 0, 0)

    def begin(self, number: int) -> None:
        """Wait for the answers of this row."""
        self._open[number] = _AuditedRow()

    def is_waiting_for(self, number: int) -> bool:
        """Whether the row is audited and answers of it are still to come."""
        return number in self._open

    def drop(self, number: int) -> None:
        """Leave the row out: one of its answers will not come."""
        self._open.pop(number, None)

    def note_packed(self, number: int, value: Any, *, rows_per_request: int) -> None:
        """Note the row's value from a request that it shared."""
        if number in self._open:
            row = self._open[number]
            row.packed, row.rows_per_request = [value], rows_per_request
            self._compare(number, row)

    def note_alone(self, number: int, value: Any) -> None:
        """Note the row's value from a request of its own."""
        if number in self._open:
            row = self._open[number]
            row.alone.append(value)
            self._compare(number, row)

    def report(self) -> PackingAudit:
        """Return what was found so far."""
        return PackingAudit(
            rows=self._rows,
            packed_disagreements=self._packed_disagreements,
            alone_disagreements=self._alone_disagreements,
            rows_per_request=self.rows_per_request,
        )

    def _compare(self, number: int, row: _AuditedRow) -> None:
        if not row.packed or len(row.alone) < TIMES_ALONE:
            return
        del self._open[number]
        first, second = row.alone[:TIMES_ALONE]
        packed_disagrees = not self._agrees(row.packed[0], first)
        alone_disagrees = not self._agrees(first, second)
        self._rows += 1
        self._packed_disagreements += packed_disagrees
        self._alone_disagreements += alone_disagrees
        if row.rows_per_request > self.rows_per_request:
            return  # of a size that has been given up already
        rows, packed, alone = self._since_change
        self._since_change = (rows + 1, packed + packed_disagrees, alone + alone_disagrees)
        rows, packed, alone = self._since_change
        if rows >= FEWEST_ROWS and packed > alone and self.rows_per_request > 1:
            self.rows_per_request //= 2
            self._since_change = (0, 0, 0)
