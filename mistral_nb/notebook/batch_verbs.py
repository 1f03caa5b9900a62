"""A verb on a column as batch jobs: the receipt, the first rows where they are wanted now, then the jobs.

Keeps to itself: which options make sense with a job, and which rows are the first.
Promises: no row is sent before the receipt is shown; where there are no jobs, the error says what a live call costs.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from mistral_nb.errors import InvalidOption

if TYPE_CHECKING:
    from mistral_nb.engine.batch_run import BatchRun
    from mistral_nb.engine.bill import Opening
    from mistral_nb.engine.column_run import ColumnRun
    from mistral_nb.engine.plan import RowsPlan
    from mistral_nb.engine.session import Session
    from mistral_nb.masking.kinds import MaskReport

Mode = Literal["live", "batch", "preview+batch"]
MODES: tuple[Mode, ...] = ("live", "batch", "preview+batch")
DEFAULT_PREVIEW = 0.05


def checked_mode(mode: Any, preview: Any, *, background: bool, cache: bool) -> None:
    """Raise InvalidOption for a mode that there is not, or for options that do not go with it."""
    if mode not in MODES:
        raise InvalidOption(f"mode is {mode!r}.", f"Give {', '.join(map(repr, MODES[:-1]))} or {MODES[-1]!r}.")
    if preview is not None and mode != "preview+batch":
        raise InvalidOption(
            f"preview={preview!r} is for the first rows of a batch job.",
            'Give mode="preview+batch" with it, or leave it out.',
        )
    is_number = isinstance(preview, int | float) and not isinstance(preview, bool)
    is_whole = is_number and preview >= 1 and preview == int(preview)
    if preview is not None and not (is_number and (0 < preview < 1 or is_whole)):
        raise InvalidOption(
            f"preview is {preview!r}.",
            "Give the share of rows to ask now, e.g. preview=0.05, or how many, e.g. preview=50.",
        )
    if mode == "live":
        return
    if background:
        raise InvalidOption("A batch job goes on by itself.", 'Leave background=True out, or give mode="live".')
    if not cache:
        raise InvalidOption(
            "The answers of a batch job come back through the cache.", 'Leave cache=False out, or give mode="live".'
        )


def answered_by_jobs(
    plan: "RowsPlan",
    session: "Session",
    *,
    opening: "Opening",
    mode: Mode,
    preview: float | None,
    is_dry_run: bool,
    masked: "MaskReport | None",
    column_run: "Callable[[BatchRun], ColumnRun]",
    finish: "Callable[[ColumnRun], Any]",
) -> Any:
    """Return a `BatchJob`; with a preview what the verb gives, as far as it is there; for a dry run the receipt.

    Parameters
    ----------
    opening
        The budget, and what was asked for the plan.
    masked
        What was masked in the texts.
    column_run
        Makes a run over the column of a run of its texts.
    finish
        Gives what the verb returns, with its warning.
    """
    from mistral_nb.engine.batch_calls import batch_receipt, prepared, send_batch
    from mistral_nb.engine.occasion import asked_through
    from mistral_nb.notebook.batch_job import BatchJob
    from mistral_nb.notebook.job_notices import show_in_notebook, warn_of_pending, warn_of_unfetched
    from mistral_nb.notebook.progress import progress_line

    waiting = prepared(session, plan)
    warn_of_unfetched(session)
    first = _first(plan, DEFAULT_PREVIEW if preview is None else preview) if mode == "preview+batch" else []
    receipt = replace(batch_receipt(session, plan, waiting=waiting, first=first, is_dry_run=is_dry_run), masked=masked)
    if is_dry_run:
        return receipt
    if receipt.requests:
        show_in_notebook(receipt)
    previewed = None
    if first or opening.bill.requests:
        with asked_through("accessor", verb=plan.task.verb):
            previewed = session.run(plan.of(first), budget=opening.budget, bill=opening.bill)
    if previewed is not None and first:
        with progress_line(previewed.verb, previewed.progress) as show:
            previewed.execute(show)
    run = send_batch(session, plan, budget=opening.budget, preview=previewed)
    job = BatchJob(run, receipt=receipt, column_run=lambda: column_run(run), finish=finish)
    session.last_job = job
    if mode == "batch":
        return job
    given = finish(column_run(run))
    warn_of_pending(run)
    return given


def _first(plan: "RowsPlan", preview: float) -> list[int]:
    """Return the numbers of the texts of the first rows, as far as they must be asked."""
    with_text = plan.texts.numbers[plan.texts.numbers >= 0]
    rows = math.ceil(len(with_text) * preview) if preview < 1 else int(preview)
    first = set(with_text[:rows].tolist())
    return [number for number in plan.unanswered if number in first]
