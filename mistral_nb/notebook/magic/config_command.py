"""``%mistral config``: the settings that hold, where each is from, and setting them.

Promises: of the key no more than its last four characters is shown, and none is taken from a cell: cells are saved.
"""

import getpass
import inspect
from collections.abc import Sequence

from IPython.core.error import StdinNotImplementedError

from mistral_nb import catalogue
from mistral_nb.errors import SET_KEY_LINE, InvalidOption
from mistral_nb.notebook.magic.options import listed
from mistral_nb.settings import Settings, configure, current_settings

SETTING_NAMES = tuple(inspect.signature(configure).parameters)
_KEY = "api_key"


def config_command(given: Sequence[str]) -> str:
    """Set what is given as NAME=VALUE (an empty value forgets), and return the settings that hold now.

    ``api_key`` alone asks for the key without showing it.
    """
    changes = dict(_change(word) for word in given)
    if changes:
        configure(**changes)  # type: ignore[arg-type]  # numbers are read from their text, as from the environment
    return settings_text(current_settings())


def settings_text(settings: Settings) -> str:
    """Return one line for each setting: name, value, where it is from."""
    rows = [("answers", catalogue.full_name(settings.default_model), settings.reason)]
    for name in SETTING_NAMES:
        value = getattr(settings, name)
        shown = "not set" if value is None else repr(value) if name == _KEY else str(value)
        rows.append((name, shown, settings.origins.get(name, "default")))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  ({origin})" for name, value, origin in rows)


def _change(word: str) -> tuple[str, str]:
    name, has_value, value = word.partition("=")
    if name not in SETTING_NAMES:
        raise InvalidOption(f"There is no setting {name!r}.", listed(name, SETTING_NAMES))
    if name == _KEY and value:
        raise InvalidOption(
            "A key in a cell is saved with the notebook, so it is not taken from there.",
            "Write only: %mistral config api_key (it asks for the key), or set MISTRAL_API_KEY before Jupyter starts.",
        )
    if name == _KEY and not has_value:
        return name, _asked_for_key()
    if not has_value:
        raise InvalidOption(f"{name} has no value.", f"Give one: %mistral config {name}=…")
    return name, value


def _asked_for_key() -> str:
    try:
        key = getpass.getpass("Mistral API key (it is not shown): ").strip()
    except (StdinNotImplementedError, EOFError):
        raise InvalidOption("There is nobody here to ask for the key.", SET_KEY_LINE) from None
    if not key:
        raise InvalidOption("No key was typed, so nothing has changed.", "%mistral config api_key asks again.")
    return key
