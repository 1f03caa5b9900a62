"""The progress line of a run of rows, and the warning that closes one with failures.

Promises: one line, right in a notebook and in a terminal; nothing for runs that end within a second.
"""

import inspect
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mistral_nb.engine.rows import RowsProgress, RowsResult

_QUIET_SECONDS = 1.0
_REFRESH_SECONDS = 0.25


class FailedRowsWarning(UserWarning):
    """Some rows of a run failed and are missing in its result."""


@contextmanager
def progress_line(verb: str, total: int) -> Iterator[Callable[[RowsProgress], None]]:
    """Show rows done, kept and failed while the block runs; yields the function to call with each state."""
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=verb, unit="row", delay=_QUIET_SECONDS, mininterval=_REFRESH_SECONDS) as line:

        def show(progress: RowsProgress) -> None:
            line.set_postfix(cached=progress.cached, failed=progress.failed, refresh=False)
            line.update(progress.done - line.n)

        yield show


def warn_of_failures(result: RowsResult) -> None:
    """Warn once, with the count and the most frequent causes; silent when every row was answered."""
    if not result.errors:
        return
    causes = Counter(f"{type(error).__name__}: {error.problem}" for error in result.errors.values())
    listed = "\n".join(f"  {count} × {cause}" for cause, count in causes.most_common(3))
    warnings.warn(
        f"{len(result.errors)} of {result.progress.total} rows failed in {result.verb} and are missing:\n{listed}\n"
        "df.mistral.last_run.failed lists them with a remedy each; running the cell again asks only for these.",
        FailedRowsWarning,
        stacklevel=_readers_stacklevel(),
    )


def _readers_stacklevel() -> int:
    """Return how many frames up the reader's own line is (Python 3.12's skip_file_prefixes, which 3.11 lacks)."""
    ours = str(Path(__file__).parent)
    level, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(ours):
        level, frame = level + 1, frame.f_back
    return level  # the warning itself is raised one frame below, where the count began
