"""The columns that values of a JSON schema fill, and what of a value stands in each.

Keeps to itself: which kind of node has which dtype.
Promises: pure, and from the schema alone: the dtypes do not depend on the values. All of them can hold missing values.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from mistral_nb.errors import InvalidAnswer, InvalidSchema
from mistral_nb.nested_dtype import FieldsOf, Holds, ListOf, MapOf, NestedDtype
from mistral_nb.strict_schema import WRAPPED, StrictSchema

Nested = Literal["columns", "object"]

_DTYPES = {"string": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}
# Of years 1 to 9999, which is what dates in texts can be.
_DATE_DTYPE = "datetime64[us]"
_DATE_FORMATS = frozenset({"date", "date-time"})
_EMAIL_FORMATS = frozenset({"email", "idn-email", "name-email"})
_LARGEST_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """One column.

    Attributes
    ----------
    name
        Of the column: the names of the fields that lead to it, with dots between.
    path
        These names.
    dtype
        pandas' name of the dtype; None for a category, whose `categories` it has.
    node
        Of the schema.
    holds
        What is in its lists and objects; None where that may be anything, and where it has neither.
    """

    name: str
    path: tuple[str, ...]
    dtype: str | None
    categories: tuple[Any, ...]
    node: Mapping[str, Any]
    holds: Holds = None

    @property
    def pandas_dtype(self) -> Any:
        """The dtype, or its name; for lists and objects a `NestedDtype`."""
        from pandas import CategoricalDtype

        if self.dtype is None:
            return CategoricalDtype(list(self.categories))
        return NestedDtype(self.holds) if self.dtype == "object" else self.dtype

    @property
    def is_list(self) -> bool:
        """Whether its values are lists."""
        return self.node.get("type") == "array" or "items" in self.node

    def cell(self, record: Any) -> Any:
        """Return what a value shows in this column; None where it says nothing.

        Raises
        ------
        ValueError
            The column can't hold it.
        """
        for name in self.path:
            record = record.get(name) if isinstance(record, Mapping) else None
        if record is None:
            return None
        if self.dtype == _DATE_DTYPE:
            return _naive(datetime.datetime.fromisoformat(record))
        if self.dtype == "Float64":
            return float(record)
        if self.dtype == "Int64" and abs(record) > _LARGEST_INT64:
            raise ValueError(f"{record} is larger than a column of whole numbers holds")
        if self.dtype == "string":
            return str(record)
        return record


def schema_columns(schema: StrictSchema, *, nested: Nested = "columns") -> list[SchemaColumn]:
    """Return the columns of a schema's values.

    Parameters
    ----------
    schema
        One whose root is no object gives a single column, "answer"; one whose root may also be missing, the columns of what it
        is otherwise.
    nested
        "columns": a field that has fields is a column for each of these; "object": it is one column of dicts.

    """
    root = schema.resolved(schema.root)
    if schema.is_wrapped:
        single = _single(schema, root)
        if "properties" not in single or nested == "object":
            return [_column(schema, (WRAPPED,), root)]
        found = _columns_of(schema, single, (WRAPPED,), nested, frozenset())
        return [replace(one, name=".".join(one.path[1:])) for one in found]
    return list(_columns_of(schema, root, (), nested, frozenset()))


def item_columns(schema: StrictSchema, column: SchemaColumn, *, nested: Nested = "columns") -> list[SchemaColumn]:
    """Return the columns of one item of a column of lists; their paths begin at the item."""
    item = _single(schema, column.node.get("items", True))
    is_spread = "properties" in item and nested == "columns"
    found = list(_columns_of(schema, item, (), nested, frozenset())) if is_spread else [_column(schema, (), item)]
    prefix = () if schema.is_wrapped and is_spread else (column.name,)
    return [replace(one, name=".".join((*prefix, *one.path))) for one in found]


def checked_names(columns: list[SchemaColumn]) -> list[SchemaColumn]:
    """Return the columns; InvalidSchema when two of them have the same name."""
    names = [column.name for column in columns]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InvalidSchema(f"Two columns would be named {doubled[0]!r}.", 'Rename a field, or give nested="object".')
    return columns


def check_fits(
    columns: Sequence[SchemaColumn], record: Any, *, items: Mapping[str, Sequence[SchemaColumn]] = MappingProxyType({})
) -> None:
    """Raise InvalidAnswer where a value does not go into its columns.

    Parameters
    ----------
    items
        By the name of a column of lists, the columns that each of its items has to go into, too.
    """
    for column in columns:
        try:
            cell = column.cell(record)
        except (ValueError, TypeError) as error:
            said = [f"{column.name}: {error}"]
            raise InvalidAnswer(
                f"The answer does not go into its column: {said[0]}",
                "Let the schema say what may stand there.",
                errors=said,
            ) from None
        for item in cell if column.name in items and isinstance(cell, list) else ():
            check_fits(items[column.name], item)


def check_takes_placeholders(columns: Sequence[SchemaColumn]) -> None:
    """Raise InvalidSchema where a column takes only what masking hides: no answer about masked texts could pass."""
    for column in columns:
        if column.node.get("format") in _EMAIL_FORMATS:
            raise InvalidSchema(
                f"{column.name!r} has to be an e-mail address, and with mask= the model sees a placeholder such as [EMAIL_1].",
                "Let the field be a plain str: the address comes back into it.",
            )


def likely_tokens(schema: StrictSchema) -> int:
    """Return about how many tokens a value of the schema has, written as JSON."""
    return _tokens_of(schema, schema.root, frozenset())


def _columns_of(
    schema: StrictSchema, node: Mapping[str, Any], path: tuple[str, ...], nested: Nested, seen: frozenset[str]
) -> Iterator[SchemaColumn]:
    for name, inner in node.get("properties", {}).items():
        reference = _reference(schema, inner)
        found = _single(schema, inner)
        if nested == "columns" and "properties" in found and reference not in seen:
            inside = seen | {reference} if reference else seen
            yield from _columns_of(schema, found, (*path, name), nested, inside)
        else:
            yield _column(schema, (*path, name), found)


def _column(schema: StrictSchema, path: tuple[str, ...], node: Mapping[str, Any]) -> SchemaColumn:
    node = _single(schema, node)
    words = _words(node)
    if words and all(isinstance(word, str) for word in words):
        return SchemaColumn(".".join(path), path, None, tuple(dict.fromkeys(words)), node)
    dtype = _dtype_of(schema, node, words)
    holds = _holds(schema, node, frozenset()) if dtype == "object" else None
    return SchemaColumn(".".join(path), path, dtype, (), node, holds)


def _words(node: Mapping[str, Any]) -> list[Any]:
    """Return the values that a node chooses from; none where any will do."""
    return [word for word in node.get("enum", [node["const"]] if "const" in node else []) if word is not None]


def _holds(schema: StrictSchema, node: Any, seen: frozenset[str]) -> Holds:
    """Return what the values of a node are in lists and objects; anything where it contains itself."""
    reference = _reference(schema, node)
    if reference and reference in seen:
        return None
    inside = seen | {reference}
    found = _single(schema, node)
    if found.get("properties"):
        return FieldsOf({name: _holds(schema, inner, inside) for name, inner in found["properties"].items()})
    if "prefixItems" in found:
        return ListOf(None)
    if found.get("type") == "array" or "items" in found:
        return ListOf(_holds(schema, found.get("items", True), inside))
    if found.get("type") == "object" and isinstance(found.get("additionalProperties"), Mapping):
        return MapOf(_holds(schema, found["additionalProperties"], inside))
    dtype = _dtype_of(schema, found, _words(found))
    if dtype == _DATE_DTYPE:  # in JSON, dates are text
        return "string"
    return None if dtype == "object" else dtype


def _dtype_of(schema: StrictSchema, node: Mapping[str, Any], words: list[Any]) -> str:
    kinds = {_kind_of(word) for word in words} or {
        _node_kind(schema.resolved(branch)) for branch in _branches(schema, node)
    }
    if kinds == {"integer", "number"}:
        return "Float64"
    if len(kinds) != 1:
        return "object"
    kind = kinds.pop()
    return _DATE_DTYPE if kind == "date" else _DTYPES.get(kind, "object")


def _reference(schema: StrictSchema, node: Any) -> str:
    """Return what a node refers to, by which a schema that contains itself is known; "" where that is nothing."""
    return str(_single(schema, node, resolves=False).get("$ref", ""))


def _single(schema: StrictSchema, node: Any, *, resolves: bool = True) -> Mapping[str, Any]:
    """Return the one kind of value that a node has beside null; the node itself where it has several."""
    node = node if isinstance(node, Mapping) else {}
    found = schema.resolved(node) if resolves or "$ref" not in node else node
    branches = [branch for branch in found.get("anyOf") or found.get("oneOf") or () if not _is_null(schema, branch)]
    if len(branches) == 1:
        return _single(schema, branches[0], resolves=resolves)
    return found


def _branches(schema: StrictSchema, node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    kinds = node.get("type")
    if isinstance(kinds, list):
        return [{**node, "type": kind} for kind in kinds if kind != "null"]
    branches = [branch for branch in node.get("anyOf") or node.get("oneOf") or () if not _is_null(schema, branch)]
    return branches or [node]


def _is_null(schema: StrictSchema, node: Any) -> bool:
    found = schema.resolved(node)
    return found.get("type") == "null" or ("const" in found and found["const"] is None)


def _node_kind(node: Mapping[str, Any]) -> str:
    kind = str(node.get("type", ""))
    return "date" if kind == "string" and node.get("format") in _DATE_FORMATS else kind


def _kind_of(word: Any) -> str:
    if isinstance(word, bool):
        return "boolean"
    return "integer" if isinstance(word, int) else "number" if isinstance(word, float) else "string"


def _naive(moment: datetime.datetime) -> datetime.datetime:
    """Return the moment without an offset: a column of dates has none, so what has one is told in UTC."""
    return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _tokens_of(schema: StrictSchema, node: Any, seen: frozenset[str]) -> int:
    reference = _reference(schema, node)
    if reference and reference in seen:
        return 0
    inside = seen | {reference}
    found = _single(schema, node)
    if "properties" in found:
        return 4 + sum(6 + _tokens_of(schema, inner, inside) for inner in found["properties"].values())
    if found.get("type") == "array":
        return 4 + 3 * _tokens_of(schema, found.get("items", True), inside)
    is_text = found.get("type") == "string" and "format" not in found and "enum" not in found
    return 25 if is_text or not found else 10
