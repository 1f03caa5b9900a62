"""Which of a run's questions are its own: not those that another run or another kernel has answered, or is asking now.

Promises: a question that another run asks is waited for; when that run gives up, it becomes this run's own.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mistral_nb.engine.cache import AnswerCache, KeptAnswer
from mistral_nb.engine.in_flight import InFlight
from mistral_nb.engine.plan import RowsPlan


class SharedQuestions:
    """The questions of one plan, among those of all runs.

    Parameters
    ----------
    plan, cache, in_flight
        Whose questions, where answers are kept, who asks what.
    on_answer
        Called with number and value when an answer came from elsewhere.
    on_abandoned
        Called with the number when the run that asked has given up.
    """

    def __init__(
        self,
        plan: RowsPlan,
        *,
        cache: AnswerCache,
        in_flight: InFlight,
        on_answer: Callable[[int, Any], None],
        on_abandoned: Callable[[int], None],
    ) -> None:
        self.waiting = 0
        self._has_left = False
        self._plan = plan
        self._cache = cache
        self._in_flight = in_flight
        self._on_answer = on_answer
        self._on_abandoned = on_abandoned
        self._are_shared = plan.options.uses_cache and not plan.options.refreshes
        self._owned: set[bytes] = set()
        self._announced: set[bytes] = set()

    async def announce(self) -> None:
        """Say what the run is going to ask, so that other processes leave it these questions, or it theirs."""
        if self._are_shared and not self._announced:
            self._announced = {self._plan.keys[number] for number in self._plan.unanswered}
            await self._in_flight.announce(list(self._announced))

    def mine(self, numbers: Sequence[int]) -> list[int]:
        """Return those that this run must ask now."""
        if not self._are_shared:
            return list(numbers)
        keys, mine = self._plan.keys, []
        found = self._cache.found([keys[number] for number in numbers], rows_per_request=self._plan.most_rows_of_kept)
        self._plan.kept_usage += found.usage
        for number in numbers:
            key = keys[number]
            if key in found.values:
                self._on_answer(number, found.values[key])
            elif self._in_flight.claim(key):
                self._owned.add(key)
                mine.append(number)
            else:
                self.waiting += 1
                self._in_flight.join(key, partial(self._told, number))
        return mine

    def tell(self, number: int, answer: KeptAnswer | None) -> None:
        """Tell the runs that wait for this question its answer, or that this run gives it up."""
        key = self._plan.keys[number] if self._are_shared else b""
        if key in self._owned:
            self._owned.discard(key)
            self._in_flight.finish(key, answer)

    def abandon_all(self) -> None:
        """Leave what this run owns to those who wait for it, and listen to nobody any more: the run has ended."""
        self._has_left = True
        while self._owned:
            self._in_flight.finish(self._owned.pop(), None)
        self._in_flight.withdraw(self._announced)

    def _told(self, number: int, answer: KeptAnswer | None) -> None:
        if self._has_left:
            return
        self.waiting -= 1
        most_rows = self._plan.most_rows_of_kept
        if answer is not None and (most_rows is None or answer.rows_per_request <= most_rows):
            self._plan.kept_usage += answer.usage
            self._on_answer(number, answer.value)
        else:
            self._on_abandoned(number)
