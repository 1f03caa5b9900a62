"""Which runs a verb made, for code that calls it and needs more of them than the verb gives.

Keeps to itself: how that code is found from within the verb.
Promises: only runs of this thread's own calls are seen: ``last_run`` may be that of a run in the background, which ended meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mistral_nb.engine.column_run import ColumnRun

_seen: ContextVar[list["ColumnRun"] | None] = ContextVar("mistral_nb_runs_made", default=None)


@contextmanager
def runs_made() -> Iterator[list["ColumnRun"]]:
    """Give a list to which each run is added that a verb in this block has waited for, whether it went through or not."""
    runs: list[ColumnRun] = []
    token = _seen.set(runs)
    try:
        yield runs
    finally:
        _seen.reset(token)


def note_run(run: "ColumnRun") -> None:
    """Add the run to the list of the block it is made in, if there is one."""
    runs = _seen.get()
    if runs is not None:
        runs.append(run)
