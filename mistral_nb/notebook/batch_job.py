"""A verb's rows as batch jobs, as the user holds them.

Keeps to itself: how a job is shown while it is waited for.
Promises: waiting can be interrupted and begun again; the result is the column that a live call would have given.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from mistral_nb.counted import counted
from mistral_nb.engine.rows import RowsProgress
from mistral_nb.errors import InvalidOption
from mistral_nb.notebook.edge import Edge, PandasEdge

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.engine.batch_run import BatchRun
    from mistral_nb.engine.batch_store import JobRecord
    from mistral_nb.engine.column_run import ColumnRun
    from mistral_nb.engine.receipt import Receipt
    from mistral_nb.errors import MistralNotebookError


class BatchJob:
    """The batch jobs of one call; what ``mode="batch"`` returns.

    It may be forgotten: the jobs are in the file of kept answers. In another kernel, the same call gives a `BatchJob` of the same
    jobs and sends nothing that is in them; `mistral_nb.jobs()` lists all, and fetches the answers of those that have ended.

    Attributes
    ----------
    receipt
        What was sent, and what it costs.
    edge
        Beyond which its frames are: pandas', or another library's.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I was charged twice", "The parcel never came"])
    >>> job = texts.mistral.classify(["billing", "delivery"], mode="batch", budget_usd=1)
    >>> topics = job.wait().result()
    >>> job.status, len(topics)
    ('SUCCESS', 2)
    """

    def __init__(
        self,
        run: "BatchRun",
        *,
        receipt: "Receipt",
        column_run: "Callable[[], ColumnRun]",
        finish: "Callable[[ColumnRun], Any]",
        edge: Edge | None = None,
        asked: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.receipt = receipt
        self._run = run
        self._column_run = column_run
        self._finish = finish
        self.edge: Edge = edge or PandasEdge()
        self._asked = asked

    @property
    def ids(self) -> list[str]:
        """The API's ids of the jobs; empty when nothing had to be asked."""
        return [job.remote_id for job in self._run.jobs if job.remote_id is not None]

    @property
    def status(self) -> str:
        """How far the jobs are, as the API says now.

        QUEUED, RUNNING, SUCCESS (requests of it may have failed, see `failed`), FAILED, TIMEOUT_EXCEEDED, CANCELLATION_REQUESTED
        or CANCELLED; CREATING while it is not known whether the job was made, EXPIRED when the API forgot the answers before
        anybody fetched them. Of several jobs, one that is still at work says more than one that has ended.
        """
        self._run.look()
        return self._run.status

    @property
    def is_done(self) -> bool:
        """Whether all that the jobs give has been fetched."""
        return self._run.is_done

    @property
    def progress(self) -> RowsProgress:
        """Rows in all, done, cached, failed and missing, requests and dollars, as last seen; a job's rows are done at its end."""
        return self._run.progress

    def wait(self, *, progress: bool = True, timeout_seconds: float | None = None) -> Self:
        """Wait until all jobs have ended and their answers are fetched; Ctrl-C ends the waiting, not the jobs.

        A job may take a day. While the API can't be asked, as when this machine sleeps or is offline, the wait goes on.

        Parameters
        ----------
        progress
            Show a line with the state and the requests that are answered.
        timeout_seconds
            Wait no longer than this; `is_done` tells whether it was enough.

        Raises
        ------
        MistralNotebookError
            The API could not be asked for the first time, or for a day. The jobs go on.
        """
        from mistral_nb.notebook.job_notices import jobs_line

        if timeout_seconds is not None and not (isinstance(timeout_seconds, int | float) and timeout_seconds >= 0):
            raise InvalidOption(f"timeout_seconds is {timeout_seconds!r}.", "Give seconds, e.g. timeout_seconds=600.")
        if progress:
            with jobs_line(self._run.plan.task.verb) as show:
                self._run.wait(show, timeout_seconds=timeout_seconds)
        else:
            self._run.wait(_show_nothing, timeout_seconds=timeout_seconds)
        return self

    def result(self) -> Any:
        """Wait for the end and return what the verb would have returned live; rows that failed are missing, with one warning.

        ``df.mistral.last_run`` has them with their errors then, and its `retry` asks them again, live.

        Raises
        ------
        RowsFailed
            With ``errors="raise"``.
        """
        if not self.is_done:
            self.wait()
        return self.edge.given(lambda: self._finish(self._column_run()), asked=self._asked)

    def giving(self, edge: Edge, *, asked: Mapping[str, Any] = MappingProxyType({})) -> Self:
        """Return the same job with frames as they are beyond an edge; the verb was asked with these arguments."""
        return type(self)(
            self._run,
            receipt=self.receipt,
            column_run=self._column_run,
            finish=self._finish,
            edge=edge,
            asked=asked,
        )

    @property
    def details(self) -> "pd.DataFrame":
        """One line per row of what is here so far; see ``details=True``."""
        return self.edge.run(self._column_run()).details

    @property
    def failed(self) -> "pd.DataFrame":
        """One line per row that has failed so far, indexed as the rows are: error (class), problem, remedy."""
        return self.edge.run(self._column_run()).failed

    def cancel(self) -> None:
        """Ask for the end of the jobs. What is answered by then is kept, and paid for; the other rows are missing."""
        self._run.cancel()

    def __repr__(self) -> str:
        run = self._run
        lines = [f"{run.plan.task.verb} as a batch job with {run.plan.model}: {run.status}; {run.progress}"]
        lines += [f"  {shown_job(job)}" for job in run.jobs]
        return "\n".join(lines)


def shown_job(job: "JobRecord") -> str:
    """Return one line about a job."""
    answered = f"{job.succeeded_requests:,} of {counted(job.requests, 'request')} answered"
    failed = f", {job.failed_requests:,} failed" if job.failed_requests else ""
    problem = f" ({job.problem})" if job.problem else ""
    return f"{job.remote_id or 'not known yet'}: {job.status}, {answered}{failed}{problem}"


def _show_nothing(jobs: "Sequence[JobRecord]", problem: "MistralNotebookError | None") -> None:
    """Take no notice."""
