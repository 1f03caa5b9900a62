"""A verb over a parquet file that is larger than memory.

Keeps to itself: how batches are read, and how parts and file become the new file.
Promises: memory for one batch; the target is there when it is whole, and not before; the same call after a kill goes on with the
first batch that is not done, and within it with the first text that is not answered.
"""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mistral_nb.counted import counted
from mistral_nb.errors import BudgetReached, ExtraMissing, InvalidOption

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mistral_nb.engine.receipt import Receipt
    from mistral_nb.engine.request_record import RequestRecord
    from mistral_nb.engine.rows import RowsProgress, RowsResult
    from mistral_nb.streaming.batch_verb import BatchVerb
    from mistral_nb.streaming.unfinished import Unfinished

DEFAULT_BATCH_ROWS = 10_000
_READ_BYTES = 1 << 20
_SHOWN_CAUSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedParquet:
    """What `mistral_nb.stream_parquet` has written.

    Attributes
    ----------
    path
        The file.
    rows, failed
        How many rows it has, and how many of them failed and are missing.
    rows_before
        Rows that an earlier call, which was stopped, had done already.
    requests
        Requests of this call.
    cost_usd
        What all calls together have cost; None where a price is unknown.
    seconds
        Of this call.

    Examples
    --------
    >>> import os, tempfile, pandas as pd, mistral_nb
    >>> source, target = (os.path.join(tempfile.mkdtemp(), name) for name in ("in.parquet", "out.parquet"))
    >>> pd.DataFrame({"text": ["I was charged twice", "The parcel never came"]}).to_parquet(source)
    >>> done = mistral_nb.stream_parquet(source, target, verb="classify", column="text", labels=["billing", "delivery"])
    >>> done.path.name, done.rows, done.failed, done.cost_usd
    ('out.parquet', 2, 0, Decimal('0'))
    """

    path: Path
    rows: int
    failed: int
    rows_before: int
    requests: int
    cost_usd: Decimal | None
    seconds: float

    def __str__(self) -> str:
        cost = "cost unknown" if self.cost_usd is None else f"${self.cost_usd:.4f}"
        before = f" ({self.rows_before:,} of them done before)" if self.rows_before else ""
        return f"{self.path}: {counted(self.rows, 'row')}{before}, {self.failed:,} failed, {cost}, {self.seconds:.1f} s"


def stream_parquet(
    source: str | Path,
    target: str | Path,
    *,
    verb: str,
    batch_rows: int = DEFAULT_BATCH_ROWS,
    into: str | None = None,
    budget_usd: float | Decimal | None = None,
    dry_run: bool = False,
    **arguments: Any,
) -> "StreamedParquet | Receipt":
    """Ask about a parquet file that is larger than memory, and write another one with what came.

    The file is read `batch_rows` rows at a time. What is done is kept beside the target, in a folder whose name begins with a dot
    and ends with ``.unfinished``; the target appears when it is whole, and the folder goes. After a kill, an error or Ctrl-C the
    same call goes on where it was.

    Parameters
    ----------
    source, target
        Paths of the two files. A target that is there is replaced at the end.
    verb
        Name of a verb of ``df.mistral`` with a value for each row, e.g. "classify".
    batch_rows
        Rows in memory at a time. Texts that are equal are asked once in a batch, and once in all where answers are kept.
    into
        Name of the new column; by default the verb's. A verb that gives several columns gives them under their own names, or, with
        `into`, as one Struct.
    budget_usd
        Most that the whole file may cost, by all calls together. When it is reached, nothing is written; the same call with a
        larger budget goes on.
    dry_run
        Return a `Receipt` for the rows that are not done, and send nothing. Texts that are equal in different batches are counted
        once in each, so that it is never too low.
    **arguments
        The verb's own, and its options, as in ``df.mistral``: ``column="text", labels=[…]``.

    Returns
    -------
    StreamedParquet
        Path, rows, failed rows, requests, cost and seconds. The file has the columns of the source, unchanged, and the new ones:
        labels as a dictionary of strings, text string, numbers double and int64, claims bool, lists list, objects struct. Types and
        names come from the verb's arguments alone, also where a whole batch is missing. Failed rows are missing, with one warning.

    Raises
    ------
    InvalidOption
        No such verb or file, an option that gives no value for each row, a new column that is there already, `batch_rows` that is
        not a whole number from 1 up.
    NotSupported
        The verb has no value for each row.
    BudgetReached
        What is answered is kept.
    ExtraMissing
        pyarrow is not installed.

    Examples
    --------
    >>> import os, tempfile, pandas as pd, mistral_nb
    >>> source, target = (os.path.join(tempfile.mkdtemp(), name) for name in ("in.parquet", "out.parquet"))
    >>> pd.DataFrame({"text": ["I was charged twice", None]}).to_parquet(source)
    >>> done = mistral_nb.stream_parquet(
    ...     source, target, verb="classify", column="text", labels=["billing", "delivery"], into="topic"
    ... )
    >>> done.rows, pd.read_parquet(target)["topic"].isna().tolist()
    (2, [False, True])
    """
    from mistral_nb.engine.budget import checked_budget
    from mistral_nb.streaming.batch_verb import batch_verb
    from mistral_nb.streaming.unfinished import Unfinished
    from mistral_nb.tasks.length import checked_count

    source, target = _checked_paths(source, target)
    if not isinstance(dry_run, bool):
        raise InvalidOption(f"dry_run is {dry_run!r}.", "Give dry_run=True or dry_run=False.")
    file = _opened(source)
    asks = batch_verb(verb, arguments, source=file.schema_arrow, into=into)
    limit_usd = checked_budget(budget_usd)
    rows = checked_count(batch_rows, name="batch_rows")
    read = source.stat()
    identity = f"{asks.identity()} {source.resolve()} {read.st_size} {read.st_mtime_ns} {rows}"
    unfinished = Unfinished(target, identity)
    run = _Run(file, asks, unfinished, batch_rows=rows)
    return run.receipt() if dry_run else run.execute(target, limit_usd=limit_usd)


