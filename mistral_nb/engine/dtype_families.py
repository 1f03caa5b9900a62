"""Which family of dtypes values have: that of the column that was read.

Promises: a column of pyarrow's gives pyarrow's, whatever is in it; one of pandas' "string" gives its text as that; any other gives
pandas' defaults. Labels are a category in all of them. The dtypes do not depend on the values.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.vectors import VectorDtype
from mistral_nb.nested_dtype import Holds, NestedDtype, arrow_cell, arrow_type

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_TEXT_DTYPES = ("str", "string")


@dataclass(frozen=True, slots=True)
class _ArrowNested:
    holds: Holds

    def spread(self, values: Sequence[Any], numbers: "np.ndarray[Any, Any]") -> Any:
        import pandas as pd

        dtype: Any = pd.ArrowDtype(arrow_type(self.holds))
        return _taken(pd.array([arrow_cell(self.holds, value) for value in values], dtype=dtype), numbers)


def in_family(dtype: Any, like: Any) -> Any:
    """Return the dtype that stands for `dtype` in the family of the column's, `like`; `spread` takes both."""
    import pandas as pd

    if isinstance(like, pd.ArrowDtype):
        return _in_arrow(dtype, like.pyarrow_dtype)
    is_string = isinstance(like, pd.StringDtype) and like.na_value is pd.NA
    return like if is_string and dtype in _TEXT_DTYPES else dtype


def text_dtype(of_columns: Iterable[Any]) -> Any:
    """Return the dtype that text has beside columns of these dtypes: the first that is not of pandas' defaults decides."""
    found = [in_family("str", like) for like in of_columns]
    return next((dtype for dtype in found if dtype != "str"), object)


def spread(values: Sequence[Any], numbers: "np.ndarray[Any, Any]", dtype: Any) -> Any:
    """Return an array with the value of each row's text; missing where the row has none (-1).

    Parameters
    ----------
    dtype
        A pandas dtype or its name, or a dtype that spreads values by itself, as vectors do.
    """
    import numpy as np
    import pandas as pd

    if hasattr(dtype, "spread"):
        return dtype.spread(values, numbers)
    if dtype is object or dtype == "object" or isinstance(dtype, NestedDtype):  # pandas would make a table of lists
        return np.fromiter((_own_copy(values[number]) if number >= 0 else None for number in numbers), dtype=object)
    return _taken(pd.array(values, dtype=dtype), numbers)


def array_of(values: Sequence[Any], dtype: Any) -> Any:
    """Return an array of the values themselves."""
    import numpy as np

    return spread(values, np.arange(len(values)), dtype)


def beside(numbers: Any, like: Any) -> Any:
    """Return numbers or claims, none of them missing, as they stand beside a column of dtype `like`: as Arrow's where that is."""
    import pandas as pd

    if not isinstance(like, pd.ArrowDtype):
        return numbers
    import pyarrow as pa

    return pd.arrays.ArrowExtensionArray(pa.array(numbers))


def holds_text(dtype: Any) -> bool:
    """Whether values of a dtype may be text, or lists or objects with text in them; not asked of `object`, nor of categories."""
    import pandas as pd

    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_holds_text(dtype.pyarrow_dtype)
    return isinstance(dtype, pd.StringDtype)


def _arrow_holds_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    inner = [kind.field(number).type for number in range(kind.num_fields)]
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or any(map(_arrow_holds_text, inner))


def _taken(array: Any, numbers: "np.ndarray[Any, Any]") -> Any:
    import pandas as pd

    if not len(array):  # nothing can be taken from nothing
        return pd.array([None] * len(numbers), dtype=array.dtype)
    return array.take(numbers, allow_fill=True)


def _in_arrow(dtype: Any, text_type: "pa.DataType") -> Any:
    """Return the dtype among pyarrow's; `text_type` is that of the column, for text."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(dtype, VectorDtype):
        return VectorDtype(is_arrow=True)
    if isinstance(dtype, NestedDtype):
        return _ArrowNested(dtype.holds)
    if isinstance(dtype, pd.CategoricalDtype) or dtype is object or dtype == "object":
        return dtype
    if dtype in _TEXT_DTYPES:
        inner = text_type.value_type if pa.types.is_dictionary(text_type) else text_type
        is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner)
        return pd.ArrowDtype(inner if is_text else pa.string())
    return pd.ArrowDtype(arrow_type(dtype))


def _own_copy(value: Any) -> Any:
    """Return the value so that changing one row's list changes no other's."""
    return value.copy() if isinstance(value, list | dict) else value
