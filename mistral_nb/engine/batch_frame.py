"""The jobs of the file as a frame."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.batch_states import expires_unix_seconds
from mistral_nb.engine.batch_store import JobRecord

if TYPE_CHECKING:
    import pandas as pd


def jobs_frame(jobs: Sequence[JobRecord]) -> "pd.DataFrame":
    """Return one line per job; see `mistral_nb.jobs`."""
    import pandas as pd

    def times(seconds: list[float | None]) -> Any:
        numbers = pd.Series(seconds, dtype="float64")
        return pd.to_datetime(numbers, unit="s", utc=True).dt.as_unit("us").array

    costs = [None if job.cost_usd is None or not job.is_kept else float(job.cost_usd) for job in jobs]
    ended = [job.completed_unix_seconds for job in jobs]
    return pd.DataFrame(
        {
            "verb": pd.array([job.verb for job in jobs], dtype="str"),
            "model": pd.array([job.model for job in jobs], dtype="str"),
            "status": pd.array([job.status for job in jobs], dtype="str"),
            "rows": pd.array([job.rows for job in jobs], dtype="int64"),
            "requests": pd.array([job.requests for job in jobs], dtype="int64"),
            "succeeded_requests": pd.array([job.succeeded_requests for job in jobs], dtype="int64"),
            "failed_requests": pd.array([job.failed_requests for job in jobs], dtype="int64"),
            "cost_usd": pd.array(costs, dtype="Float64"),
            "created": times([job.created_unix_seconds for job in jobs]),
            "ended": times(ended),
            "is_fetched": pd.array([job.is_kept for job in jobs], dtype="bool"),
            "fetch_before": times(
                [
                    None
                    if job.is_kept
                    else expires_unix_seconds(job.completed_unix_seconds or job.created_unix_seconds)
                    for job in jobs
                ]
            ),
            "problem": pd.array([job.problem for job in jobs], dtype="str"),
        },
        index=pd.Index([job.remote_id for job in jobs], dtype="str", name="job"),
    )
