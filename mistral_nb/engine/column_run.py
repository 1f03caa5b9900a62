"""A verb over one pandas column: what was asked, what came, and asking the failed rows again.

Promises: no display; the same object whether the run went through, was interrupted or failed.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from mistral_nb.counted import counted
from mistral_nb.engine.cache import KeptAnswer
from mistral_nb.engine.cascade_run import CascadeReport, CascadeRun
from mistral_nb.engine.columns import columns_of_labels, details_frame, failures, values_of, with_new_values
from mistral_nb.engine.rows import PackingAudit, RowsProgress, RowsResult
from mistral_nb.engine.rows_run import Run

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.engine.masked_column import MaskedColumn
    from mistral_nb.masking.kinds import MaskReport

    Reshape = Callable[[pd.Series[Any] | pd.DataFrame], pd.Series[Any] | pd.DataFrame]
    Again = Callable[[pd.Series[Any], Reshape], "ColumnRun"]

_Values = TypeVar("_Values", "pd.Series[Any]", "pd.DataFrame", "pd.Series[Any] | pd.DataFrame")


class ColumnRun:
    """The last run of a verb over a column, as ``df.mistral.last_run`` gives it.

    Parameters
    ----------
    source
        The column that was read.
    run
        The run of its distinct texts.
    dtype
        Of the values; a mapping of names to dtypes where a value has several columns.
    kept
        Gives the kept answers of texts by their keys.
    again
        Runs the same verb with the same options over some of the rows; the run it returns has the second argument as `among_all`.
    masked
        The column as it was sent, where it was masked.
    reshape
        Makes of the values, which have a line per row, what the verb gives.

    Attributes
    ----------
    source
        The column that was read.
    is_reshaped
        Whether `column` may have another number of lines than the column that was read.
    among_all
        Puts this run's values among those of the run whose failed rows it asked again.
    """

    def __init__(
        self,
        source: "pd.Series[Any]",
        run: Run,
        *,
        dtype: Any,
        kept: Callable[[list[bytes]], dict[bytes, KeptAnswer]],
        again: "Again",
        masked: "MaskedColumn | None" = None,
        reshape: "Reshape | None" = None,
    ) -> None:
        self.source = source
        self._run = run
        self._dtype = dtype
        self._kept = kept
        self._again = again
        self._masked = masked
        self._reshape: Reshape = reshape or (lambda values: values)
        self.is_reshaped = reshape is not None
        self.among_all: Reshape = lambda values: values

    @cached_property
    def result(self) -> RowsResult:
        """Counts, tokens, dollars and seconds, with the values by distinct text."""
        return self._run.result()

    @property
    def progress(self) -> RowsProgress:
        """Rows in all, done, cached, failed and missing, requests and dollars."""
        return self._run.progress

    @property
    def audit(self) -> PackingAudit | None:
        """How answers of shared requests compare with answers to rows asked alone; None when nothing was packed."""
        return self.result.audit

    @cached_property
    def cascade(self) -> CascadeReport | None:
        """How many texts went on to the second model, and what that saved; None for a run that had but one model."""
        return self._run.report() if isinstance(self._run, CascadeRun) else None

    @property
    def masked(self) -> "MaskReport | None":
        """What was masked before anything was sent; None where nothing was to be."""
        return None if self._masked is None else self._masked.report

    @cached_property
    def values(self) -> "pd.Series[Any] | pd.DataFrame":
        """The values, a line for each row of the column that was read; `column` is made of them."""
        return self._restored(values_of(self.source, self.result, dtype=self._dtype))

    @cached_property
    def column(self) -> "pd.Series[Any] | pd.DataFrame":
        """What the verb gave: index and name of the column that was read, missing where the text was missing or the row failed.

        A frame where the verb gives several columns; with a line per item where it gives exploded lists.
        """
        return self._reshape(self.values)

    @cached_property
    def failed(self) -> "pd.DataFrame":
        """One line per failed row, indexed as the rows are: error (class), problem, remedy, is_worth_retrying."""
        return failures(self.source.index, self.result)

    @cached_property
    def details(self) -> "pd.DataFrame":
        """One line per row: value, error, from_cache, model, response_id, prompt_tokens, completion_tokens, cost_usd,
        latency_seconds, finish_reason; see ``details=True``.
        """
        return self._restored(details_frame(self.source, self.result, dtype=self._dtype, kept=self.kept_answers))

    @cached_property
    def kept_answers(self) -> dict[int, KeptAnswer]:
        """The answers that were kept from before, by the number of their text."""
        result, keys = self.result, self._run.keys
        from_before = {
            number: keys[number]
            for number, value in enumerate(result.values)
            if keys and value is not None and number not in result.paid
        }
        kept = self._kept(list(set(from_before.values())))
        return {number: kept[key] for number, key in from_before.items() if key in kept}

    def retry(self) -> "pd.Series[Any] | pd.DataFrame":
        """Ask the failed rows again, and those that an interrupted run did not come to; return all values of the column.

        ``df.mistral.last_run`` is the run over these rows afterwards, whose own `retry` returns the whole column, too.
        """
        result = self.result
        numbers = result.texts.numbers
        is_open = [number >= 0 and result.values[number] is None for number in numbers.tolist()]

        def among_all(new: "pd.Series[Any] | pd.DataFrame") -> "pd.Series[Any] | pd.DataFrame":
            return self.among_all(with_new_values(self.values, is_open, new))

        if not any(is_open):
            return self._reshape(self.among_all(self.values)).copy()
        return self._reshape(among_all(self._again(self.source[is_open], among_all).values))

    def __repr__(self) -> str:
        result = self.result
        parts = [
            f"{result.verb} with {result.model}: {self.progress}",
            f"{counted(result.requests, 'request')} in {result.seconds:.1f} s",
        ]
        if self.audit is not None and self.audit.rows:
            parts.append(
                f"of {counted(self.audit.rows, 'packed row')} asked again alone, {self.audit.packed_disagreements} differed"
            )
        if self.cascade is not None:
            parts.append(str(self.cascade))
        if self.masked is not None:
            parts.append(f"masked: {self.masked}")
        return "; ".join(parts)

    def _restored(self, values: _Values) -> _Values:
        """Return the values with what was masked put back."""
        return values if self._masked is None else self._masked.restored(values, labels=columns_of_labels(self._dtype))
