"""Two runs after each other: a model that reads every text, and a better one for those that the first was not sure of.

Keeps to itself: which texts go on, and how two bills become one.
Promises: what `mistral_nb.engine.rows_run.Run` promises; one budget, one bill and one progress for both. A text that goes on has
the second model's answer or, where that does not come, none: an unsure one never passes for it. A first answer that can't be read
goes on too. What either model was asked is kept as its own, so that another threshold, or one of the two alone, pays only for what
is new.
"""

from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol, cast

from mistral_nb.completion import TokenUsage
from mistral_nb.counted import counted
from mistral_nb.engine.bill import Bill, Opening, paid_by_both
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.cache import AnswerCache
from mistral_nb.engine.fold_run import RunsPlans
from mistral_nb.engine.occasion import Occasion
from mistral_nb.engine.plan import UNANSWERED, RowsPlan
from mistral_nb.engine.receipt import Receipt, added, dollars_text, sum_known
from mistral_nb.engine.rows import DistinctTexts, PaidRow, RowsProgress, RowsResult, RowTask, RunOptions
from mistral_nb.engine.rows_run import OnProgress, RowsRun, show_nothing
from mistral_nb.errors import AnswerProblem, Refused


class RunsCascades(RunsPlans, Protocol):
    """What a cascade needs of a session."""

    @property
    def cache(self) -> AnswerCache: ...

    def run(self, plan: RowsPlan, *, budget: Budget, occasion: Occasion, bill: Bill | None = None) -> RowsRun: ...

    def cost_usd(self, model: str, usage: TokenUsage) -> Decimal | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """Two models for one question.

    Attributes
    ----------
    first, first_model
        What is asked of whom about every text.
    second, second_model
        What is asked of whom about the texts that go on; the dtype of `first` shows its values as well.
    is_unsure
        Whether a text with this first value goes on.
    """

    first: RowTask
    second: RowTask
    first_model: str
    second_model: str
    is_unsure: Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeReport:
    """What a cascade saved; ``df.mistral.last_run.cascade``.

    Attributes
    ----------
    first_model, second_model
        Who was asked first, and who was asked about what that one was not sure of.
    texts, escalated
        Distinct texts that the first model was done with, and how many of them went on.
    cost_usd
        What all their answers cost, kept ones at the price at which they were asked; None where a price is unknown.
    second_alone_usd
        About what the second model would have cost for all of them: as a receipt expects it, nothing kept. None as above.
    """

    first_model: str
    second_model: str
    texts: int
    escalated: int
    cost_usd: Decimal | None
    second_alone_usd: Decimal | None

    @property
    def escalated_share(self) -> float:
        """The share of texts that went on; NaN where there was none."""
        return self.escalated / self.texts if self.texts else float("nan")

    @property
    def saved_usd(self) -> Decimal | None:
        """How much less it cost than the second model alone, negative where it cost more; None where a price is unknown."""
        if self.cost_usd is None or self.second_alone_usd is None:
            return None
        return self.second_alone_usd - self.cost_usd

    def __str__(self) -> str:
        if not self.texts:
            return "no text was answered"
        escalated = f"{self.escalated:,} of {counted(self.texts, 'text')} ({self.escalated_share:.0%})"
        return f"{escalated} went on to {self.second_model}, {self._saved_text}"

    __repr__ = __str__

    @property
    def _saved_text(self) -> str:
        if self.cost_usd is None or self.second_alone_usd is None or self.saved_usd is None:
            return "at a price that is not known"
        if not self.second_alone_usd:
            return "which costs nothing either way"
        difference = abs(self.saved_usd)
        share = f"{dollars_text(difference)}, {difference / self.second_alone_usd:.0%}"
        costs = f"for {dollars_text(self.cost_usd)} instead of about {dollars_text(self.second_alone_usd)} by that model alone"
        return f"{costs} ({share} {'saved' if self.saved_usd >= 0 else 'more'})"


