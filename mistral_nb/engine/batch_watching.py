"""How far jobs are, and what they gave: fetched once, kept in the file, written into the ledger.

Keeps to itself: where the API has put the answers of a job.
Promises: a job counts as kept only when all it gave is in the file; each answer is on the bill once, whoever looks and however
often a look is cut short; what the API has forgotten is said.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from mistral_nb.backends.batch_api import BatchApi, BatchLine, RemoteJob, by_custom_id
from mistral_nb.engine.batch_making import JobMaker
from mistral_nb.engine.batch_states import CREATING, EXPIRED, LONGEST_SECONDS, has_ended
from mistral_nb.engine.batch_store import BatchStore, Bill, JobRecord
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.errors import BatchExpired

_LINES_PER_TRANSACTION = 5000


class JobWatcher:
    """Looks at the jobs of one endpoint.

    Parameters
    ----------
    api, store
        Gives the calls that look at jobs; where jobs are written down.
    bill
        Writes a line that is kept into the ledger, and returns its price.
    """

    def __init__(
        self,
        api: Callable[[], BatchApi],
        store: BatchStore,
        *,
        maker: JobMaker,
        retry: RetryPolicy,
        bill: Bill,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._store = store
        self._maker = maker
        self._retry = retry
        self._bill = bill
        self._now = now

    async def look(self, job: JobRecord) -> JobRecord | None:
        """Return the job as it is now, its answers kept when it has ended; None when it was never made."""
        if job.is_kept:
            return job
        if job.status == CREATING:
            settled = await self._maker.settled(job)
            if settled is None or settled.status == CREATING:
                return settled
            job = settled
        if job.is_uncertain:
            job = await self._maker.without_twins(job)
        remote_id = job.remote_id
        assert remote_id is not None, "a job that was made has the API's id"
        try:
            remote = await self._retry.attempt(lambda: self._api().job(remote_id))
        except BatchExpired as error:
            job = replace(job, problem=error.problem)
            if self._now() < job.created_unix_seconds + LONGEST_SECONDS:
                self._store.update(job)
                raise  # too early to be forgotten: it may be another account's
            return self._expired(job)
        job = _as_shown(job, remote)
        if has_ended(remote.status):
            lines, is_forgotten = await self._lines(remote, job)
            job = await self._kept(job, lines)
            if is_forgotten:
                return self._expired(
                    replace(job, problem=f"The API does not give the answers of job {remote.id} any more.")
                )
        self._store.update(job)
        return job

    async def cancel(self, job: JobRecord) -> JobRecord | None:
        """Ask for the end of the job, and return it as it is then."""
        looked = await self.look(job)
        if looked is None or looked.is_kept or looked.remote_id is None:
            return looked
        remote_id = looked.remote_id
        remote = await self._retry.attempt(lambda: self._api().cancel(remote_id))
        job = _as_shown(looked, remote)
        self._store.update(job)
        return job

    async def _lines(self, remote: RemoteJob, job: JobRecord) -> tuple[dict[str, BatchLine], bool]:
        """Return all lines of a job that has ended, and whether the API has forgotten some.

        The lines are those that came with the job, and those of its files while some are missing. That is found out from the lines
        themselves: the job's own counts may be late, or not there.
        """
        found = by_custom_id(remote.outputs or ())
        is_forgotten = False
        for file_id in filter(None, (remote.output_file, remote.error_file)):
            if len(found) >= job.requests:
                break
            try:
                lines = await self._retry.attempt(lambda file_id=file_id: self._api().lines(file_id))  # type: ignore[misc]
            except BatchExpired:
                is_forgotten = True
                continue
            found = by_custom_id([*found.values(), *lines])
        had_answers = remote.succeeded_requests > sum(line.is_answer for line in found.values())
        return found, len(found) < job.requests and (is_forgotten or had_answers)

    def _expired(self, job: JobRecord) -> JobRecord:
        job = replace(job, status=EXPIRED, is_kept=True)
        self._store.update(job)
        return job

    async def _kept(self, job: JobRecord, lines: dict[str, BatchLine]) -> JobRecord:
        """Return the job with its bill, all lines kept; lines that nobody asked for are left out."""
        wanted = {int(name): line for name, line in lines.items() if name.isdecimal() and int(name) < job.requests}
        places = sorted(wanted)
        for start in range(0, len(places), _LINES_PER_TRANSACTION):
            part = {place: wanted[place] for place in places[start : start + _LINES_PER_TRANSACTION]}
            job = self._store.keep(job, part, self._bill)
            await asyncio.sleep(0)  # others on the loop do not wait for all of it
        return replace(job, is_kept=True)


def _as_shown(job: JobRecord, remote: RemoteJob) -> JobRecord:
    return replace(
        job,
        status=remote.status,
        succeeded_requests=remote.succeeded_requests,
        failed_requests=remote.failed_requests,
        completed_unix_seconds=remote.completed_unix_seconds,
        problem="; ".join(remote.problems) or None,
    )
