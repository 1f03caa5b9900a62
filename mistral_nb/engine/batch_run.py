"""The jobs of one call: watched, read, ended.

Keeps to itself: that a call may have made several jobs, and may have found some that were made before.
Promises: plain calls; Ctrl-C ends the waiting, never a job; what was read so far can be had at any moment.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from mistral_nb.engine.batch_reading import BatchReader
from mistral_nb.engine.batch_states import KEPT_SECONDS, state_of_all
from mistral_nb.engine.batch_store import JobRecord
from mistral_nb.engine.batch_watching import JobWatcher
from mistral_nb.engine.plan import UNANSWERED, RowsPlan
from mistral_nb.engine.rows import PackingAudit, RowsProgress, RowsResult
from mistral_nb.engine.rows_run import OnProgress, RowsRun, show_nothing
from mistral_nb.errors import BatchUnanswered, MistralNotebookError

# Runs a coroutine on the background loop and returns what it gives; Ctrl-C cancels it.
Execute = Callable[[Coroutine[Any, Any, Any]], Any]
# Told of the jobs as they were last seen, and of the error where the API could not be asked.
OnLook = Callable[[Sequence[JobRecord], MistralNotebookError | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How often a job that is waited for is looked at: soon at first, then ever more rarely."""

    first_seconds: float = 2.0
    most_seconds: float = 30.0
    growth: float = 1.5
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class BatchRun:
    """What one call of a verb sent as jobs, or found in jobs that were made before.

    Parameters
    ----------
    plan
        What is asked; its values fill up.
    jobs
        Where the answers come from.
    preview
        The run that asked the first rows live.
    errors
        Of texts that were not sent, by number.
    """

    def __init__(
        self,
        plan: RowsPlan,
        jobs: Sequence[JobRecord],
        *,
        watcher: JobWatcher,
        reader: BatchReader,
        execute: Execute,
        polling: Polling,
        preview: RowsRun | None = None,
        errors: Mapping[int, MistralNotebookError] | None = None,
    ) -> None:
        self.plan = plan
        self._jobs = {job.id: job for job in jobs}
        self._read: set[str] = set()
        self._watcher = watcher
        self._reader = reader
        self._execute = execute
        self._polling = polling
        self._preview = preview
        self._unsent = dict(errors or {})
        self._began = time.perf_counter()

    @property
    def verb(self) -> str:
        """What is asked of each row."""
        return self.plan.task.verb

    @property
    def keys(self) -> list[bytes]:
        """Under which each text's answer is kept."""
        return self.plan.keys

    @property
    def jobs(self) -> list[JobRecord]:
        """The jobs as they were last seen, the oldest first."""
        return list(self._jobs.values())

    @property
    def status(self) -> str:
        """The state that says most of the jobs, as they were last seen; SUCCESS where nothing had to be asked."""
        return state_of_all([job.status for job in self._jobs.values()])

    @property
    def is_done(self) -> bool:
        """Whether all that the jobs give is here."""
        return all(job.is_kept for job in self._jobs.values())

    @property
    def progress(self) -> RowsProgress:
        """How far it is, in rows; the rows of a job are done when its answers are here."""
        errors = self._errors() if self.is_done else self._unsent
        failed = sum(self.plan.rows_of[number] for number in errors)
        answered = sum(
            rows for rows, value in zip(self.plan.rows_of, self.plan.values, strict=True) if value is not UNANSWERED
        )
        before = self._preview.result() if self._preview is not None else None
        return replace(
            self.plan.progress,
            done=self.plan.progress.missing + answered + failed,
            failed=failed,
            requests=self._reader.bill.requests + (before.requests if before else 0),
            cost_usd=_sum(self._reader.bill.cost_usd, before.cost_usd if before else Decimal(0)),
        )

    def look(self) -> None:
        """Ask the API how far the jobs are, and read the answers of those that have ended."""
        self._execute(self._look())

    def wait(self, on_look: OnLook, *, timeout_seconds: float | None = None) -> bool:
        """Look until all answers are here; whether they are when the time is over.

        Once the API has answered, errors that pass are waited out, for as long as it keeps answers.
        """
        done: bool = self._execute(self._wait(on_look, timeout_seconds))
        return done

    def execute(self, on_progress: OnProgress = show_nothing) -> RowsResult:
        """Wait until all answers are here, and return the result."""
        self.wait(lambda jobs, problem: on_progress(self.progress))
        return self.result()

    def cancel(self) -> None:
        """Ask for the end of all jobs that are still at work."""
        self._execute(self._each(self._watcher.cancel))

    def result(self) -> RowsResult:
        """Return what is here so far; once all jobs have ended, every text without an answer has its error."""
        plan, bill = self.plan, self._reader.bill
        before = self._preview.result() if self._preview is not None else None
        return RowsResult(
            verb=plan.task.verb,
            model=plan.model,
            texts=plan.texts,
            values=[None if value is UNANSWERED else value for value in plan.values],
            errors=self._errors() if self.is_done else dict(self._unsent),
            paid={**before.paid, **bill.rows()} if before else bill.rows(),
            progress=self.progress,
            requests=bill.requests + (before.requests if before else 0),
            usage=bill.usage + before.usage if before else bill.usage,
            cost_usd=_sum(bill.cost_usd, before.cost_usd if before else Decimal(0)),
            seconds=time.perf_counter() - self._began,
            audit=self._audit(before),
        )

    def _audit(self, before: RowsResult | None) -> PackingAudit | None:
        if self._reader.audit is not None:
            return self._reader.audit.report()
        return None if before is None else before.audit

    async def _look(self) -> None:
        await self._each(self._watcher.look)

    async def _each(self, act: Callable[[JobRecord], Awaitable[JobRecord | None]]) -> None:
        """Do it with each job whose answers are not here; an error is raised when all others are done with."""
        waiting = [job for job in self.jobs if job.id not in self._read]
        results = await asyncio.gather(*(act(job) for job in waiting), return_exceptions=True)
        for job, looked in zip(waiting, results, strict=True):
            if looked is None:
                del self._jobs[job.id]
            elif isinstance(looked, JobRecord):
                self._jobs[job.id] = looked
        for job in self.jobs:
            if job.is_kept and job.id not in self._read:
                await asyncio.to_thread(self._reader.read_job, job)  # of a large job, seconds
                self._read.add(job.id)
        for problem in results:
            if isinstance(problem, BaseException):
                raise problem

    async def _wait(self, on_look: OnLook, timeout_seconds: float | None) -> bool:
        wait_seconds, waited_seconds = self._polling.first_seconds, 0.0
        unseen_seconds = KEPT_SECONDS  # until the first look
        while True:
            problem = None
            try:
                await self._look()
                unseen_seconds = 0.0
            except MistralNotebookError as error:
                if not error.is_worth_retrying or unseen_seconds >= KEPT_SECONDS:
                    raise
                problem = error
            on_look(self.jobs, problem)
            if self.is_done:
                return True
            if timeout_seconds is not None and waited_seconds >= timeout_seconds:
                return False
            if timeout_seconds is not None:
                wait_seconds = min(wait_seconds, timeout_seconds - waited_seconds)
            await self._polling.sleep(wait_seconds)
            waited_seconds += wait_seconds
            unseen_seconds += wait_seconds
            wait_seconds = min(self._polling.most_seconds, wait_seconds * self._polling.growth)

    def _errors(self) -> dict[int, MistralNotebookError]:
        """Return why texts have no answer, now that nothing more will come."""
        live = self._preview.result().errors if self._preview is not None else {}
        known = {**live, **self._unsent, **self._reader.errors}
        never_sent = BatchUnanswered(
            "This row's job was not made.", "Run the verb again: only what was not answered is sent."
        )
        return {
            number: known.get(number, never_sent)
            for number, value in enumerate(self.plan.values)
            if value is UNANSWERED
        }


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other
