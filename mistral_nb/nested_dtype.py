"""What the lists and objects of a column hold, for columns whose dtype has to say it.

Keeps to itself: the Arrow type of each kind, and how a value goes into it.
Promises: pure; to pandas' own `object` it makes no difference. The type depends on the description alone, never on the values. What
has no shape of its own (a number or a text, an object of any fields) is text in Arrow: JSON, or the text itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ListOf:
    """Lists of items that are alike."""

    item: "Holds"


@dataclass(frozen=True, slots=True)
class FieldsOf:
    """Objects with these fields, of which any may be missing."""

    fields: "Mapping[str, Holds]"


@dataclass(frozen=True, slots=True)
class MapOf:
    """Objects of any keys, with values that are alike."""

    value: "Holds"


# The name of a pandas dtype; None for anything at all.
Holds = str | ListOf | FieldsOf | MapOf | None


@dataclass(frozen=True, slots=True)
class NestedDtype:
    """The dtype `object`, and what it holds.

    Attributes
    ----------
    are_labels
        Whether the texts in it are labels as the caller wrote them, and nothing that a model writes.
    """

    holds: Holds
    are_labels: bool = False


def arrow_type(holds: Holds) -> "pa.DataType":
    """Return Arrow's type."""
    import pyarrow as pa

    match holds:
        case ListOf(item):
            return pa.list_(arrow_type(item))
        case FieldsOf(fields):
            return pa.struct({name: arrow_type(field) for name, field in fields.items()})
        case MapOf(value):
            return pa.map_(pa.string(), arrow_type(value))
        case "Int64":
            return pa.int64()
        case "Float64":
            return pa.float64()
        case "boolean":
            return pa.bool_()
        case "datetime64[us]":
            return pa.timestamp("us")
        case _:
            return pa.string()


def arrow_cell(holds: Holds, value: Any) -> Any:
    """Return what of a value goes into an Arrow column; None where it is missing."""
    if value is None:
        return None
    match holds:
        case ListOf(item):
            return [arrow_cell(item, each) for each in value]
        case FieldsOf(fields):
            return {name: arrow_cell(field, value.get(name)) for name, field in fields.items()}
        case MapOf(inner):
            return [(name, arrow_cell(inner, each)) for name, each in value.items()]
        case None if not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        case _:
            return value
