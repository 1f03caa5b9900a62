"""Lists of extracted values as rows of their own.

Promises: what pandas' ``explode`` promises: the index is repeated, an empty list is a row without item; and the dtypes are the
schema's, in the family of the column of lists, also where there is no row.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.dtype_families import array_of, in_family
from mistral_nb.errors import InvalidOption, UnknownColumn
from mistral_nb.schema_columns import SchemaColumn

if TYPE_CHECKING:
    import pandas as pd


def column_to_explode(columns: Sequence[SchemaColumn], explode: bool | str) -> SchemaColumn | None:
    """Return the column of lists that is meant: by its name, or with True the only one there is; None where none is.

    Raises
    ------
    UnknownColumn
        There is no column of that name.
    InvalidOption
        It holds no lists, or True could mean several or none.
    """
    if explode is False:
        return None
    lists = [column for column in columns if column.is_list]
    named = ", ".join(repr(column.name) for column in lists) or "none"
    if explode is True:
        if len(lists) != 1:
            raise InvalidOption(
                f"explode=True needs one list, and the schema has {len(lists)}.",
                f"Name one: {named}." if lists else "Leave explode out, or give a field a list: list[str].",
            )
        return lists[0]
    found = next((column for column in columns if column.name == explode), None)
    if found is None:
        raise UnknownColumn(f"explode names {explode!r}, which is no column.", f"The lists are: {named}.")
    if not found.is_list:
        raise InvalidOption(f"The column {explode!r} holds no lists.", f"The lists are: {named}.")
    return found


def exploded(frame: "pd.DataFrame", column: SchemaColumn, items: Sequence[SchemaColumn]) -> "pd.DataFrame":
    """Return the frame with a row for each item of a column of lists, whose place its items' columns take."""
    import pandas as pd

    long = frame.explode(column.name)
    found = [None if _is_missing(item) else item for item in long[column.name].array]
    like = frame[column.name].dtype
    arrays = {
        item.name: array_of([item.cell(each) for each in found], in_family(item.pandas_dtype, like)) for item in items
    }
    at = frame.columns.get_loc(column.name)
    assert isinstance(at, int), "names are distinct"
    before, after = long.iloc[:, :at], long.iloc[:, at + 1 :]
    spread = pd.DataFrame(arrays, index=long.index, columns=list(arrays))
    return pd.concat([before, spread, after], axis=1) if len(frame.columns) > 1 else spread


def _is_missing(item: Any) -> bool:
    import pandas as pd

    return item is None or item is pd.NA or (isinstance(item, float) and item != item)  # NaN is what explode puts in
