"""``%mistral models``: what can be asked, how much it reads, and what it costs.

Promises: prices are the catalogue's, for Mistral's own addresses only; what is not known is missing, never a guess.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pandas as pd

from mistral_nb import catalogue
from mistral_nb.completion import ModelCard
from mistral_nb.engine.session import Session
from mistral_nb.settings import is_local

_COLUMNS = [
    "model",
    "aliases",
    "does",
    "context_tokens",
    "input_usd_per_million_tokens",
    "output_usd_per_million_tokens",
    "note",
]
_DOES = {
    "completion_chat": "chat",
    "function_calling": "tools",
    "reasoning": "reasoning",
    "completion_fim": "fill-in-the-middle",
    "vision": "images",
    "moderation": "moderation",
}


def model_table(session: Session) -> pd.DataFrame:
    """Return one row for each model of the settings' endpoint, and for each embedded one.

    `context_tokens` is what the endpoint says, or else the catalogue; a price that is not known is missing.
    """
    rows = [] if session.settings.answered_by == "embedded" else list(_hosted_rows(session))
    return pd.DataFrame([*rows, *_local_rows(session)], columns=_COLUMNS).astype({"context_tokens": "Int64"})


def _hosted_rows(session: Session) -> Iterable[dict[str, Any]]:
    is_mistrals = session.settings.is_mistrals_own
    # The API lists a model once under each of its names.
    cards = {frozenset({card.id, *card.aliases}): card for card in session.models() if not is_local(card.id)}
    for names, card in sorted(cards.items(), key=lambda item: _first(item[0])):
        found = catalogue.find_model(card.id) if is_mistrals else None
        yield {
            "model": _first(names),
            "aliases": ", ".join(sorted(names - {_first(names)})),
            "does": ", ".join(name for ability, name in _DOES.items() if card.capabilities.get(ability)),
            "context_tokens": card.max_context_length or (found.context_tokens if found else None),
            "input_usd_per_million_tokens": _price(found.input_usd_per_million_tokens if found else None),
            "output_usd_per_million_tokens": _price(found.output_usd_per_million_tokens if found else None),
            "note": _note(card, found),
        }


def _first(names: Iterable[str]) -> str:
    """Return the name that means this model's newest version, or else the first one."""
    return min(names, key=lambda name: (not name.endswith("-latest"), name))


def _local_rows(session: Session) -> Iterable[dict[str, Any]]:
    from mistral_nb.backends.embedded.engine import CONTEXT_TOKENS
    from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_folder

    folder = weights_folder(session.settings.home)
    for name, model in LOCAL_MODELS.items():
        is_here = (folder / model.file_name).is_file()
        does = "embeddings" if model.role == "embed" else "chat, tools"
        yield {
            "model": name,
            "aliases": "",
            "does": does + (", fill-in-the-middle" if model.fill_in_middle else ""),
            "context_tokens": min(CONTEXT_TOKENS, model.context_tokens),
            "input_usd_per_million_tokens": 0.0,
            "output_usd_per_million_tokens": 0.0,
            "note": "on this machine" if is_here else f"to have it here: mistral-nb download-model {name}",
        }


def _price(price: Decimal | None) -> float | None:
    return None if price is None else float(price)


def _note(card: ModelCard, found: catalogue.CatalogueModel | None) -> str:
    if card.deprecation:
        return f"deprecated, ends {card.deprecation[:10]}"
    if found is not None and found.status != "available":
        ends = f", ends {found.retirement_date}" if found.retirement_date else ""
        instead = f", instead {found.replacement}" if found.replacement else ""
        return f"{found.status}{ends}{instead}"
    return ""