class CascadeRun:
    """The run of one cascade over the texts of a column.

    Parameters
    ----------
    cascade
        Who is asked what.
    texts
        The column's texts.
    options
        For both models together.
    occasion
        What both runs are parts of.
    opening
        The budget of both, and what was asked for them before.
    session
        Plans and runs what is asked.

    Raises
    ------
    UnknownPrice
        There is a budget, and one of the models has no price to keep it with.
    """

    def __init__(
        self,
        cascade: Cascade,
        texts: DistinctTexts,
        *,
        options: RunOptions,
        occasion: Occasion,
        opening: Opening,
        session: RunsCascades,
    ) -> None:
        self.verb = cascade.first.verb
        self.first_plan = session.plan(cascade.first, texts, model=cascade.first_model, options=options)
        self.progress = replace(self.first_plan.progress)
        self._cascade = cascade
        self._options = options
        self._occasion = occasion
        self._session = session
        self._second_plan = self._plan_for_second([])  # so that what is known to be wrong with it costs nothing
        self._budget = opening.budget
        self._first = session.run(self.first_plan, budget=self._budget, occasion=occasion, bill=opening.bill)
        self._escalated: list[int] = []
        self._second: RowsRun | None = None
        self._is_cancelled = False

    @property
    def keys(self) -> list[bytes]:
        keys = list(self.first_plan.keys)
        if keys:
            for number, key in zip(self._escalated, self._second_plan.keys, strict=True):
                keys[number] = key
        return keys

    @property
    def may_ask_second(self) -> bool:
        """Whether the second model may have something to answer that is not kept."""
        return bool(self._plan_at_most().unanswered)

    def receipt(self) -> Receipt:
        """Return what both runs would cost if every text went on of which it is not known that it does not."""
        first = self._session.receipt(self.first_plan)
        both = added(
            [first, self._session.receipt(self._plan_at_most())],
            verb=self.verb,
            model=self._cascade.second_model,
            rows=first.rows,
            missing=first.missing,
            unique=first.unique,
            cached=first.cached,
            requests_for_answers=0,
        )
        return replace(both, batch_cost_usd_expected=None, batch_cost_usd_most=None, of_first_model=first)

    def execute(self, on_progress: OnProgress = show_nothing) -> RowsResult:
        """Ask the first model, then the second; Ctrl-C keeps what came back.

        Raises
        ------
        MistralNotebookError
            Only what no row could escape (key, model, plan, engine); a row's own error is in the result.
        """

        def show_first(state: RowsProgress) -> None:
            _copy(state, self.progress)
            on_progress(self.progress)

        try:
            first = self._first.execute(show_first)
            self._escalated = self._going_on(first)
            if self._escalated:
                self._ask_second(first, on_progress)
        finally:
            self._count()
            on_progress(self.progress)
        return self.result()

    def cancel(self) -> None:
        """Stop a run that another thread executes, or is about to; returns when no request of it is left."""
        self._is_cancelled = True
        self._first.cancel()
        if self._second is not None:
            self._second.cancel()

    def result(self) -> RowsResult:
        """Return what both runs gave so far, on the bill of both."""
        first = self._first.result()
        values, errors, paid = list(first.values), dict(first.errors), first.paid
        for number in self._going_on(first):
            values[number] = None
            errors.pop(number, None)
        models = f"{self._cascade.first_model}, then {self._cascade.second_model}"
        both = replace(first, model=models, values=values, errors=errors, progress=self.progress)
        if self._second is None:
            return both
        second = self._second.result()
        for place, number in enumerate(self._escalated):
            values[number] = second.values[place]
            if place in second.errors:
                errors[number] = second.errors[place]
        return replace(
            both,
            paid=ChainMap(self._paid_for_escalated(first, second), cast(MutableMapping[int, PaidRow], paid)),
            requests=first.requests + second.requests,
            usage=first.usage + second.usage,
            cost_usd=sum_known([first.cost_usd, second.cost_usd]),
            seconds=first.seconds + second.seconds,
            audit=second.audit,
        )

    def report(self) -> CascadeReport:
        """Return how many texts went on, and what that saved; counts the tokens of all texts, which takes a moment."""
        first, models = self._first.result(), self._cascade
        escalated = self._going_on(first)
        settled = sorted({number for number, value in enumerate(first.values) if value is not None} | set(escalated))
        kept = (models.first_model, self.first_plan.kept_usage), (models.second_model, self._second_plan.kept_usage)
        unkept = replace(self._options, uses_cache=False, refreshes=False, budget_usd=None)
        alone = self._session.receipt(self._plan_for_second(settled, unkept))
        paid = [first.cost_usd, *(run.result().cost_usd for run in (self._second,) if run is not None)]
        return CascadeReport(
            first_model=models.first_model,
            second_model=models.second_model,
            texts=len(settled),
            escalated=len(escalated),
            cost_usd=sum_known([*paid, *(self._session.cost_usd(model, usage) for model, usage in kept)]),
            second_alone_usd=alone.cost_usd_expected,
        )

    def _going_on(self, first: RowsResult) -> list[int]:
        """Return the numbers of the texts that the second model is to answer."""
        return [
            number
            for number, value in enumerate(first.values)
            if (
                isinstance(first.errors.get(number), AnswerProblem) if value is None else self._cascade.is_unsure(value)
            )
        ]

    def _plan_at_most(self) -> RowsPlan:
        """Return the second model's plan if every text went on of which it is not known that it does not."""
        values = self.first_plan.values
        return self._plan_for_second(
            [number for number, value in enumerate(values) if value is UNANSWERED or self._cascade.is_unsure(value)]
        )

    def _plan_for_second(self, numbers: Sequence[int], options: RunOptions | None = None) -> RowsPlan:
        import numpy as np

        texts, rows_of = self.first_plan.texts.texts, self.first_plan.rows_of
        rows = np.repeat(np.arange(len(numbers), dtype=np.int64), [rows_of[number] for number in numbers])
        asked = DistinctTexts(rows, [texts[number] for number in numbers])
        cascade = self._cascade
        return self._session.plan(cascade.second, asked, model=cascade.second_model, options=options or self._options)

    def _ask_second(self, first: RowsResult, on_progress: OnProgress) -> None:
        self._second_plan = self._plan_for_second(self._escalated)
        self._second = self._session.run(self._second_plan, budget=self._budget, occasion=self._occasion)
        if self._is_cancelled:  # before there was a second run to cancel
            raise CancelledError
        progress, before = self.progress, replace(self.progress)
        settled = before.done - self._second_plan.progress.total

        def show(state: RowsProgress) -> None:
            progress.done = settled + state.done
            progress.requests = before.requests + state.requests
            progress.cost_usd = sum_known([before.cost_usd, state.cost_usd])
            on_progress(progress)

        self._second.execute(show)

    def _paid_for_escalated(self, first: RowsResult, second: RowsResult) -> dict[int, PaidRow]:
        """Return what was paid now for each text that went on, with the answer that counts."""
        keys, numbers = self._second_plan.keys, self._escalated
        is_kept = [place not in second.paid and second.values[place] is not None for place in range(len(numbers))]
        kept = self._session.cache.answers([key for key, found in zip(keys, is_kept, strict=False) if found])
        paid: dict[int, PaidRow] = {}
        for place, number in enumerate(numbers):
            before, now = first.paid.get(number), second.paid.get(place)
            if before is None and now is None:
                continue
            unpaid = PaidRow(
                answer=kept.get(keys[place]) if keys else None,
                prompt_tokens=0,
                completion_tokens=0,
                cost_usd=Decimal(0),
            )
            paid[number] = paid_by_both(before, now or unpaid)
        return paid

    def _count(self) -> None:
        """Count rows as they stand in the end."""
        result, rows_of, progress = self.result(), self.first_plan.rows_of, self.progress
        answered = [number for number, value in enumerate(result.values) if value is not None]
        progress.failed = sum(rows_of[number] for number in result.errors)
        progress.refused = sum(rows_of[number] for number, error in result.errors.items() if isinstance(error, Refused))
        progress.cached = sum(rows_of[number] for number in answered if number not in result.paid)
        progress.done = progress.missing + progress.failed + sum(rows_of[number] for number in answered)


def _copy(state: RowsProgress, progress: RowsProgress) -> None:
    progress.done, progress.cached, progress.requests = state.done, state.cached, state.requests
    progress.failed, progress.refused, progress.cost_usd = state.failed, state.refused, state.cost_usd
