"""Verbs whose answer stands for many rows: a group's, or a whole column's.

Keeps to itself: what `by` and `whole` may be.
Promises: the index that pandas' ``groupby`` gives for the same keys: sorted, without missing keys; a run, a receipt and a last run
as for any column.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from mistral_nb.errors import InvalidOption, NotSupported, UnknownColumn
from mistral_nb.notebook.row_verbs import VerbOptions, checked, executed, run_options

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mistral_nb.engine.fold import FoldTask
    from mistral_nb.notebook.row_verbs import Give


class Grouping(NamedTuple):
    """Which group each row is in (-1: in none), and what the groups are called."""

    group_of_row: "np.ndarray[Any, np.dtype[np.int64]]"
    names: "pd.Index[Any]"


def grouping(column: "pd.Series[Any]", by: Any, *, whole: bool) -> Grouping | None:
    """Return how the rows are grouped: all in one for `whole`, by keys as for ``column.groupby(by)``; None where neither is asked.

    Raises
    ------
    InvalidOption
        Both are asked, `by` is an empty list, or pandas can't group by it.
    UnknownColumn
        It names no level of the column's index.
    """
    import numpy as np
    import pandas as pd

    if not isinstance(whole, bool):
        raise InvalidOption(f"whole is {whole!r}.", "Give whole=True for one summary of all rows, or leave it out.")
    if by is None:
        return Grouping(np.zeros(len(column), dtype=np.int64), pd.RangeIndex(1)) if whole else None
    if whole:
        raise InvalidOption(
            "There are both by= and whole=True.", "by= gives one per group, whole=True one of all rows."
        )
    if isinstance(by, list) and not by:
        raise InvalidOption(
            "by is an empty list.", 'Name the columns to group by, e.g. by="product" or by=["product", "year"].'
        )
    try:
        grouped = column.groupby(by, observed=True)
        codes = np.nan_to_num(grouped.ngroup().to_numpy(dtype=np.float64), nan=-1.0).astype(np.int64)
        names = grouped.size().index
    except KeyError as error:
        raise UnknownColumn(
            f"There is no {error} to group by.",
            "Give columns of the frame, a Series with a key for each row, or a level of pandas' index.",
        ) from None
    except (TypeError, ValueError) as error:
        raise InvalidOption(
            f"Rows can't be grouped by {repr(by)[:80]}: {error}.", "Give columns, or keys for each row."
        ) from None
    return Grouping(codes, names)


def folded(
    column: "pd.Series[Any]",
    task: "FoldTask",
    groups: Grouping | None,
    *,
    give: "Give | None" = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return one answer per group of the column's texts: a frame of answers and rows, or a receipt, or a run in the background.

    Without groups, one answer per row, for texts that are too long to be asked at once.
    """
    import numpy as np
    import pandas as pd

    from mistral_nb.engine.columns import distinct_texts
    from mistral_nb.engine.current import current_session
    from mistral_nb.engine.dtype_families import text_dtype
    from mistral_nb.engine.masked_column import masked_column
    from mistral_nb.engine.occasion import asked_through
    from mistral_nb.engine.text_groups import by_group, each_alone

    chosen = checked(options)
    if chosen["mode"] != "live":
        raise NotSupported(
            f"{task.verb} asks here about its own answers (of groups, or of parts of long texts), and a batch job can't.",
            "Leave mode out.",
        )
    session = current_session()
    masked = masked_column(column, chosen["mask"], is_mixed=groups is not None)
    texts = distinct_texts(column if masked is None else masked.column)
    gathered = each_alone(texts) if groups is None else by_group(texts, groups.group_of_row, count=len(groups.names))
    with asked_through("accessor", verb=task.verb):
        run = session.fold(task, gathered, model=chosen["model"], options=run_options(chosen))
    if chosen["dry_run"]:
        return replace(run.receipt(), masked=None if masked is None else masked.report)

    def again(rows: "pd.Series[Any]", same: VerbOptions) -> None:
        if groups is None:
            folded(rows, task, None, **same)
            return
        number_of = np.full(len(groups.names) + 1, -1, dtype=np.int64)  # the last place is the one of -1
        number_of[groups.names.get_indexer_for(rows.index)] = np.arange(len(rows))
        folded(column, task, Grouping(number_of[groups.group_of_row], rows.index), **same)

    source = (
        column if groups is None else pd.Series(index=groups.names, name=column.name, dtype=text_dtype([column.dtype]))
    )
    return executed(source, run, run.dtype, masked=masked, again=again, give=give, chosen=chosen, session=session)