class _Run:
    """One call, over the batches of a file."""

    def __init__(self, file: "pq.ParquetFile", asks: "BatchVerb", unfinished: "Unfinished", *, batch_rows: int) -> None:
        self._file = file
        self._asks = asks
        self._unfinished = unfinished
        self._batch_rows = batch_rows
        self._rows: int = file.metadata.num_rows

    def receipt(self) -> "Receipt":
        from mistral_nb.engine.receipt import added

        receipts = [
            self._asks.receipt(batch)
            for number, batch in enumerate(self._batches(list(self._asks.columns)))
            if self._unfinished.failed_rows(number) is None
        ]
        last = receipts[-1] if receipts else None
        both = added(
            receipts,
            verb=self._asks.name,
            model="" if last is None else last.model,
            rows=sum(one.rows for one in receipts),
            missing=sum(one.missing for one in receipts),
            unique=sum(one.unique for one in receipts),
            cached=sum(one.cached for one in receipts),
            requests_for_answers=sum(one.requests_for_answers for one in receipts),
        )
        return both if last is None else replace(both, most_corrections=last.most_corrections)

    def execute(self, target: Path, *, limit_usd: Decimal | None) -> StreamedParquet:
        from mistral_nb.streaming.unfinished import written_whole

        began = time.perf_counter()
        self._unfinished.begin()
        bill = self._ask(limit_usd)
        written_whole(target, self._write)
        spent_usd, is_known = self._unfinished.spent_usd()
        self._unfinished.end()
        bill.warn(self._asks.name, self._rows)
        return StreamedParquet(
            path=target,
            rows=self._rows,
            failed=bill.failed,
            rows_before=bill.rows_before,
            requests=bill.requests,
            cost_usd=spent_usd if is_known else None,
            seconds=time.perf_counter() - began,
        )

    def _ask(self, limit_usd: Decimal | None) -> "_Bill":
        """Have a part for each batch."""
        from mistral_nb.engine.occasion import billed
        from mistral_nb.engine.rows import RowsProgress
        from mistral_nb.notebook.progress import progress_line

        spent_usd, is_known = self._unfinished.spent_usd()
        progress = RowsProgress(total=self._rows, cost_usd=spent_usd if is_known else None)
        bill = _Bill(self._unfinished, progress, limit_usd)
        with progress_line(self._asks.name, progress) as show:
            bill.show = show
            for number, batch in enumerate(self._batches(list(self._asks.columns))):
                failed = self._unfinished.failed_rows(number)
                bill.begin_batch(len(batch))
                if failed is None:
                    with billed(bill):
                        values = self._asks.values(batch, told=bill.told)
                    failed = bill.batch_failed
                    self._unfinished.keep(number, values, failed_rows=failed)
                else:
                    bill.rows_before += len(batch)
                bill.end_batch(failed)
        return bill

    def _write(self, path: Path) -> None:
        """Write the columns of the file with those of the parts beside them."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        own = self._file.schema_arrow
        schema = pa.schema([*own, *self._asks.schema], metadata=own.metadata)
        with pq.ParquetWriter(path, schema) as writer:
            for number, batch in enumerate(self._batches(None)):
                columns = [*batch.columns, *self._unfinished.part(number).cast(self._asks.schema).columns]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))

    def _batches(self, columns: list[str] | None) -> "Iterator[pa.Table]":
        """Yield the rows `batch_rows` at a time, wherever the file's row groups and pages end."""
        import pyarrow as pa

        waiting: list[pa.Table] = []
        for piece in self._file.iter_batches(batch_size=self._batch_rows, columns=columns):
            waiting.append(pa.Table.from_batches([piece]))
            while sum(map(len, waiting)) >= self._batch_rows:
                joined = pa.concat_tables(waiting)
                yield joined.slice(0, self._batch_rows)
                rest = joined.slice(self._batch_rows)
                waiting = [rest] if len(rest) else []
        if waiting:
            yield pa.concat_tables(waiting)


