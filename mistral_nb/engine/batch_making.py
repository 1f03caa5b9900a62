"""A job is made once, although the call that makes it can fail after it has made one.

Keeps to itself: which failures leave that open, how it is found out, and whether whoever began a job is still at it.
Promises: a job is in the file before the API is asked for it, and carries our id; one whose making failed in an unclear way is
looked for by that id before it is made again; a second one with the same id is cancelled. Killed at any point, the next look puts
it right.
"""

import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from mistral_nb.backends.batch_api import BatchApi, RemoteJob
from mistral_nb.engine.batch_parts import JobBounds, JobPart
from mistral_nb.engine.batch_states import CREATING, METADATA_NAME, TIMEOUT_HOURS, ours
from mistral_nb.engine.batch_store import BatchStore, JobRecord
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.errors import (
    AnswerProblem,
    ConnectionLost,
    MistralNotebookError,
    RequestTimedOut,
    ServerProblem,
)

# A call that makes a job takes half a second (recorded). What was made is listed by then, even if the caller died in the middle.
SETTLING_SECONDS = 10.0
# Of a process that can't be looked at, because it is on another machine or another system.
PATIENCE_SECONDS = 900.0
# This machine's clock, against which the API's is compared, may be wrong.
CLOCK_ERROR_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How time is told and passed; tests pass it quickly."""

    now: Callable[[], float] = time.time
    settling_seconds: float = SETTLING_SECONDS


class JobMaker:
    """Makes jobs at one endpoint.

    Parameters
    ----------
    api, store
        Gives the calls that make jobs; where jobs are written down.
    retry
        How patient the calls are.
    """

    def __init__(
        self,
        api: Callable[[], BatchApi],
        store: BatchStore,
        *,
        retry: RetryPolicy,
        bounds: JobBounds | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._api = api
        self._store = store
        self._retry = retry
        self._bounds = bounds or JobBounds()
        self._timing = timing or Timing()
        self._under_way: set[str] = set()

    async def make(self, job: JobRecord, part: JobPart, *, endpoint: str) -> JobRecord:
        """Return the job, made; it has been written down before.

        Raises
        ------
        MistralNotebookError
            It was not made, and is forgotten; or that is not known, and it stays in the file as CREATING.
        """
        self._under_way.add(job.id)
        try:
            try:
                file_id = None
                if not part.is_inline(self._bounds):
                    file_id = await self._retry.attempt(lambda: self._api().upload(part.lines))
            except BaseException:
                self._store.drop(job.id)  # a file without a job costs nothing
                raise

            def create() -> Awaitable[RemoteJob]:
                return self._api().create(
                    endpoint=endpoint,
                    model=job.model,
                    metadata={METADATA_NAME: job.id, "verb": job.verb},
                    timeout_hours=TIMEOUT_HOURS,
                    lines=() if file_id else part.lines,
                    file_id=file_id,
                )

            return await self._created_once(job, create)
        finally:
            self._under_way.discard(job.id)

    async def settled(self, job: JobRecord) -> JobRecord | None:
        """Return what became of a job whose making was not seen to end: the job, or None when there is none (it is forgotten).

        A job that somebody is making just now comes back as it is.
        """
        if job.status != CREATING or self._is_being_made(job):
            return job
        remote = await self._found(job)
        wait_seconds = job.created_unix_seconds + self._timing.settling_seconds - self._timing.now()
        if remote is None and wait_seconds > 0:
            await self._retry.sleep(wait_seconds)
            remote = await self._found(job)
        if remote is None:
            self._store.drop(job.id)
            return None
        return self._made(job, remote)

    async def without_twins(self, job: JobRecord) -> JobRecord:
        """Cancel other jobs that carry the same id: a call whose failure was unclear has made one after all."""
        await self._found(job)
        is_settled = self._timing.now() > job.created_unix_seconds + self._timing.settling_seconds
        job = replace(job, is_uncertain=job.is_uncertain and not is_settled)
        self._store.update(job)
        return job

    async def _created_once(self, job: JobRecord, create: Callable[[], Awaitable[RemoteJob]]) -> JobRecord:
        failures = 0
        while True:
            try:
                return self._made(job, await create())
            except MistralNotebookError as error:
                failures += 1
                if _may_have_made_it(error):
                    job = self._uncertain(job)
                    remote = await self._found(job)
                    if remote is not None:
                        return self._made(job, remote)
                if failures >= self._retry.attempts(error):
                    if not job.is_uncertain:
                        self._store.drop(job.id)
                    raise
                wait_seconds = max(self._retry.wait_seconds(failures, error), 1.0 if job.is_uncertain else 0.0)
            except BaseException:  # interrupted, perhaps after the API has made it
                self._uncertain(job)
                raise
            await self._retry.sleep(wait_seconds)
            if job.is_uncertain and (remote := await self._found(job)) is not None:
                return self._made(job, remote)

    async def _found(self, job: JobRecord) -> RemoteJob | None:
        """Return the job that carries our id; others that do are cancelled."""
        since = job.created_unix_seconds - CLOCK_ERROR_SECONDS
        listed = await self._retry.attempt(lambda: self._api().jobs_since(since))
        found, twins = ours(listed, job.id, remote_id=job.remote_id)
        for twin in twins:
            await self._retry.attempt(lambda twin=twin: self._api().cancel(twin.id))  # type: ignore[misc]
        return found

    def _made(self, job: JobRecord, remote: RemoteJob) -> JobRecord:
        job = replace(job, remote_id=remote.id, status=remote.status)
        self._store.update(job)
        return job

    def _uncertain(self, job: JobRecord) -> JobRecord:
        job = replace(job, is_uncertain=True)
        self._store.update(job)
        return job

    def _is_being_made(self, job: JobRecord) -> bool:
        if job.creator == this_process():
            return job.id in self._under_way
        is_recent = self._timing.now() < job.created_unix_seconds + PATIENCE_SECONDS
        return is_recent and _may_be_alive(job.creator)


def _may_have_made_it(error: MistralNotebookError) -> bool:
    return isinstance(error, ConnectionLost | RequestTimedOut | ServerProblem | AnswerProblem)


def this_process() -> str:
    """Return what tells this process from others, also on other machines that share the file."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _may_be_alive(creator: str) -> bool:
    """Whether a process may still be there; True where nothing can be said."""
    host, _, pid = creator.rpartition(":")
    if host != socket.gethostname() or os.name != "posix":  # elsewhere, signal 0 is not harmless
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
