"""A fold, run: each level a run of rows, all of them within one budget, one progress, one bill.

Keeps to itself: how questions become the texts of a run, and how its answers come back to their groups.
Promises: what `RowsRun` promises. A question that two groups share is asked once. Nothing but runs of rows sends anything, so
limits, retries, kept answers and the moment of their writing are those of every column.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from decimal import Decimal
from typing import Any, Protocol

from mistral_nb.completion import TokenUsage
from mistral_nb.engine.bill import paid_by_both
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.fold import Fold, FoldTask, Question
from mistral_nb.engine.occasion import Occasion
from mistral_nb.engine.plan import UNANSWERED, RowsPlan
from mistral_nb.engine.receipt import Receipt, added, sum_known
from mistral_nb.engine.rows import DistinctTexts, PackingAudit, PaidRow, RowsProgress, RowsResult, RowTask, RunOptions
from mistral_nb.engine.rows_run import OnProgress, RowsRun, show_nothing
from mistral_nb.engine.text_groups import TextGroups

# About a token in every tokenizer, to stand for an answer that is not there yet.
_ANY_WORD = "word "


class RunsPlans(Protocol):
    """What a fold needs of a session."""

    def plan(self, task: RowTask, texts: DistinctTexts, *, model: str, options: RunOptions) -> RowsPlan: ...

    def run(self, plan: RowsPlan, *, budget: Budget, occasion: Occasion) -> RowsRun: ...

    def receipt(self, plan: RowsPlan) -> Receipt: ...


class FoldRun:
    """The run of one fold; made by a session.

    Parameters
    ----------
    task
        How the texts of a group become one answer.
    groups
        The texts.
    model, options
        Who is asked, and how; `options` hold for all levels together.
    occasion
        What the runs of all levels are parts of.
    session
        Plans and runs what is asked.
    """

    def __init__(
        self,
        task: FoldTask,
        groups: TextGroups,
        *,
        model: str,
        options: RunOptions,
        occasion: Occasion,
        session: RunsPlans,
    ) -> None:
        self.verb = task.verb
        self.groups = groups
        self.progress = RowsProgress(total=groups.total_rows, done=groups.missing_rows, missing=groups.missing_rows)
        self.keys = [b""] * len(groups.groups)
        self._task = task
        self._model = model
        self._options = options
        self._occasion = occasion
        self._session = session
        self._budget = Budget(options.budget_usd)
        self._fold = self._new_fold()
        self._paid: dict[int, PaidRow] = {}
        self._usage = TokenUsage()
        self._cost_usd: Decimal | None = Decimal(0)
        self._requests = 0
        self._audit: PackingAudit | None = None
        self._current: RowsRun | None = None
        self._began = time.perf_counter()
        self._ended: float | None = None
        self._is_cancelled = False

    def receipt(self) -> Receipt:
        """Return what the run would send, cost and take: of the first level as it is, of the others what is to be expected.

        Answers that are kept stand for themselves, the others are taken to be as long as they may be.
        """
        fold, receipts, kept_texts = self._new_fold(), [], 0
        while questions := fold.questions():
            for plan, numbered in self._plans(questions):
                receipts.append((numbered[0][1].level, self._session.receipt(plan)))
                for number, question in numbered:
                    value = plan.values[number]
                    is_kept = value is not UNANSWERED
                    kept_texts += len(question.passages) if is_kept and question.level == 0 else 0
                    fold.answer(question, value if is_kept else _ANY_WORD * plan.task.answer_tokens)
        return added(
            [receipt for _, receipt in receipts],
            verb=self.verb,
            model=self._model,
            rows=self.progress.total,
            missing=self.progress.missing,
            unique=sum(len(group.texts) for group in self.groups.groups),
            cached=kept_texts,
            requests_for_answers=sum(receipt.requests for level, receipt in receipts if level),
        )

    def execute(self, on_progress: OnProgress = show_nothing) -> RowsResult:
        """Ask level by level until each group has its answer; Ctrl-C keeps what came back.

        Raises
        ------
        MistralNotebookError
            Only what no question could escape (key, model, plan, engine); a group's own error is in the result.
        """
        try:
            while questions := self._fold.questions():
                for plan, numbered in self._plans(questions):
                    self._ask(plan, numbered, on_progress)
        finally:
            self._ended = time.perf_counter()
            self._count_failures()
            on_progress(self.progress)
        return self.result()

    def cancel(self) -> None:
        """Stop a run that another thread executes, or is about to; returns when no request of it is left."""
        self._is_cancelled = True
        if self._current is not None:
            self._current.cancel()

    @property
    def dtype(self) -> Any:
        """Of the values: the task's where each text has its own, else that and, as "rows", how many rows each stands for."""
        dtype = self._task.dtype
        return dtype if self.groups.are_texts else {self._task.result_name: dtype, "rows": "Int64"}

    def result(self) -> RowsResult:
        """Return what the run gave so far; its texts are the groups'."""
        fold, are_texts = self._fold, self.groups.are_texts
        names = [group.texts[0] if are_texts else "" for group in self.groups.groups]
        covered = zip(fold.values, fold.covered_rows, strict=True)
        of_groups = [
            None if value is None else {self._task.result_name: value, "rows": rows} for value, rows in covered
        ]
        return RowsResult(
            verb=self.verb,
            model=self._model,
            texts=DistinctTexts(self.groups.numbers, names),
            values=fold.values if are_texts else of_groups,
            errors=fold.errors,
            paid=self._paid,
            progress=self.progress,
            requests=self._requests,
            usage=self._usage,
            cost_usd=self._cost_usd,
            seconds=(self._ended or time.perf_counter()) - self._began,
            audit=self._audit,
            left_out=tuple((group, error) for group, _, error in fold.losses),
        )

    def _new_fold(self) -> Fold:
        return Fold(self._task, self.groups.groups, may_lose=not self.groups.are_texts)

    def _plans(self, questions: Sequence[Question]) -> Iterator[tuple[RowsPlan, list[tuple[int, Question]]]]:
        """Yield a plan for each kind of question, with its questions and the numbers of their texts."""
        import numpy as np

        kinds: dict[tuple[int, RowTask], list[Question]] = {}
        for question in questions:
            kinds.setdefault((question.level, question.task), []).append(question)
        for (level, task), asked in kinds.items():
            number_of = {text: number for number, text in enumerate(dict.fromkeys(question.text for question in asked))}
            numbers = [number_of[question.text] for question in asked]
            # So that the progress of the first level counts rows.
            rows = [1 if level else question.rows for question in asked]
            texts = DistinctTexts(np.repeat(np.array(numbers, dtype=np.int64), rows), list(number_of))
            plan = self._session.plan(task, texts, model=self._model, options=self._options)
            yield plan, list(zip(numbers, asked, strict=True))

    def _ask(self, plan: RowsPlan, numbered: Sequence[tuple[int, Question]], on_progress: OnProgress) -> None:
        """Run one plan and give its answers to their groups, whatever ends it."""
        self._current = run = self._session.run(plan, budget=self._budget, occasion=self._occasion)
        if self._is_cancelled:  # before there was a run to cancel
            raise CancelledError
        progress, is_first_level = self.progress, numbered[0][1].level == 0
        done, cached, requests, cost_usd = progress.done, progress.cached, progress.requests, progress.cost_usd

        def show(state: RowsProgress) -> None:
            if is_first_level:
                progress.done = min(progress.total, done + state.done - state.failed)
                progress.cached = cached + state.cached
            progress.requests = requests + state.requests
            progress.cost_usd = sum_known([cost_usd, state.cost_usd])
            on_progress(progress)

        try:
            run.execute(show)
        finally:
            self._take(run.result(), plan, numbered)

    def _take(self, result: RowsResult, plan: RowsPlan, numbered: Sequence[tuple[int, Question]]) -> None:
        self._requests += result.requests
        self._usage += result.usage
        self._cost_usd = sum_known([self._cost_usd, result.cost_usd])
        self._audit = result.audit or self._audit
        open_paid = dict(result.paid)
        for number, question in numbered:
            paid = open_paid.pop(number, None)  # the first of the questions that share it pays
            if paid is not None:
                self._paid[question.group] = paid_by_both(self._paid.get(question.group), paid)
            value, error = result.values[number], result.errors.get(number)
            if value is not None:
                if question.is_last and plan.keys:
                    self.keys[question.group] = plan.keys[number]
                self._fold.answer(question, value)
            elif error is not None:
                self._fold.fail(question, error)

    def _count_failures(self) -> None:
        failed = sum(sum(self.groups.groups[number].rows) for number in self._fold.errors)
        self.progress.failed = failed + sum(rows for _, rows, _ in self._fold.losses)
