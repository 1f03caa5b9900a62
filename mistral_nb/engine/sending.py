"""A plan's unanswered questions, sent: paced, retried, kept, within the budget.

Keeps to itself: who waits for whom. One coroutine decides what goes out next; each request is a task that reports back to it.
Promises: an answer is on disk before its rows count as done; a row that fails loses only itself; an error that no other row could
escape (key, model, plan, engine, an outage) stops the run after what is under way has come back; a cancelled run leaves no request
behind.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from mistral_nb.backends.backend import Backend
from mistral_nb.completion import InputsRequest, RowAnswer, RowRequest, TokenUsage
from mistral_nb.counted import counted
from mistral_nb.engine.audit import Audit
from mistral_nb.engine.bill import Bill
from mistral_nb.engine.budgets import SECONDS_BETWEEN_LOOKS, Budgets, Price
from mistral_nb.engine.cache import AnswerCache, KeptAnswer
from mistral_nb.engine.in_flight import InFlight
from mistral_nb.engine.leave import LeaveToSend
from mistral_nb.engine.limiter import Reservation
from mistral_nb.engine.occasion import Occasion
from mistral_nb.engine.open_request import Report, may_be_billed
from mistral_nb.engine.plan import RowsPlan
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.engine.rows import CorrectedTask, RowsProgress
from mistral_nb.engine.run_requests import RunRequests
from mistral_nb.engine.shared_questions import SharedQuestions
from mistral_nb.engine.text_outcomes import TextOutcomes
from mistral_nb.engine.tokens import estimated_tokens
from mistral_nb.engine.units import Unit, UnitQueue
from mistral_nb.errors import AskedFor, InvalidAnswer, MistralNotebookError, Refused

# Each was tried again and again before it was given up: the rest of a long column would take hours to fail the same way. After many
# answers it takes more of them: the rows that can't be answered are those that are left at the end.
FEWEST_REQUESTS_THAT_MAKE_AN_OUTAGE = 32
MOST_REQUESTS_THAT_MAKE_AN_OUTAGE = 256


class _Answered(NamedTuple):
    """An answer that was read, of a request that is not yet kept and not yet on the bill of its rows."""

    unit: Unit
    answers: dict[int, KeptAnswer]
    usage: TokenUsage
    cost_usd: Decimal | None


class Sender:
    """The sending of one plan; made for one use on the background loop.

    After `run`, or whenever it is interrupted: `plan.values`, `errors`, `bill`, `progress` and `audit` say how far it came.
    """

    def __init__(
        self,
        plan: RowsPlan,
        *,
        backend: Backend,
        limiter: LeaveToSend,
        cache: AnswerCache,
        in_flight: InFlight,
        retry: RetryPolicy,
        price: Price,
        budgets: Budgets,
        occasion: Occasion,
        report: Report,
        on_progress: Callable[[RowsProgress], None],
        bill: Bill,
    ) -> None:
        self._outcomes = TextOutcomes(plan)
        self.errors, self.progress = self._outcomes.errors, self._outcomes.progress
        self.bill = bill
        self._plan = plan
        self._backend = backend
        self._limiter = limiter
        self._cache = cache
        self._retry = retry
        self._price = price
        self._on_progress = on_progress
        self._budgets = budgets
        self._corrects = plan.task if isinstance(plan.task, CorrectedTask) else None
        self._shared = SharedQuestions(
            plan,
            cache=cache,
            in_flight=in_flight,
            on_answer=self._take_from_elsewhere,
            on_abandoned=self._take_over,
        )
        self._queue = UnitQueue(
            plan, limiter=limiter, packs_rows=backend.packs_rows, is_open=self._outcomes.is_open, mine=self._shared.mine
        )
        self._requests = RunRequests(occasion=occasion, model=plan.model, report=report)
        self._sending: set[asyncio.Task[None]] = set()
        self._delayed: dict[Unit, asyncio.TimerHandle] = {}
        self._unkept: list[_Answered] = []
        self._failures_in_a_row = 0
        self._news = asyncio.Event()
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopped_by: BaseException | None = None
        self._rows_are_independent = plan.rows_are_independent
        self._frame_tokens = sum(map(estimated_tokens, plan.task.request("", model=plan.model).texts))

    @property
    def audit(self) -> Audit | None:
        return self._queue.audit

    async def run(self) -> None:
        """Ask until nothing is left to ask.

        Raises
        ------
        MistralNotebookError
            What no row could escape; raised when the requests under way have come back.
        """
        try:
            await self._shared.announce()
            while self._stopped_by is None:
                unit = self._queue.next()
                if unit is not None:
                    await self._dispatch(unit)
                elif self._sending or self._unkept or self._delayed or self._shared.waiting:
                    await self._something_new()
                else:
                    return
            while self._sending or self._unkept:  # what is under way may have been paid for
                await self._something_new()
            raise self._stopped_by
        finally:
            await self._leave_nothing_behind()

    # Sending.

    async def _dispatch(self, unit: Unit) -> None:
        """Hold the money, wait for leave to send, and send."""
        request = unit.correction or self._plan.request(unit.numbers)
        held_usd = self._budgets.most_usd(request)
        while not self._budgets.hold(held_usd):
            if not self._sending and not self._budgets.may_have_more:
                self._does_not_fit(unit, held_usd)
                return
            await self._something_new(
                within_seconds=SECONDS_BETWEEN_LOOKS
            )  # an answer costs less than what is held for it
        reservation = None
        try:
            reservation = await self._reserved(unit)
        finally:
            if reservation is None:
                self._budgets.settle(held_usd, Decimal(0))
        if reservation is None:
            return
        sending = asyncio.create_task(self._send(unit, request, reservation, held_usd))
        self._sending.add(sending)
        sending.add_done_callback(partial(self._sent, reservation, held_usd))

    async def _reserved(self, unit: Unit) -> Reservation | None:
        """Return leave to send; None when the run is stopped before it comes."""
        tokens = self._likely_tokens(unit)
        try:
            return self._limiter.try_reserve(tokens) or await self._unless_stopped(
                self._limiter.reserve(tokens, further=self._queue.left)
            )
        except MistralNotebookError as error:
            self._stop(error)
            return None

    def _likely_tokens(self, unit: Unit) -> int:
        texts = self._plan.texts.texts
        tokens = sum(estimated_tokens(texts[number]) for number in unit.numbers)
        return tokens + self._frame_tokens + self._plan.expected_answer_tokens(unit.numbers)

    async def _send(self, unit: Unit, request: RowRequest, reservation: Reservation, held_usd: Decimal) -> None:
        unit.first_sent = unit.first_sent or time.monotonic()
        self._requests.sent(unit, request)
        refusal: Refused | None = None
        try:
            answer = await self._ask(request)
        except MistralNotebookError as error:
            if not isinstance(error, Refused) or error.withheld is None:
                reservation.failed(error)
                self._requests.failed(unit, error)
                self._budgets.settle(held_usd, None if may_be_billed(error) else Decimal(0))
                self._failed(unit, error)
                return
            answer, refusal = error.withheld, error  # it was paid for
        usage = answer.usage
        reservation.settle(tokens=usage.total_tokens, rate_limits=answer.rate_limits)
        cost_usd = self._price(usage)
        self._failures_in_a_row = 0
        self.bill.add(usage, cost_usd)
        self.progress.requests, self.progress.cost_usd = self.bill.requests, self.bill.cost_usd
        try:
            await self._read(unit, answer, cost_usd, refusal=refusal)
        finally:
            self._budgets.settle(held_usd, cost_usd)  # now that the ledger has it

    async def _ask(self, request: RowRequest) -> RowAnswer:
        if isinstance(request, InputsRequest):
            return await self._backend.answer_inputs(request)
        return await self._backend.complete_row(request)

    def _sent(self, reservation: Reservation, held_usd: Decimal, sending: "asyncio.Task[None]") -> None:
        reservation.release()  # of one that was cancelled, also before its first step; otherwise this does nothing
        self._sending.discard(sending)
        if sending.cancelled():
            self._budgets.settle(held_usd, None)
        elif (error := sending.exception()) is not None:
            self._stop(error)
        self._news.set()

    # What came back.

    async def _read(self, unit: Unit, answer: RowAnswer, cost_usd: Decimal | None, *, refusal: Refused | None) -> None:
        try:
            if refusal is not None:
                raise refusal
            if self._corrects is None:
                values = self._plan.read(unit.numbers, answer)
            else:
                values = await asyncio.to_thread(self._plan.read, unit.numbers, answer)
        except MistralNotebookError as error:
            self.bill.share(unit.numbers, {}, answer.usage, cost_usd)
            self._requests.answered(unit, answer, cost_usd, error=error)
            self._failed(unit, error)
            return
        self._answered(unit, answer, values, cost_usd)

    def _answered(self, unit: Unit, answer: RowAnswer, values: list[Any], cost_usd: Decimal | None) -> None:
        """Keep what could be read, together with all the others of this turn of the loop."""
        count = len(values)
        rows_per_request = 1 if self._rows_are_independent else count
        answers = {
            number: self._plan.answer_to_keep(
                value, answer, place=place, count=count, rows_per_request=rows_per_request
            )
            for place, (number, value) in enumerate(zip(unit.numbers, values, strict=True))
            if not isinstance(value, MistralNotebookError)
        }
        self._queue.note_for_audit(unit, {number: kept.value for number, kept in answers.items()})
        if not self._unkept:
            asyncio.get_running_loop().call_soon(self._keep)
        self._unkept.append(_Answered(unit, answers, answer.usage, cost_usd))
        # Now that `_keep` is due, whose transaction takes the ledger's line along.
        self._requests.answered(unit, answer, cost_usd)

    def _keep(self) -> None:
        """Write what was answered in one transaction, then give it to the rows."""
        batch, self._unkept = self._unkept, []
        accepted: dict[int, KeptAnswer] = {}
        for answered in batch:
            is_alone = len(answered.unit.numbers) == 1
            for number, answer in answered.answers.items():
                if self._outcomes.takes(number, asked_alone=is_alone) and (is_alone or number not in accepted):
                    accepted[number] = answer
        if accepted and self._plan.options.uses_cache:
            try:
                self._cache.put({self._plan.keys[number]: answer for number, answer in accepted.items()})
            except MistralNotebookError as error:
                self._stop(error)
                return
        for unit, answers, usage, cost_usd in batch:
            mine = {number: answer for number, answer in answers.items() if accepted.get(number) is answer}
            self.bill.share(unit.numbers, mine, usage, cost_usd)
            for number, answer in mine.items():
                self._outcomes.settle(number, answer.value)
                self._shared.tell(number, answer)
            for number in unit.numbers:
                if number not in answers and self._outcomes.is_open(number):
                    self._queue.ask_alone(number)
        self._on_progress(self.progress)
        self._news.set()

    def _failed(self, unit: Unit, error: MistralNotebookError) -> None:
        """Stop, try again, split, or give the row its error: whichever the error asks for."""
        unit.failed_attempts += 1
        count = len(unit.numbers)
        error.note_request(AskedFor(model=self._plan.model, count=count, unit="row", tokens=self._likely_tokens(unit)))
        if error.stops_run:
            self._stop(error)
        elif self._corrects is not None and self._can_correct(unit, error):
            assert isinstance(error, InvalidAnswer)
            unit.correction = self._corrects.correction(self._plan.request(unit.numbers), error)
            unit.corrections, unit.failed_attempts = unit.corrections + 1, 0
            self._queue.ask_again(unit)
        elif self._is_worth_another_try(unit, error):
            wait_seconds = self._retry.wait_seconds(unit.failed_attempts, error)
            self._delayed[unit] = asyncio.get_running_loop().call_later(wait_seconds, self._again, unit)
        elif error.is_worth_retrying and self._is_outage():
            self._stop(error)
        elif unit.is_audit:
            self._queue.give_up_audit(unit)
        elif len(unit.numbers) > 1:
            self._queue.ask_in_halves(unit)
        else:
            self._give_up(unit.numbers[0], error)
        if unit not in self._delayed:
            self._requests.end(unit)
        self._news.set()

    def _can_correct(self, unit: Unit, error: MistralNotebookError) -> bool:
        assert self._corrects is not None
        is_alone = len(unit.numbers) == 1 and not unit.is_audit
        return isinstance(error, InvalidAnswer) and is_alone and unit.corrections < self._corrects.most_corrections

    def _is_worth_another_try(self, unit: Unit, error: MistralNotebookError) -> bool:
        if unit.failed_attempts >= self._retry.attempts(error):
            return False
        assert unit.first_sent is not None
        return time.monotonic() - unit.first_sent < self._retry.max_seconds

    def _is_outage(self) -> bool:
        """Count a request that was given up; whether so many in a row were that the others would be too."""
        self._failures_in_a_row += 1
        enough = max(FEWEST_REQUESTS_THAT_MAKE_AN_OUTAGE, self.bill.requests)
        return self._failures_in_a_row >= min(enough, MOST_REQUESTS_THAT_MAKE_AN_OUTAGE)

    def _again(self, unit: Unit) -> None:
        del self._delayed[unit]
        self._queue.ask_again(unit)
        self._news.set()

    def _take_from_elsewhere(self, number: int, value: Any) -> None:
        self._outcomes.settle(number, value, is_from_elsewhere=True)
        self._on_progress(self.progress)
        self._news.set()

    def _take_over(self, number: int) -> None:
        self._queue.add(number)
        self._news.set()

    def _give_up(self, number: int, error: MistralNotebookError) -> None:
        self._outcomes.give_up(number, error)
        self._shared.tell(number, None)
        self._on_progress(self.progress)

    # Money.

    def _does_not_fit(self, unit: Unit, most_usd: Decimal) -> None:
        """Try with less where less can be asked; otherwise the budget is reached for all that is not asked yet."""
        if unit.is_audit:
            self._queue.give_up_audit(unit)
        elif len(unit.numbers) > 1:
            self._queue.ask_in_halves(unit)
        else:
            for delayed, timer in self._delayed.items():
                timer.cancel()
                self._queue.ask_again(delayed)
            self._delayed.clear()
            numbers = [number for number in [*unit.numbers, *self._queue.drain()] if self._outcomes.is_open(number)]
            error = self._budgets.reached(most_usd, left=counted(len(set(numbers)), "text"))
            for number in dict.fromkeys(numbers):
                self._give_up(number, error)

    # The end.

    def _stop(self, error: BaseException) -> None:
        """Send nothing more, because of this error."""
        if self._stopped_by is None:
            self._stopped_by = error
            self._stopped.set_result(None)
        self._news.set()

    async def _something_new(self, *, within_seconds: float | None = None) -> None:
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._news.wait()

    async def _unless_stopped(self, reservation: Awaitable[Reservation]) -> Reservation | None:
        """Return the reservation when it comes; None when the run is stopped before."""
        waiting: asyncio.Future[Any] = asyncio.ensure_future(reservation)
        stopped: asyncio.Future[Any] = self._stopped
        try:
            await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                granted: Reservation = await waiting
                return granted
        except asyncio.CancelledError:
            waiting.cancel()
            waiting.add_done_callback(_release)  # it may have come at the same moment
            raise
        waiting.cancel()
        too_late = (await asyncio.gather(waiting, return_exceptions=True))[0]
        if isinstance(too_late, Reservation):
            too_late.unsent()
        return None

    async def _leave_nothing_behind(self) -> None:
        for timer in self._delayed.values():
            timer.cancel()
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        self._requests.end_all()
        self._keep()
        self._shared.abandon_all()
        self._on_progress(self.progress)


def _release(reserving: "asyncio.Future[Reservation]") -> None:
    """Give back leave to send that nobody takes any more."""
    if not reserving.cancelled() and reserving.exception() is None:
        reserving.result().unsent()
