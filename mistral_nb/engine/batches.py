"""Batch jobs of one session: a plan becomes jobs, and jobs become answers.

Keeps to itself: the order in which the file, the API and the answers are brought together.
Promises: a question that is in an open job is not sent again, by whichever kernel; a question whose answer has arrived is read, not
sent; each job is in the file before it is made.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal

from mistral_nb.backends.batch_api import BatchApi, BatchLine
from mistral_nb.backends.row_wire import CHAT_PATH, json_body
from mistral_nb.completion import InputsRequest, TokenUsage
from mistral_nb.engine.background_loop import background_loop
from mistral_nb.engine.batch_ledger import record_of
from mistral_nb.engine.batch_making import JobMaker, Timing, this_process
from mistral_nb.engine.batch_parts import JobBounds, JobPart, affordable, body_without_model, job_parts, with_bodies
from mistral_nb.engine.batch_reading import BatchReader
from mistral_nb.engine.batch_run import BatchRun, Execute, Polling
from mistral_nb.engine.batch_states import CREATING
from mistral_nb.engine.batch_store import BatchStore, JobRecord, JobRequest
from mistral_nb.engine.batch_watching import JobWatcher
from mistral_nb.engine.budgets import Budgets, Price
from mistral_nb.engine.cache import AnswerCache
from mistral_nb.engine.open_request import EndedRequest, Report
from mistral_nb.engine.plan import UNANSWERED, PlannedRequest, RowsPlan
from mistral_nb.engine.provider import Provider
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.engine.rows_run import RowsRun
from mistral_nb.errors import BatchExpired, MistralNotebookError
from mistral_nb.settings import DEFAULT_HOSTED_MODEL, REGIONS, Settings

_SECONDS_PER_DAY = 86_400.0


class Batches:
    """The jobs that one session makes and looks after.

    Parameters
    ----------
    settings, provider
        Which endpoint, and what answers there, at what price.
    store, cache
        Where jobs are written down, and where their answers go.
    ledger, report
        What writes a line of the bill down within the transaction that keeps the answer; who else is told of it, after that.
    execute
        Runs a coroutine on the background loop.
    """

    def __init__(
        self,
        settings: Settings,
        provider: Provider,
        *,
        store: BatchStore,
        cache: AnswerCache,
        retry: RetryPolicy,
        ledger: Report,
        report: Report,
        execute: Execute,
        bounds: JobBounds | None = None,
        polling: Polling | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._store = store
        self._cache = cache
        self._ledger = ledger
        self._report = report
        self._execute = execute
        self._bounds = bounds or JobBounds()
        self._polling = polling or Polling()
        self._timing = timing or Timing()
        self._maker = JobMaker(self._api, store, retry=retry, bounds=self._bounds, timing=self._timing)
        self._watcher = JobWatcher(
            self._api, store, maker=self._maker, retry=retry, bill=self._bill, now=self._timing.now
        )

    def lacking(self, model: str) -> str | None:
        """Return why the model can't be asked in batch jobs; None when it can, as far as is known."""
        if self._provider.backend(model).batch is None:
            return "The embedded model has no batch jobs."
        if self._settings.moderate is not None:
            return "With configure(moderate=…) there are no batch jobs: nobody would look at their answers before they are kept."
        server_url = self._settings.server_url
        # Mistral's page on regional inference, 2026-09: "Batch, and the Files API, are not available on regional endpoints".
        if self._settings.is_mistrals_own and server_url != REGIONS["global"]:
            return f"Mistral's regional endpoint {server_url} has no batch jobs."
        return None

    def prepare(self, plan: RowsPlan) -> int:
        """Give the plan the answers that have arrived, and leave out what is in open jobs; return how many texts these ask."""
        self._execute(self._settle_unclear())
        self._reader(plan).read_answered()
        return len(self._leave_out(plan, {}))

    def send(
        self,
        plan: RowsPlan,
        *,
        rows_per_request: Callable[[RowsPlan], int],
        budgets: Budgets,
        preview: RowsRun | None = None,
    ) -> BatchRun:
        """Send what has no answer and is in no open job; the jobs are in the file, and made, when this returns.

        Parameters
        ----------
        rows_per_request
            Says how many rows share a request of what is left to ask.
        budgets
            What all requests of the jobs have to fit into.
        preview
            The run that has asked the first rows.

        Raises
        ------
        MistralNotebookError
            A job could not be made. Those that were made before are found again by the next call.
        """
        self._execute(self._settle_unclear())
        reader = self._reader(plan)
        reader.read_answered()
        failed = preview.result() if preview is not None else None
        errors = dict(failed.errors) if failed is not None else {}
        made: list[JobRecord] = []
        while True:
            found = set(self._leave_out(plan, errors).values())
            if self._send_rest(plan, rows_per_request, budgets, errors, made):
                break  # otherwise another kernel was quicker with one of the questions
        return BatchRun(
            plan,
            self._store.jobs({*found, *(job.id for job in made)}),
            watcher=self._watcher,
            reader=reader,
            execute=self._execute,
            polling=self._polling,
            preview=preview,
            errors=errors,
        )

    def read(self, plan: RowsPlan) -> None:
        """Give a plan that is to be asked live the answers of jobs that have arrived since they were sent."""
        if not plan.keys or not plan.unanswered or plan.options.refreshes:
            return
        done_before = plan.progress.done
        self._reader(plan).read_answered()
        plan.progress.cached += plan.progress.done - done_before
        plan.unanswered = [number for number in plan.unanswered if plan.values[number] is UNANSWERED]

    def asking(self, plan: RowsPlan) -> dict[bytes, str]:
        """Return the keys, among those that the plan is to ask, that are in jobs whose answers are not here, with the job's id."""
        return self._store.open_keys([plan.keys[number] for number in plan.unanswered]) if plan.keys else {}

    def waiting(self) -> list[JobRecord]:
        """Return the jobs at this endpoint whose answers are not in the file, the oldest first."""
        server_url = self._settings.server_url
        return [job for job in self._store.jobs() if not job.is_kept and job.server_url == server_url]

    def all(self) -> list[JobRecord]:
        """Return all jobs of the file, whichever endpoint they are at, the oldest first."""
        return self._store.jobs()

    def forget_unread(self, *, older_than_days: float | None, verb: str | None, model: str | None) -> None:
        """Forget answers of jobs that are here and that no verb has read, of all jobs that meet what is given."""
        before = None if older_than_days is None else self._timing.now() - older_than_days * _SECONDS_PER_DAY
        self._store.clear(before_unix_seconds=before, verb=verb, model=model)

    def look_at_all(self) -> int:
        """Ask the API how far all jobs at this endpoint are, keep the answers of those that have ended, and count the others.

        A job that the API does not know with this key is not counted: nothing of it can come.

        Raises
        ------
        MistralNotebookError
            One of them could not be looked at; raised when all others were.
        """
        under_way: int = self._execute(self._look_at_all())
        return under_way

    async def _look_at_all(self) -> int:
        results = await asyncio.gather(*map(self._watcher.look, self.waiting()), return_exceptions=True)
        for problem in results:
            if isinstance(problem, BaseException) and not isinstance(problem, BatchExpired):
                raise problem
        return sum(isinstance(looked, JobRecord) and not looked.is_kept for looked in results)

    async def _settle_unclear(self) -> None:
        """Find out what became of jobs whose making was not seen to end."""
        for job in self.waiting():
            if job.status == CREATING:
                await self._maker.settled(job)

    def _leave_out(self, plan: RowsPlan, errors: Mapping[int, MistralNotebookError]) -> dict[bytes, str]:
        """Leave in the plan what must be sent; return the keys of the rest with the open job that asks each."""
        unanswered = [
            number for number, value in enumerate(plan.values) if value is UNANSWERED and number not in errors
        ]
        sent = self._store.open_keys([plan.keys[number] for number in unanswered])
        plan.unanswered = [number for number in unanswered if plan.keys[number] not in sent]
        return sent

    def _send_rest(
        self,
        plan: RowsPlan,
        rows_per_request: Callable[[RowsPlan], int],
        budgets: Budgets,
        errors: dict[int, MistralNotebookError],
        made: list[JobRecord],
    ) -> bool:
        """Make jobs of what must be sent, within the budgets; False where a question is in a job meanwhile."""
        most_usd_of: dict[tuple[int, ...], Decimal] = {}

        def most_usd(request: PlannedRequest) -> Decimal:
            if request.numbers not in most_usd_of:
                most_usd_of[request.numbers] = budgets.most_usd(plan.request(request.numbers))
            return most_usd_of[request.numbers]

        def refuse(request: PlannedRequest, error: MistralNotebookError) -> None:
            errors.update(dict.fromkeys(request.numbers, error))

        planned = plan.requests(rows_per_request=rows_per_request(plan))
        requests, too_much = affordable(planned, most_usd, budgets.hold)
        if too_much:
            error = budgets.reached(most_usd(PlannedRequest((too_much[0],))), left=f"{len(too_much):,} texts")
            errors.update(dict.fromkeys(too_much, error))
        sent: set[int] = set()
        try:
            bodies = with_bodies(requests, lambda request: _body(plan, request), refuse)
            for part in job_parts(bodies, bounds=self._bounds):
                most = sum(map(most_usd, part.requests), Decimal(0)) if budgets.bounds_answers else None
                job = self._described(plan, part, most)
                if not self._store.begin(job, _job_requests(job, plan, part)):
                    return False
                made.append(self._execute(self._maker.make(job, part, endpoint=_endpoint(plan))))
                sent.update(number for request in part.requests for number in request.numbers)
        finally:
            # A job counts with the most that it can cost: what it did cost is known when the kernel may be gone.
            for request in requests:
                amount = most_usd(request)
                budgets.settle(amount, Decimal(0) if sent.isdisjoint(request.numbers) else amount)
            self._store.write_deferred()  # what the day's budget gives back for single requests: the job holds it now
        return True

    def _described(self, plan: RowsPlan, part: JobPart, most_usd: Decimal | None) -> JobRecord:
        return JobRecord(
            id=uuid.uuid4().hex,
            server_url=self._settings.server_url,
            verb=plan.task.verb,
            model=plan.model,
            status=CREATING,
            rows=sum(
                plan.rows_of[number] for request in part.requests if not request.is_audit for number in request.numbers
            ),
            requests=len(part.requests),
            created_unix_seconds=self._timing.now(),
            creator=this_process(),
            most_usd=most_usd,
            cost_usd=self._price(plan.model)(TokenUsage()),
        )

    def _reader(self, plan: RowsPlan) -> BatchReader:
        return BatchReader(plan, store=self._store, cache=self._cache, price=self._price(plan.model))

    def _price(self, model: str) -> Price:
        return lambda usage: self._provider.cost_usd(model, usage, is_batch=True)

    def _bill(self, job: JobRecord, line: BatchLine, rows: int) -> Decimal | None:
        cost_usd = self._price(job.model)(line.usage) if line.is_answer else Decimal(0)
        ended = EndedRequest(record_of(job, line, rows=rows, cost_usd=cost_usd))
        self._ledger(ended)
        background_loop.soon(lambda: self._report(ended))
        return cost_usd

    def _api(self) -> BatchApi:
        batch = self._provider.backend(DEFAULT_HOSTED_MODEL).batch
        assert batch is not None, "the hosted backend makes jobs"
        return batch


def _job_requests(job: JobRecord, plan: RowsPlan, part: JobPart) -> list[JobRequest]:
    return [
        JobRequest(
            job_id=job.id,
            place=place,
            keys=tuple(plan.keys[number] for number in request.numbers),
            is_audit=request.is_audit,
        )
        for place, request in enumerate(part.requests)
    ]


def _body(plan: RowsPlan, planned: PlannedRequest) -> bytes:
    return json_body(body_without_model(plan.request(planned.numbers).body()))


def _endpoint(plan: RowsPlan) -> str:
    request = plan.task.request("", model=plan.model)
    return f"/v1/{request.endpoint}" if isinstance(request, InputsRequest) else CHAT_PATH
