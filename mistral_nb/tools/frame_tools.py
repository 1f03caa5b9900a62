"""A kit of tools with which a model reads one DataFrame.

Keeps to itself: what the tools are called and how their answers are laid out.
Promises: no code of the model is run: columns, operators and statistics are chosen from closed sets, made from the frame; answers
are bounded; the frame is never changed; what can't be done is said to the model in a sentence.
"""

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mistral_nb.counted import counted
from mistral_nb.errors import InvalidOption
from mistral_nb.tools.frame_columns import Table, free_name, table_of
from mistral_nb.tools.frame_rows import Filter, Operator, rows_that_meet
from mistral_nb.tools.function_tool import Tool, ToolOptions
from mistral_nb.tools.result_text import MAX_CELL_CHARACTERS, MAX_COLUMNS, frame_text

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_MAX_ROWS = 20

Statistic = Literal["count", "distinct", "sum", "mean", "median", "min", "max", "std"]
Sort = Literal["descending", "ascending", "by group"]

_MAX_BY = 3
_MAX_FILTERS = 5
_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 30
# A schema with more names than this costs more tokens than it saves mistakes; then names are checked when they are used.
_MAX_LISTED_COLUMNS = 100
_SUMMABLE = frozenset({"number", "boolean", "duration"})
_SORTABLE = _SUMMABLE | {"date", "text", "ordered"}
_COMPUTABLE = {
    "sum": _SUMMABLE,
    "mean": _SUMMABLE,
    "median": _SUMMABLE,
    "std": _SUMMABLE,
    "min": _SORTABLE,
    "max": _SORTABLE,
}


def frame_tools(df: "pd.DataFrame", *, name: str = "table", max_rows: int = DEFAULT_MAX_ROWS) -> tuple[Tool, ...]:
    """Return tools with which a model reads a DataFrame: describe, value counts, filtered rows, and groups.

    Parameters
    ----------
    df
        As it is now; later changes are not seen. It is never changed. Columns whose names are not text or doubled are given names.
    name
        What the tools' names begin with; give each frame its own.
    max_rows
        Rows of an answer at most.

    Raises
    ------
    InvalidOption
        It is no frame or has no columns, `max_rows` is below 1, or `name` has other letters than a-z, A-Z, 0-9, _ and -.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> sales = pd.DataFrame({"city": ["Paris", "Lyon", "Paris"], "euros": [10, 20, 30]})
    >>> kit = mistral_nb.frame_tools(sales, name="sales")
    >>> [tool.name for tool in kit]
    ['sales_describe', 'sales_value_counts', 'sales_head', 'sales_aggregate']
    >>> print(kit[3].call('{"by": ["city"], "column": "euros", "statistic": "sum"}'))
    city,sum of euros
    Paris,40
    Lyon,20
    """
    if max_rows < 1:
        raise InvalidOption(f"max_rows is {max_rows}.", "Give a number from 1 up.")
    kit = _Kit(table_of(df), max_rows=max_rows)
    column, filters, rows = kit.column_type(), kit.filters_type(), kit.rows_type()
    optional_columns = list[column] | None  # type: ignore[valid-type]
    by = Annotated[list[column], _length(_MAX_BY)]  # type: ignore[valid-type]
    given = {
        "describe": {"columns": optional_columns},
        "value_counts": {"column": column, "top": rows},
        "head": {"filters": filters, "columns": optional_columns, "rows": rows},
        "aggregate": {
            "by": by,
            "column": column | None,
            "statistic": Statistic,
            "filters": filters,
            "sort": Sort,
            "top": rows,
        },
    }
    return tuple(
        Tool.of(
            getattr(kit, verb),
            options=ToolOptions(name=f"{name}_{verb}", description=kit.description(verb, name)),
            annotations=types,
        )
        for verb, types in given.items()
    )


def _length(most: int) -> Any:
    from pydantic import Field

    return Field(max_length=most)


