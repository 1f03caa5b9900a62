"""What is shown of batch jobs while they are waited for, and what is said of them unasked.

Promises: a warning says what is missing or at stake and the line that helps; the same is said once in a kernel of one job.
"""

import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mistral_nb.counted import counted
from mistral_nb.engine.batch_states import KEPT_SECONDS, state_of_all
from mistral_nb.notebook.parts import current_part
from mistral_nb.readers_code import readers_stacklevel

if TYPE_CHECKING:
    from mistral_nb.engine.batch_run import BatchRun, OnLook
    from mistral_nb.engine.batch_store import JobRecord
    from mistral_nb.engine.plan import RowsPlan
    from mistral_nb.engine.session import Session
    from mistral_nb.errors import MistralNotebookError

# A job may end within minutes, and is forgotten a day later: half of that day is left to do something.
_WARNED_AFTER_SECONDS = KEPT_SECONDS / 2
_warned: set[str] = set()


class PendingRowsWarning(UserWarning):
    """Some rows are in batch jobs that have not ended: they are missing in the result, or asked and paid for twice.

    Examples
    --------
    >>> import warnings, pandas as pd, mistral_nb
    >>> texts = pd.Series([f"Parcel {number} is late" for number in range(20)])
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     topics = texts.mistral.classify(["billing", "delivery"], mode="preview+batch", preview=2)
    >>> [warning.category.__name__ for warning in told], int(topics.isna().sum())
    (['PendingRowsWarning'], 18)
    >>> int(texts.mistral.last_job.result().isna().sum())  # waits
    0
    """


class UnfetchedJobsWarning(UserWarning):
    """The answers of batch jobs have not been fetched, and the API does not keep them long.

    Examples
    --------
    >>> import warnings, pandas as pd, mistral_nb
    >>> job = pd.Series(["I was charged twice"]).mistral.classify(["billing", "delivery"], mode="batch")
    >>> with warnings.catch_warnings():  # a script that is to stop rather than lose answers
    ...     warnings.simplefilter("error", mistral_nb.UnfetchedJobsWarning)
    ...     table = mistral_nb.jobs()  # fetches what has come
    """


@contextmanager
def jobs_line(verb: str) -> "Iterator[OnLook]":
    """Show how far batch jobs are while the block runs; yields the function to call with each look at them."""
    from tqdm.auto import tqdm

    with tqdm(desc=f"{verb} as a batch job", unit="request") as line:

        def show(jobs: "Sequence[JobRecord]", problem: "MistralNotebookError | None") -> None:
            line.total = sum(job.requests for job in jobs)
            failed = sum(job.failed_requests for job in jobs)
            unseen = "" if problem is None else f", last seen before {type(problem).__name__}"
            line.set_postfix_str(
                f"{state_of_all([job.status for job in jobs])}, failed={failed}{unseen}", refresh=False
            )
            line.update(sum(job.succeeded_requests for job in jobs) + failed - line.n)
            line.refresh()

        yield show


def show_in_notebook(thing: Any) -> None:
    """Display something in a notebook or in IPython; a script is left alone."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        from IPython.display import display

        display(thing)


def warn_of_pending(run: "BatchRun") -> None:
    """Say how many rows are still to come, and how to get them; silent when none is."""
    progress = run.progress
    pending = progress.total - progress.done
    if not pending:
        return
    warnings.warn(
        f"{pending:,} of {counted(progress.total, 'row')} of {run.plan.task.verb} are missing so far: they are in batch jobs "
        f"({_names(run.jobs)}).\n"
        "df.mistral.last_job.result() waits for them and returns the whole column; this cell does so too, once they have come.",
        PendingRowsWarning,
        stacklevel=readers_stacklevel(),
    )


def warn_of_jobs(session: "Session", plan: "RowsPlan") -> None:
    """Warn, before a live run, of questions that are in a batch job already."""
    if current_part() is not None:
        return
    waiting = session.batches.waiting()
    if not waiting:
        return
    doubled = session.batches.asking(plan)
    if doubled:
        asked = [job for job in waiting if job.id in doubled.values()]
        warnings.warn(
            f"{len(doubled):,} of the texts that are asked now are in batch jobs that have not ended ({_names(asked)}): they are "
            'paid for twice.\nmode="batch" waits for those jobs instead.',
            PendingRowsWarning,
            stacklevel=readers_stacklevel(),
        )


def warn_of_unfetched(session: "Session") -> None:
    """Warn of jobs whose answers the API may forget before anybody fetches them, once of each."""
    if current_part() is not None:
        return
    now = time.time()
    waiting = session.batches.waiting()
    old = [job for job in waiting if job.id not in _warned and now - job.created_unix_seconds > _WARNED_AFTER_SECONDS]
    if not old:
        return
    _warned.update(job.id for job in old)
    listed = "\n".join(
        f"  {_names([job])}: {job.verb} of {counted(job.rows, 'row')}, made {(now - job.created_unix_seconds) / 3600:.0f} hours ago"
        for job in old
    )
    warnings.warn(
        "Answers of batch jobs have not been fetched, and the API keeps them for only about a day after the end:\n"
        f"{listed}\nmistral_nb.jobs() fetches what has come.",
        UnfetchedJobsWarning,
        stacklevel=readers_stacklevel(),
    )


def _names(jobs: "Sequence[JobRecord]") -> str:
    return ", ".join(job.remote_id or "one whose making was not seen to end" for job in jobs if not job.is_kept)
