"""The sample data that comes with the package.

Promises: the same frame from an installed package and from a checkout, where the files lie in the top-level ``data`` folder.
"""

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from mistral_nb.catalogue import nearest_names
from mistral_nb.errors import InvalidOption

if TYPE_CHECKING:
    import pandas as pd

_DAY_COLUMNS = {"created", "date", "due_date", "held", "invoice_date", "on_leave_until", "renews"}
_JSON_COLUMNS = {"action_items"}
_TEXT_COLUMNS = ("account_id", "invoice_number")  # which look like numbers


def load_sample(name: str) -> "pd.DataFrame":
    """Return a sample data set written for this package.

    Parameters
    ----------
    name
        "tickets": 300 support tickets of a fictional shop, with true topic, urgency and language; some are awkward on purpose.
        "invoices": 40 invoices as text, with the fields they hold. "meeting_notes": 20 notes with their action items.
        "accounts" and "owners": 30 customers and the five people who look after them. "memos": 28 memos on prices, to search.
        ``data/tickets.md`` and so on describe every column, how it was made, and the licence.

    Returns
    -------
    DataFrame
        One row per record; texts as str, days as datetime64, the action items of a note as a list of dicts.

    Raises
    ------
    InvalidOption
        There is no sample of that name.

    Examples
    --------
    >>> import mistral_nb
    >>> mistral_nb.load_sample("tickets").columns.tolist()
    ['ticket_id', 'created', 'text', 'topic', 'urgency', 'language']
    """
    import pandas as pd

    samples = {Path(file.name).stem: file for file in _data_folder().iterdir() if file.name.endswith(".csv")}
    if not isinstance(name, str) or name not in samples:
        near = nearest_names(str(name), samples)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise InvalidOption(f"No sample {name!r}.", f"{hint}There are: {', '.join(sorted(samples))}.")
    with samples[name].open(encoding="utf-8") as file:
        frame = pd.read_csv(file, dtype=dict.fromkeys(_TEXT_COLUMNS, "str"))
    for column in _DAY_COLUMNS.intersection(frame.columns):
        frame[column] = pd.to_datetime(frame[column])
    for column in _JSON_COLUMNS.intersection(frame.columns):
        frame[column] = frame[column].map(json.loads)
    return frame


def _data_folder() -> Traversable:
    installed = files("mistral_nb").joinpath("data")
    return installed if installed.is_dir() else Path(__file__).parent.parent / "data"
