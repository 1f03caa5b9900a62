"""A verb over batches of an Arrow table: which columns it reads, and which it gives.

Keeps to itself: which verbs and options have a value for each row, and the way over pandas.
Promises: the columns that it gives have the same names and types for every batch, known without asking anybody; whatever is wrong
with a call is said before anything is read.
"""

import enum
import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mistral_nb.errors import InvalidOption, NotSupported
from mistral_nb.readers_code import readers_stacklevel

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from mistral_nb.engine.receipt import Receipt
    from mistral_nb.engine.rows import RowsResult

_NOT_BY_ROW = {
    "answer": "reads the rows that are nearest to a question",
    "compare_prices": "counts a sample of the rows",
    "search": "gives the rows that are nearest to a query",
    "suggest_schema": "reads a sample of the rows",
}
_REFUSED: Mapping[str, str] = {
    "as_array": "gives no column",
    "background": "gives no column",
    "by": "gives no line per row",
    "errors": "is for a column in memory: here, failed rows are missing, and counted",
    "explode": "gives no line per row",
    "mode": "is for a column in memory: batch jobs take up to a day",
    "preview": "is for a column in memory: batch jobs take up to a day",
    "whole": "gives no line per row",
}


@dataclass(frozen=True, slots=True)
class BatchVerb:
    """A verb with its arguments; made with `batch_verb`.

    Attributes
    ----------
    name, arguments
        As for ``df.mistral``.
    columns
        Those that it reads.
    into
        The name of what it gives; several columns are a Struct then. None: the verb's own name, and several as they are.
    schema
        Of what it gives.
    """

    name: str
    arguments: Mapping[str, Any]
    columns: tuple[str, ...]
    into: str | None
    schema: "pa.Schema"

    def values(self, batch: "pa.Table", *, told: "Callable[[RowsResult], None]") -> "pa.Table":
        """Return the columns for a batch; `told` is called with the result of a run in which rows failed.

        Categories that the API names now, and did not when this package was written, are left out with a warning.
        """
        from mistral_nb.notebook.parts import on_part

        with on_part(told):
            given = _asked(self.name, _as_pandas(batch), self.arguments)
        table = _as_table(given, self.into, verb=self.name)
        unknown = [name for name in table.column_names if name not in self.schema.names]
        if unknown:
            warnings.warn(
                f"{self.name} named more than was announced, which is left out: {', '.join(unknown)}.",
                stacklevel=readers_stacklevel(),
            )
        return _aligned(table, self.schema)

    def receipt(self, batch: "pa.Table") -> "Receipt":
        """Return what a batch would cost."""
        from mistral_nb.notebook.parts import on_part

        with on_part(_tell_nobody):
            receipt: Receipt = _asked(self.name, _as_pandas(batch), {**self.arguments, "dry_run": True})
        return receipt

    def identity(self) -> str:
        """Return what the answers depend on: equal for the same call in another process, as far as arguments can be compared."""
        from mistral_nb.engine.current import current_session

        session = current_session()
        model = session.model_name(self.arguments.get("model"))  # by default another with a key than without
        told = {name: _told(name, value) for name, value in self.arguments.items()}
        return json.dumps(
            [self.name, told, str(self.schema), session.settings.endpoint, session.settings.region, model]
        )


def batch_verb(verb: str, arguments: Mapping[str, Any], *, source: "pa.Schema", into: str | None) -> BatchVerb:
    """Return the verb with its arguments, for batches of this schema.

    Raises
    ------
    InvalidOption
        There is no such verb; an option that gives no value per row; a new column that is there already.
    NotSupported
        The verb has no value for each row.
    MistralNotebookError
        What the verb itself has to say about its arguments.
    """
    from mistral_nb.notebook.accessor import FrameVerbs
    from mistral_nb.notebook.parts import without_asking

    verbs = [name for name in vars(FrameVerbs) if not name.startswith("_")]
    if verb not in verbs:
        raise InvalidOption(f"There is no verb {verb!r}.", f"There are: {', '.join(verbs)}.")
    if verb in _NOT_BY_ROW:
        raise NotSupported(
            f"{verb} {_NOT_BY_ROW[verb]}, and a file is read batch by batch.",
            "Read the columns it needs into a frame: pd.read_parquet(…, columns=[…]).",
        )
    for name in arguments.keys() & _REFUSED.keys():
        raise InvalidOption(f"{name}= {_REFUSED[name]}.", f"Leave {name} out.")
    kept = {name: list(value) if isinstance(value, Iterator) else value for name, value in arguments.items()}
    with without_asking():
        nothing = _asked(verb, _as_pandas(source.empty_table()), kept)
    schema = _as_table(nothing, into, verb=verb).schema
    doubled = next((name for name in schema.names if name in source.names), None)
    if doubled is not None:
        raise InvalidOption(
            f"The file has a column {doubled!r} already.", f'Name the new one, e.g. into="{doubled}_of_{verb}".'
        )
    return BatchVerb(verb, kept, _columns_read(verb, kept, source.names), into, schema)


def _asked(verb: str, frame: "pd.DataFrame", arguments: Mapping[str, Any]) -> Any:
    from mistral_nb.notebook.accessor import FrameVerbs

    return getattr(FrameVerbs(frame), verb)(**arguments)


def _columns_read(verb: str, arguments: Mapping[str, Any], names: list[str]) -> tuple[str, ...]:
    """Return the columns that the verb reads, which are there: it has run on no rows."""
    if verb == "ask":
        from mistral_nb.tasks.templates import parsed_template

        return tuple(dict.fromkeys(parsed_template(arguments["template"], names).fields))
    further = [arguments["to"]] if verb == "similar" else []
    return tuple(dict.fromkeys([arguments["column"], *further]))


def _as_pandas(table: "pa.Table") -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa

    # pandas can't do with views what it does with strings.
    types = [pa.large_string() if pa.types.is_string_view(field.type) else field.type for field in table.schema]
    schema = pa.schema(list(zip(table.column_names, types, strict=True)))
    frame: pd.DataFrame = table.replace_schema_metadata(None).cast(schema).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _as_table(given: "pd.Series[Any] | pd.DataFrame", into: str | None, *, verb: str) -> "pa.Table":
    import pandas as pd
    import pyarrow as pa

    if isinstance(given, pd.Series):
        return pa.table({into or verb: _array(given)})
    table = pa.table({str(name): _array(given[name]) for name in given.columns})
    return table if into is None else pa.table({into: table.to_struct_array()})


def _array(column: "pd.Series[Any]") -> "pa.ChunkedArray":
    import pandas as pd
    import pyarrow as pa

    if isinstance(column.dtype, pd.CategoricalDtype):
        return pa.chunked_array([pa.array(column)]).cast(pa.dictionary(pa.int32(), pa.string()))
    return pa.chunked_array([pa.array(column)]) if len(column) else pa.chunked_array([], type=pa.array(column).type)


def _aligned(table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """Return the table with exactly these columns: missing where it has none, as for a category that the API no longer names."""
    import pyarrow as pa

    arrays = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _told(name: str, value: Any) -> str:
    """Return an argument in words that are the same in another process."""
    from mistral_nb.answer_schema import answer_schema

    if name == "schema":
        return json.dumps(answer_schema(value).response_format)
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        return repr([(member.name, member.value) for member in value])
    return repr(value.tolist() if hasattr(value, "tolist") else value)


def _tell_nobody(result: "RowsResult") -> None:
    """Take no notice."""
