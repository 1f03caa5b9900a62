"""The sample data that comes with the package.

Promises: the same frame from an installed package and from a checkout, where the files lie in the top-level ``data`` folder.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from mistral_nb.catalogue import nearest_names
from mistral_nb.errors import InvalidOption

if TYPE_CHECKING:
    import pandas as pd


def load_sample(name: str) -> "pd.DataFrame":
    """Return a sample data set written for this package.

    Parameters
    ----------
    name
        "tickets": 160 support tickets of a fictional shop, one row each, with columns ticket_id, created (datetime), text,
        topic, urgency, language. Some texts are missing or awkward on purpose; ``data/README.md`` lists them.

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
    if name not in samples:
        near = nearest_names(name, samples)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise InvalidOption(f"No sample {name!r}.", f"{hint}There are: {', '.join(sorted(samples))}.")
    with samples[name].open(encoding="utf-8") as file:
        return pd.read_csv(file, parse_dates=["created"])


def _data_folder() -> Traversable:
    installed = files("mistral_nb").joinpath("data")
    return installed if installed.is_dir() else Path(__file__).parent.parent / "data"
