"""Which models give vectors, and which moderate.

Promises: a model that is known to be of another kind is refused before anything is sent; one that is not known is let through.
"""

from typing import Literal

from mistral_nb import catalogue
from mistral_nb.errors import SET_KEY_LINE, NotSupported
from mistral_nb.settings import is_local


def checked_kind(name: str, kind: Literal["embed", "moderation"], lacking: str, default: str) -> str:
    """Return the model's name; NotSupported where it is known to be of another kind."""
    found: str
    if is_local(name):
        from mistral_nb.backends.embedded.weights import LOCAL_MODELS

        found = LOCAL_MODELS[name].role if name in LOCAL_MODELS else "chat"
    else:
        model = catalogue.find_model(name)
        found = kind if model is None else model.kind
    if found == kind:
        return name
    needs_key = f" It needs a key:\n{SET_KEY_LINE}" if is_local(name) and not is_local(default) else ""
    raise NotSupported(f"{name} {lacking}.", f"Use one that does: model={default!r}.{needs_key}")
