"""What goes into the next request: rows asked alone, rows that share one, rows asked again.

Keeps to itself: the queues, and when it is decided how many rows share a request.
Promises: every number it was given is handed out until it is answered or given up; nothing is sent here.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mistral_nb.completion import RowRequest
from mistral_nb.engine.audit import TIMES_ALONE, Audit
from mistral_nb.engine.leave import LeaveToSend
from mistral_nb.engine.plan import RowsPlan
from mistral_nb.engine.tokens import estimated_tokens


@dataclass(slots=True, eq=False)
class Unit:
    """What one request asks: the numbers of its texts, several when they share it.

    `correction` asks for a text's answer once more, with what was wrong with it; `corrections` counts how often.
    """

    numbers: tuple[int, ...]
    is_audit: bool = False
    correction: RowRequest | None = None
    corrections: int = 0
    failed_attempts: int = 0
    first_sent: float | None = None


class UnitQueue:
    """The requests that a plan still needs, made when they are asked for.

    Parameters
    ----------
    plan
        Whose unanswered texts are asked.
    limiter
        Says how many requests can be under way at once, which decides how many rows share one.
    packs_rows
        Whether the backend gains from shared requests.
    is_open
        Whether a number still has neither value nor error.
    mine
        Of new numbers, those that this run must ask: the others are answered, or being asked, elsewhere.
    """

    def __init__(
        self,
        plan: RowsPlan,
        *,
        limiter: LeaveToSend,
        packs_rows: bool,
        is_open: Callable[[int], bool],
        mine: Callable[[Sequence[int]], list[int]],
    ) -> None:
        self.audit: Audit | None = None
        self._plan = plan
        self._limiter = limiter
        self._packs_rows = packs_rows
        self._is_open = is_open
        self._mine = mine
        self._new = deque(plan.unanswered)
        self._new_long: deque[int] = deque()
        self._ready: deque[Unit] = deque()
        self._audits: dict[int, list[Unit]] = {}
        self._has_decided_packing = False
        self._rows_per_request = 1

    def next(self) -> Unit | None:
        """Return what to ask next: what must be asked again, then new rows, then audits; None when all of it is asked."""
        unit = self._next_ready()
        if unit is not None:
            return unit
        self._decide_packing()
        while self._new or self._new_long:
            gathered = self._gathered()
            numbers = self._mine(gathered)
            # What is answered elsewhere, or asked alone after all, says nothing of packing.
            self._leave_out_of_audit(set(gathered).difference(numbers) if len(numbers) > 1 else gathered)
            if numbers:
                return Unit(tuple(numbers))
        for number in list(self._audits):
            self._ready.extend(self._audits.pop(number))
        return self._next_ready()

    @property
    def left(self) -> int:
        """About how many requests are still to be handed out."""
        rows_per_request = self.audit.rows_per_request if self.audit is not None else self._rows_per_request
        return len(self._ready) + len(self._new_long) + -(-len(self._new) // rows_per_request)

    def add(self, number: int) -> None:
        """Ask this text as if it were new: nobody else will."""
        is_long = self._rows_per_request > 1 and self._plan.goes_alone(self._tokens(number))
        (self._new_long if is_long else self._new).append(number)

    def ask_again(self, unit: Unit) -> None:
        """Ask the same once more."""
        self._ready.append(unit)

    def ask_alone(self, number: int) -> None:
        """Ask a text again whose part of a shared answer is of no use; it is not audited any more."""
        self._leave_out_of_audit([number])
        self._ready.append(Unit((number,)))

    def ask_in_halves(self, unit: Unit) -> None:
        """Ask the texts of a shared request in two requests, before anything else."""
        middle = len(unit.numbers) // 2
        halves = unit.numbers[middle:], unit.numbers[:middle]
        for numbers in halves:
            if len(numbers) == 1:
                self._leave_out_of_audit(numbers)
        self._ready.extendleft(map(Unit, halves))

    def give_up_audit(self, unit: Unit) -> None:
        """Leave the row of an auditing request out of the audit."""
        self._leave_out_of_audit(unit.numbers)

    def note_for_audit(self, unit: Unit, values: dict[int, Any]) -> None:
        """Take note of values that were asked alone, and of shared ones, whose audit need not wait for the end any more."""
        if self.audit is None:
            return
        for number, value in values.items():
            if len(unit.numbers) > 1:
                self.audit.note_packed(number, value, rows_per_request=len(unit.numbers))
                self._ready.extend(self._audits.pop(number, ()))
            elif unit.is_audit:
                self.audit.note_alone(number, value)

    def drain(self) -> list[int]:
        """Empty the queue and return the numbers that were in it."""
        numbers = [number for unit in self._ready if not unit.is_audit for number in unit.numbers]
        numbers += [*self._new, *self._new_long]
        for queue in (self._ready, self._new, self._new_long, self._audits):
            queue.clear()
        return numbers

    def _next_ready(self) -> Unit | None:
        while self._ready:
            unit = self._ready.popleft()
            if unit.is_audit:
                if self.audit is not None and self.audit.is_waiting_for(unit.numbers[0]):
                    return unit
                continue
            unit.numbers = tuple(number for number in unit.numbers if self._is_open(number))
            if unit.numbers:
                return unit
        return None

    def _decide_packing(self) -> None:
        """Choose, once the limits are known, how many rows share a request, which are too long for it, which are audited."""
        if self._has_decided_packing:
            return
        limiter, plan = self._limiter, self._plan
        at_once = min(limiter.max_concurrency, limiter.burst_requests) if limiter.is_known else None
        rows_per_request = plan.packs_up_to(requests_at_once=at_once, backend_packs=self._packs_rows)
        self._has_decided_packing = rows_per_request > 1 or at_once is not None
        self._rows_per_request = rows_per_request
        if rows_per_request == 1:
            return
        alone, packs = plan.packs(self._new, rows_per_request=rows_per_request)
        self._new_long, self._new = deque(alone), deque(number for pack in packs for number in pack)
        if plan.rows_are_independent:
            return
        self.audit = Audit(plan.task.agrees, rows_per_request=rows_per_request)
        for number in plan.audited(packs):
            self.audit.begin(number)
            self._audits[number] = [Unit((number,), is_audit=True) for _ in range(TIMES_ALONE)]

    def _gathered(self) -> list[int]:
        """Take the new rows of the next request from the queue."""
        if not self._new:
            return [self._new_long.popleft()]
        rows_per_request = self.audit.rows_per_request if self.audit is not None else self._rows_per_request
        numbers: list[int] = []
        tokens: list[int] = []
        while self._new:
            numbers.append(self._new.popleft())
            if rows_per_request == 1:
                break
            tokens.append(self._tokens(numbers[-1]))
            if self._plan.pack_is_full(numbers, tokens, rows_per_request=rows_per_request):
                break
        return numbers

    def _leave_out_of_audit(self, numbers: Iterable[int]) -> None:
        if self.audit is not None:
            for number in numbers:
                self._audits.pop(number, None)
                self.audit.drop(number)

    def _tokens(self, number: int) -> int:
        return estimated_tokens(self._plan.texts.texts[number])