class _Bill:
    """What the batches have cost, and how they went: one budget, one progress and one warning for all of them."""

    def __init__(self, unfinished: "Unfinished", progress: "RowsProgress", limit_usd: Decimal | None) -> None:
        from mistral_nb.engine.budget import Budget

        self.budget: Budget = Budget(
            limit_usd,
            name="The budget of the file",
            remedy="Call it again with a larger budget_usd: it goes on where it was.",
        )
        self.budget.spent_usd, _ = unfinished.spent_usd()
        self.show: Callable[[RowsProgress], None] = lambda progress: None
        self.requests = self.failed = self.batch_failed = self.rows_before = 0
        self._unfinished = unfinished
        self._progress = progress
        self._causes: Counter[str] = Counter()
        self._batch_end = 0

    def note(self, record: "RequestRecord") -> None:
        """Write down what a request cost before its answer counts, and show how far the batch is."""
        from mistral_nb.engine.receipt import sum_known

        progress = self._progress
        if record.from_cache:
            progress.cached += record.rows
        else:
            self.requests += 1
            self._unfinished.spend(record.cost_usd)
            progress.cost_usd = sum_known([progress.cost_usd, record.cost_usd])
        if record.error is None:
            progress.done = min(self._batch_end, progress.done + record.rows)
        self.show(progress)

    def begin_batch(self, rows: int) -> None:
        self.batch_failed = 0
        self._batch_end += rows

    def told(self, result: "RowsResult") -> None:
        """Count rows that failed; BudgetReached where that is why: then the batch is not done."""
        for error in result.errors.values():
            if isinstance(error, BudgetReached):
                raise error
            self._causes[f"{type(error).__name__}: {error.problem} {error.remedy}"] += 1
        self.batch_failed += result.progress.failed

    def end_batch(self, failed: int) -> None:
        self.failed += failed
        self._progress.failed = self.failed
        self._progress.done = self._batch_end
        self.show(self._progress)

    def warn(self, verb: str, rows: int) -> None:
        """Warn once of the rows that failed."""
        from mistral_nb.notebook.progress import FailedRowsWarning
        from mistral_nb.readers_code import readers_stacklevel

        if not self.failed:
            return
        causes = "".join(f"\n  {count} × {cause}" for cause, count in self._causes.most_common(_SHOWN_CAUSES))
        warnings.warn(
            f"{self.failed:,} of {counted(rows, 'row')} failed in {verb} and are missing in the file.{causes}\n"
            "The same call again asks for these alone, as all others are kept.",
            FailedRowsWarning,
            stacklevel=readers_stacklevel(),
        )


def _checked_paths(source: str | Path, target: str | Path) -> tuple[Path, Path]:
    for name, path in {"source": source, "target": target}.items():
        if not isinstance(path, str | Path):
            raise InvalidOption(f"The {name} is {path!r}.", 'Give the path of a parquet file, e.g. "in.parquet".')
    source, target = Path(source), Path(target)
    if not source.is_file():
        raise InvalidOption(f"There is no file {str(source)!r}.", "Give the path of one parquet file.")
    if not target.parent.is_dir():
        raise InvalidOption(f"There is no folder {str(target.parent)!r} to write into.", "Make it first.")
    if target.is_dir() or (target.exists() and target.samefile(source)):
        raise InvalidOption(f"{str(target)!r} can't be written.", "Give the path of another file than the source.")
    return source, target


def _opened(source: Path) -> "pq.ParquetFile":
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise ExtraMissing(
            "pyarrow is not installed, which reads parquet files.",
            'pip install "mistral_nb[polars]", or pip install pyarrow.',
        ) from None
    try:
        # By default pyarrow buffers a row group, or all of them, before it gives the first rows.
        return pq.ParquetFile(source, pre_buffer=False, buffer_size=_READ_BYTES)
    except pa.ArrowInvalid as error:
        raise InvalidOption(f"{str(source)!r} is no parquet file: {error}", "Give the path of one.") from None
