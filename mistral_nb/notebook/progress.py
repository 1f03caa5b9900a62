"""The progress line of a run of rows, and the warning that closes one with failures.

Promises: one line, right in a notebook and in a terminal: rows done, cached and failed, dollars, rows a second, time left; nothing
for runs that end within a second.
"""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mistral_nb.counted import counted
from mistral_nb.engine.rows import RowsProgress, RowsResult
from mistral_nb.masking.kinds import MaskReport
from mistral_nb.notebook.parts import current_part
from mistral_nb.readers_code import readers_stacklevel

_QUIET_SECONDS = 1.0
_REFRESH_SECONDS = 0.25


class FailedRowsWarning(UserWarning):
    """Some rows of a run failed and are missing in its result.

    Examples
    --------
    >>> import warnings, pandas as pd, mistral_nb
    >>> texts = pd.Series(["Please call me back.", "far too long " * 3000])
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     replies = texts.mistral.ask("Answer in one word: {text}", max_words=5)
    >>> [warning.category.__name__ for warning in told], replies.isna().tolist()
    (['FailedRowsWarning'], [False, True])
    >>> texts.mistral.last_run.failed["error"].tolist()
    ['PromptTooLong']
    """


@contextmanager
def progress_line(verb: str, progress: RowsProgress) -> Iterator[Callable[[RowsProgress], None]]:
    """Show how far a run is while the block runs; yields the function to call with each state."""
    from tqdm.auto import tqdm

    if current_part() is not None:
        yield lambda state: None
        return
    # What was kept took no time: only the rows that are asked tell the speed and the time left.
    with tqdm(
        total=progress.total,
        initial=progress.done,
        desc=verb,
        unit="row",
        delay=_QUIET_SECONDS,
        mininterval=_REFRESH_SECONDS,
    ) as line:
        next_refresh = 0.0

        def show(state: RowsProgress) -> None:
            nonlocal next_refresh
            now = time.monotonic()
            if now < next_refresh and state.done < state.total:
                return
            next_refresh = now + _REFRESH_SECONDS
            cost = "?" if state.cost_usd is None else f"${state.cost_usd:.4f}"
            line.set_postfix_str(f"cached={state.cached}, failed={state.failed}, cost={cost}", refresh=False)
            line.update(state.done - line.n)

        yield show


def say_what_was_masked(report: MaskReport) -> None:
    """Print, on a line of its own, what stays on this machine."""
    from tqdm.auto import tqdm

    if current_part() is None:
        tqdm.write(f"Masked: {report}.")


def warn_of_failures(result: RowsResult) -> None:
    """Warn once, with the count and the most frequent causes; silent when every row was answered."""
    if not result.has_failures:
        return
    part = current_part()
    if part is not None:
        part.told(result)
        return
    warnings.warn(
        f"{failures_text(result)}\n"
        "df.mistral.last_run.failed lists them with a remedy each; df.mistral.last_run.retry() asks them again.",
        FailedRowsWarning,
        stacklevel=readers_stacklevel(),
    )


def failures_text(result: RowsResult) -> str:
    """Return how many rows failed, and the most frequent causes with what to do."""
    errors = [*result.errors.values(), *(error for _, error in result.left_out)]
    causes = Counter(f"{type(error).__name__}: {error.problem} {error.remedy}" for error in errors)
    listed = "\n".join(f"  {count} × {cause}" for cause, count in causes.most_common(3))
    progress = result.progress
    refused = f" ({progress.refused:,} of them refused)" if progress.refused else ""
    return f"{progress.failed:,} of {counted(progress.total, 'row')} failed{refused} in {result.verb} and are missing:\n{listed}"
