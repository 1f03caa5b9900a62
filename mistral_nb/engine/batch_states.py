"""What the states of a job mean, and which of several jobs is ours.

Promises: pure functions. A state that the API may add is taken for one of a job that is still at work.
"""

from collections.abc import Iterable, Sequence

from mistral_nb.backends.batch_api import RemoteJob

# Of our own: the job is being made, or whether it was made is not known yet.
CREATING = "CREATING"
# Of our own: the API has forgotten the answers before they were fetched.
EXPIRED = "EXPIRED"
ENDED = frozenset({"SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED", EXPIRED})
# In which order a call with several jobs is described by one of their states: what is still at work first, then what went wrong.
_MOST_TELLING = (
    CREATING,
    "QUEUED",
    "RUNNING",
    "CANCELLATION_REQUESTED",
    EXPIRED,
    "FAILED",
    "TIMEOUT_EXCEEDED",
    "CANCELLED",
    "SUCCESS",
)
# Mistral's page on known limitations (2026-08): results can be downloaded for 24 hours after a job has ended.
KEPT_SECONDS = 86_400.0
# How long a job may take: the API's own default, and the longest it says for most jobs.
TIMEOUT_HOURS = 24
# A job that is older has nothing to give any more.
LONGEST_SECONDS = TIMEOUT_HOURS * 3600.0 + KEPT_SECONDS
METADATA_NAME = "mistral_nb_job"


def has_ended(status: str) -> bool:
    """Whether a job in this state gives nothing more."""
    return status in ENDED


def state_of_all(statuses: Sequence[str]) -> str:
    """Return the one state that says most of several jobs; SUCCESS when there is none, because nothing was left to ask."""
    if "RUNNING" in statuses:
        return "RUNNING"
    unknown = [status for status in statuses if status not in _MOST_TELLING]
    return (unknown + [status for status in _MOST_TELLING if status in statuses] + ["SUCCESS"])[0]


def ours(
    jobs: Iterable[RemoteJob], job_id: str, *, remote_id: str | None = None
) -> tuple[RemoteJob | None, list[RemoteJob]]:
    """Return the job that carries our id, and those that carry it too and must not be paid for.

    They are there when a call that made one seemed to fail, and was made again. The one that is kept is the one that is known as
    ours already (`remote_id`), else the one that has come furthest: one that was answered, then the oldest.
    """
    found = [job for job in jobs if job.metadata.get(METADATA_NAME) == job_id]
    found.sort(key=lambda job: _rank(job, remote_id))
    alive = [job for job in found[1:] if not has_ended(job.status)]
    return (found[0] if found else None), alive


def _rank(job: RemoteJob, remote_id: str | None) -> tuple[bool, bool, bool, float, str]:
    return (
        job.id != remote_id,
        job.status != "SUCCESS",
        has_ended(job.status),
        job.created_unix_seconds,
        job.id,
    )


def expires_unix_seconds(completed_unix_seconds: float | None) -> float | None:
    """Return when the API forgets what a job gave; None while it has not ended."""
    return None if completed_unix_seconds is None else completed_unix_seconds + KEPT_SECONDS
