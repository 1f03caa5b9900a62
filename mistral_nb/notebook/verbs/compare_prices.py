"""``compare_prices``: what a verb over this column would cost with each of Mistral's models."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mistral_nb.catalogue import CatalogueModel, load_catalogue
from mistral_nb.errors import InvalidOption

if TYPE_CHECKING:
    from decimal import Decimal

    import pandas as pd

    from mistral_nb.engine.receipt import Receipt

# Enough that rows share requests as they would in a long column.
SAMPLE_ROWS = 400
_PRICES = ("usd_per_1000_rows", "usd_per_1000_rows_most", "batch_usd_per_1000_rows", "usd_for_column")
# Their requests are no chats.
_NOT_PRICED = frozenset({"embed", "moderate", "search", "similar"})
_ASSUMED: Mapping[str, Mapping[str, Any]] = {"classify": {"labels": [f"label {number}" for number in range(1, 6)]}}


def compare_prices(
    column: "pd.Series[Any]", task: str = "classify", arguments: Mapping[str, Any] | None = None
) -> "pd.DataFrame":
    """Return what a verb would cost per 1,000 rows of the column, by model, cheapest first; nothing is sent.

    Parameters
    ----------
    task
        Name of the verb, e.g. "classify" or "summarize".
    arguments
        The verb's own arguments, e.g. ``{"labels": ["billing", "delivery"]}``. For "classify" five short labels are assumed where
        none are given.

    Returns
    -------
    DataFrame
        Indexed by model: usd_per_1000_rows (expected), usd_per_1000_rows_most (as far as the answers may go),
        batch_usd_per_1000_rows, usd_for_column (float64; missing where the price is unknown), prompt_tokens_per_row,
        completion_tokens_per_row (float64), rows_per_request (int64), context_tokens (Int64). Computed from at most 400 of the
        rows, as a ``dry_run`` of the verb counts them without the answers that are kept.

    Raises
    ------
    InvalidOption
        There is no such verb, or it lacks an argument.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I was charged twice", "The parcel never came"])
    >>> prices = texts.mistral.compare_prices("classify")
    >>> bool(prices.loc["ministral-3b-latest", "usd_per_1000_rows"] < prices.loc["mistral-large-latest", "usd_per_1000_rows"])
    True
    """
    import pandas as pd

    if not len(column):
        raise InvalidOption("The column has no rows.", "Compare prices on a column with texts.")
    sample = column if len(column) <= SAMPLE_ROWS else column.sample(SAMPLE_ROWS, random_state=0)
    given = _ASSUMED.get(task, {}) if arguments is None else arguments
    rows = [_row(_receipt(sample, task, given, model=name), model, name, rows=len(column)) for name, model in _models()]
    table = (
        pd.DataFrame(rows).set_index("model").astype({"context_tokens": "Int64", **dict.fromkeys(_PRICES, "float64")})
    )
    return table.sort_values("usd_per_1000_rows", kind="stable")


def _models() -> Iterator[tuple[str, CatalogueModel]]:
    """Yield each chat model that is offered, with the name that means its newest version."""
    for model in load_catalogue().models:
        if model.kind == "chat" and model.status in {"available", "preview"} and not model.has_ended():
            yield next((alias for alias in model.aliases if alias.endswith("-latest")), model.name), model


def _receipt(sample: "pd.Series[Any]", task: str, given: Mapping[str, Any], *, model: str) -> "Receipt":
    import inspect

    from mistral_nb.notebook.accessor import SeriesVerbs

    verbs: dict[str, Any] = {
        name: verb
        for name, verb in inspect.getmembers(SeriesVerbs(sample), callable)
        if not name.startswith("_") and name not in _NOT_PRICED and "dry_run" in inspect.signature(verb).parameters
    }
    if task not in verbs:
        raise InvalidOption(f"There is no verb {task!r} to price.", f"There are: {', '.join(verbs)}.")
    try:
        receipt: Receipt = verbs[task](**given, model=model, dry_run=True, cache=False)
    except TypeError as error:
        raise InvalidOption(
            f"{task} can't be priced like that: {error}.",
            f'Give its own arguments, e.g. compare_prices(task="{task}", arguments={{…}}).',
        ) from None
    return receipt


def _row(receipt: "Receipt", model: CatalogueModel, name: str, *, rows: int) -> dict[str, Any]:
    def per_1000(usd: "Decimal | None") -> float | None:
        return None if usd is None else float(usd / receipt.rows * 1000)

    expected = per_1000(receipt.cost_usd_expected)
    return {
        "model": name,
        "usd_per_1000_rows": expected,
        "usd_per_1000_rows_most": per_1000(receipt.cost_usd_most),
        "batch_usd_per_1000_rows": per_1000(receipt.batch_cost_usd_expected),
        "usd_for_column": None if expected is None else expected * rows / 1000,
        "prompt_tokens_per_row": receipt.prompt_tokens / receipt.rows,
        "completion_tokens_per_row": receipt.completion_tokens_expected / receipt.rows,
        "rows_per_request": receipt.rows_per_request,
        "context_tokens": model.context_tokens,
    }