class _Kit:
    """The tools of one table; their arguments were checked against the types below."""

    def __init__(self, table: Table, *, max_rows: int) -> None:
        self._table = table
        self._max_rows = max_rows
        self._names = list(table.kinds)

    def column_type(self) -> Any:
        """Return the type of a column's name: one of those there are."""
        from pydantic import AfterValidator

        if len(self._names) <= _MAX_LISTED_COLUMNS:
            # An Enum is written once per schema, and referred to; a Literal would be repeated.
            return Enum("Column", {f"column_{number}": name for number, name in enumerate(self._names)}, type=str)
        return Annotated[str, AfterValidator(self._known)]

    def filters_type(self) -> Any:
        """Return the type of filters, as an argument."""
        from pydantic import ConfigDict, create_model

        scalar = bool | int | float | str
        model = create_model(
            "Filter",
            __config__=ConfigDict(extra="forbid"),
            column=(self.column_type(), ...),
            operator=(Operator, ...),
            value=(scalar | list[scalar] | None, None),
        )
        return Annotated[list[model], _length(_MAX_FILTERS)]  # type: ignore[valid-type]

    def rows_type(self) -> Any:
        """Return the type of a number of rows."""
        from pydantic import Field

        return Annotated[int, Field(ge=1, le=self._max_rows)]

    def description(self, verb: str, name: str) -> str:
        """Return what a model reads of a tool."""
        rows = f"table '{name}' ({counted(len(self._table.frame), 'row')})"
        filters = (
            'Filters are joined by "and"; dates are written like "2024-01-31"; a missing value meets only "is missing".'
        )
        return {
            "describe": f"Describe the columns of {rows}: type, how many values, missing ones, distinct ones, range.",
            "value_counts": f"Count how often each value of a column occurs in {rows}, most frequent first.",
            "head": f"Show the first rows of {rows} that meet all filters. {filters}",
            "aggregate": f"Compute one statistic of a column of {rows} for each group of the columns in `by` (for all rows when "
            f"empty). Without a column, `count` counts rows. {filters}",
        }[verb]

    def describe(self, columns: Any = None) -> str:
        import pandas as pd

        chosen = self._chosen(columns)
        lines = [self._described(name) for name in chosen[:MAX_COLUMNS]]
        text = frame_text(pd.DataFrame(lines), max_rows=MAX_COLUMNS)
        more = (
            f"\n[{counted(len(chosen) - MAX_COLUMNS, 'more column')}: {_listed(chosen[MAX_COLUMNS:])}]"
            if len(chosen) > MAX_COLUMNS
            else ""
        )
        return f"{counted(len(self._table.frame), 'row')}, {counted(len(self._names), 'column')}\n{text}{more}"

    def value_counts(self, column: Any, top: int | None = None) -> str:
        name, top = _text(column), top or self._max_rows
        values = self._hashable(name)
        counts = values.value_counts(dropna=False)
        return self._bounded(_with_groups(counts, [name], title="rows"), top, what="distinct values")

    def head(self, filters: Any = (), columns: Any = None, rows: int | None = None) -> str:
        matching = rows_that_meet(self._table, _filters(filters))
        shown = matching[self._chosen(columns)].reset_index(drop=True)
        return self._bounded(shown, rows or self._max_rows, what="rows that match")

    def aggregate(
        self,
        by: Any,
        column: Any = None,
        statistic: Statistic = "count",
        filters: Any = (),
        sort: Sort = "descending",
        top: int | None = None,
    ) -> str:
        groups = list(dict.fromkeys(_text(name) for name in by))
        name = None if column is None else _text(column)
        rows = rows_that_meet(self._table, _filters(filters))
        title = "rows" if name is None else f"{statistic} of {name}"
        if not groups:
            return f"{title}: {_shown(self._total(rows, name, statistic))} ({counted(len(rows), 'row')})"
        keys = [self._hashable(group).loc[rows.index].rename(group) for group in groups]
        computed = self._by_group(rows, keys, name, statistic)
        if sort != "by group":
            computed = computed.sort_values(ascending=sort == "ascending", kind="stable", na_position="last")
        return self._bounded(_with_groups(computed, groups, title=title), top or self._max_rows, what="groups")

    def _by_group(
        self, rows: "pd.DataFrame", keys: "list[pd.Series[Any]]", name: str | None, statistic: Statistic
    ) -> "pd.Series[Any]":
        if name is None:
            self._check_counts(statistic)
            return rows.groupby(keys, dropna=False, observed=True).size()
        groups = self._values(name, statistic).loc[rows.index].groupby(keys, dropna=False, observed=True)
        computed: pd.Series[Any] = groups.agg("nunique" if statistic == "distinct" else statistic)
        return computed

    def _total(self, rows: "pd.DataFrame", name: str | None, statistic: Statistic) -> Any:
        if name is None:
            self._check_counts(statistic)
            return len(rows)
        return self._values(name, statistic).loc[rows.index].agg("nunique" if statistic == "distinct" else statistic)

    def _values(self, name: str, statistic: Statistic) -> "pd.Series[Any]":
        """Return a column of which the statistic can be computed."""
        kind = self._table.kinds[name]
        if kind not in _COMPUTABLE.get(statistic, {kind}):
            raise InvalidOption(
                f"There is no {statistic} of column {name!r}, which holds {kind} values.",
                "Use count or distinct with it.",
            )
        values = self._hashable(name)
        return values.astype("Float64") if kind == "boolean" and statistic in _COMPUTABLE else values

    def _check_counts(self, statistic: Statistic) -> None:
        if statistic != "count":
            raise InvalidOption(f"{statistic} of which column?", f"Give column, one of: {_listed(self._names)}.")

    def _described(self, name: str) -> dict[str, Any]:
        values, kind = self._table.column(name), self._table.kinds[name]
        known = values.dropna()
        if kind in {"number", "date", "duration", "ordered"} and len(known):
            extent = f"{_shown(known.min())} to {_shown(known.max())}"
        else:
            examples = self._hashable(name).dropna().drop_duplicates().head(_EXAMPLES)
            extent = ", ".join(_shown(value)[:_EXAMPLE_CHARACTERS] for value in examples)
        return {
            "column": name,
            "type": kind,
            "values": len(known),
            "missing": len(values) - len(known),
            "distinct": self._hashable(name).nunique(),
            "range": extent,
        }

    def _hashable(self, name: str) -> "pd.Series[Any]":
        """Return a column whose values can be counted: lists and their like as texts."""
        values = self._table.column(name)
        return values.map(str, na_action="ignore") if self._table.kinds[name] == "other" else values

    def _chosen(self, columns: Any) -> list[str]:
        return list(dict.fromkeys(_text(name) for name in columns)) if columns else self._names

    def _known(self, name: str) -> str:
        from mistral_nb.catalogue import nearest_names

        if name not in self._table.kinds:
            near = nearest_names(name, self._names)
            raise ValueError(
                f"there is no such column; did you mean {near[0]!r}?" if near else "there is no such column"
            )
        return name

    def _bounded(self, frame: "pd.DataFrame", rows: int, *, what: str) -> str:
        text = frame_text(frame.head(rows), max_rows=rows)
        return f"{text}\n[the first {rows:,} of {len(frame):,} {what}]" if len(frame) > rows else text


def _with_groups(computed: "pd.Series[Any]", groups: list[str], *, title: str) -> "pd.DataFrame":
    """Return what was computed, with the groups it was computed for as columns before it."""
    import pandas as pd

    table: dict[str, Any] = {}
    for level, group in enumerate(groups):
        values = pd.Series(computed.index.get_level_values(level)).astype(object)
        table[group] = values.where(values.notna(), "(missing)")
    return pd.DataFrame({**table, free_name(title, groups): computed.reset_index(drop=True)})


def _text(name: Any) -> str:
    return str(name.value if isinstance(name, Enum) else name)


def _filters(given: Any) -> list[Filter]:
    return [Filter(column=_text(one.column), operator=one.operator, value=one.value) for one in given]


def _shown(value: Any) -> str:
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return text.removesuffix(" 00:00:00")[:MAX_CELL_CHARACTERS]


def _listed(names: list[str]) -> str:
    listed = ", ".join(names[:MAX_COLUMNS])
    return f"{listed}, …" if len(names) > MAX_COLUMNS else listed
