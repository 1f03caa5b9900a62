"""A word, once, to who asks a model that Mistral has retired or will retire.

Promises: only what the catalogue knows of Mistral's own models is said, with the date and the replacement; each model once in a
process.
"""

import datetime
import warnings

from mistral_nb.catalogue import find_model
from mistral_nb.readers_code import readers_stacklevel

_told: set[str] = set()


class RetirementWarning(UserWarning):
    """A model is retired, or will be.

    Examples
    --------
    >>> import warnings, mistral_nb
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     question = mistral_nb.session().request("Say hello.", model="codestral-2405")
    >>> print(told[0].message)
    codestral-2405 is retired at Mistral, and its end was set for 2025-06-16. Its replacement: model='codestral-2508'.
    """


def retirement_text(model: str, *, today: datetime.date) -> str | None:
    """Return what is to be said of a model's end; None where it has none."""
    found = find_model(model)
    if found is None or (found.status not in {"deprecated", "retired"} and found.retirement_date is None):
        return None
    ends = found.retirement_date
    state = "a preview" if found.status == "preview" else found.status
    when = "" if ends is None else f", and its end {'was' if ends <= today else 'is'} set for {ends}"
    instead = f" Its replacement: model='{found.replacement}'." if found.replacement else ""
    return f"{model} is {state} at Mistral{when}.{instead}"


def warn_of_retirement(model: str) -> None:
    """Warn who asks a model that is at its end or near it, the first time."""
    if model in _told:
        return
    _told.add(model)
    text = retirement_text(model, today=datetime.datetime.now(datetime.UTC).date())
    if text is not None:
        warnings.warn(text, RetirementWarning, stacklevel=readers_stacklevel())
