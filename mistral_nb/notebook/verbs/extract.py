"""``extract``: what each text says, in columns."""

from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd


def extract(
    column: "pd.Series[Any]",
    schema: Any,
    *,
    instructions: str | None = None,
    nested: Literal["columns", "object"] = "columns",
    explode: bool | str = False,
    max_tokens: int | None = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return what each text says, in the columns of a schema.

    Parameters
    ----------
    schema
        A pydantic model, a TypedDict, a dataclass, ``list[Model]``, a Literal, an Enum or a JSON schema. In short: a dict of names
        and types, ``{"name": str, "amount": float, "due": date, "kind": ["invoice", "reminder"]}``, or a list of names.
        `suggest_schema` proposes one.
    instructions
        What to look for, where names and descriptions don't say it.
    nested
        "columns": fields that have fields become columns with dots, such as ``customer.city``; "object": one column of dicts.
    explode
        Name of a field that holds lists (or True, where there is only one): each item becomes a row, with the index repeated, as
        pandas' ``explode`` does it. Without it, lists stay lists.
    max_tokens
        Longest answer; without it, several times what the schema's fields usually need, at most 4,096.

    Returns
    -------
    DataFrame
        Index of the column; one column per field, with dtypes that hold missing values: string, Int64, Float64, boolean, datetime64
        (moments with an offset in UTC), category for choices, object for lists. A field that the text says nothing of is missing.
        An answer that does not fit the schema, validators included, is asked for again with what is wrong with it, at most twice
        and on the bill; a row whose answer still does not fit is missing, with its error in ``df.mistral.last_run.failed``. How
        values are shown (`nested`, `explode`) is no part of the question: showing them otherwise costs nothing.

    Raises
    ------
    InvalidSchema
        The schema is none, or can't be asked for; or with `mask`, a field has to be an e-mail address, which placeholders are not.
    InvalidOption
        `nested` is neither "columns" nor "object", `explode` names no list or could mean several, `max_tokens` is not a whole
        number from 1 up, or `instructions` are blank; `explode` along with `details`, which has a line per row.
    UnknownColumn
        `explode` names a field that there is not.

    Notes
    -----
    A validator of yours is no part of what a kept answer is known by: after changing what it accepts, give ``refresh=True``.

    With `mask`, fields and validators see the placeholders; the originals come back into text afterwards. So a pattern for account
    numbers, or an int for one, refuses what is masked: let such fields be plain str.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["Invoice 12: 40 euros for Anna Berg.", None])
    >>> found = texts.mistral.extract({"customer": str, "amount": float})
    >>> found.dtypes.astype(str).to_dict(), found["amount"].isna().tolist()[1]
    ({'customer': 'string', 'amount': 'Float64'}, True)
    """
    from itertools import chain

    from mistral_nb.errors import InvalidOption
    from mistral_nb.notebook.exploding import column_to_explode, exploded
    from mistral_nb.schema_columns import check_takes_placeholders, item_columns
    from mistral_nb.tasks.extract import extract_task

    task = extract_task(schema, instructions=instructions, max_tokens=max_tokens, nested=nested)
    if options.get("mask", False) is not False:
        check_takes_placeholders([*task.leaves, *chain.from_iterable(task.items.values())])
    lists = column_to_explode(task.columns, explode)
    if lists is None:
        return answered(column, task, **options)
    if options.get("details"):
        raise InvalidOption("details=True has a line per row, explode= several.", "Leave one of them out.")
    items = item_columns(task.schema.written, lists, nested=nested)

    def reshape(values: "pd.Series[Any] | pd.DataFrame") -> "pd.DataFrame":
        return exploded(cast("pd.DataFrame", values), lists, items)

    return answered(column, task, reshape=reshape, **options)
