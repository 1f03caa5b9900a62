"""What can be asked, how much it reads, what it costs and how long there will be it: ``mistral_nb.models()``.

Keeps to itself: how what an endpoint lists is joined with the catalogue.
Promises: prices are the catalogue's, for Mistral's own addresses only and with the region's factor; what is not known is missing,
never a guess. Where the endpoint's list can't be had the catalogue's stands in its place, and each row and a warning say so.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from mistral_nb import catalogue
from mistral_nb.completion import ModelCard, TokenUsage
from mistral_nb.engine.current import current_session
from mistral_nb.engine.session import Session
from mistral_nb.errors import ConnectionProblem, MistralNotebookError
from mistral_nb.readers_code import readers_stacklevel
from mistral_nb.settings import is_local

_DTYPES = {
    "model": "str",
    "aliases": "str",
    "does": "str",
    "context_tokens": "Int64",
    "input_usd_per_million_tokens": "float64",
    "cached_input_usd_per_million_tokens": "float64",
    "output_usd_per_million_tokens": "float64",
    "retirement_date": "datetime64[s]",
    "replacement": "str",
    "listed_by": "str",
    "note": "str",
}
_DOES = {
    "completion_chat": "chat",
    "function_calling": "tools",
    "reasoning": "reasoning",
    "completion_fim": "fill-in-the-middle",
    "vision": "images",
    "moderation": "moderation",
}
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """What is known of one hosted model, under all its names."""

    names: frozenset[str]
    listed_by: str
    does: str = ""
    context_tokens: int | None = None
    retirement_date: date | None = None
    replacement: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The name that means the newest version, or else the first one."""
        return min(self.names, key=lambda name: (not name.endswith("-latest"), name))


def models() -> pd.DataFrame:
    """Return the models that can be asked, one row each.

    Returns
    -------
    DataFrame
        model (the name to give), aliases, does (str); context_tokens (Int64); input_usd_per_million_tokens,
        cached_input_usd_per_million_tokens, output_usd_per_million_tokens (float64, with the region's factor; missing where the
        price is unknown); retirement_date (datetime64), replacement (str), listed_by (str: the endpoint, which lists what this key
        may use, or the catalogue with its date, or this machine), note (str).

    Warns
    -----
    UserWarning
        The endpoint could not be reached: its models are the catalogue's.

    Raises
    ------
    KeyProblem
        The key is refused.
    ConnectionProblem
        An endpoint that is not Mistral's could not be reached: the catalogue does not know its models.

    Examples
    --------
    >>> import mistral_nb
    >>> table = mistral_nb.models().set_index("model")
    >>> int(table.loc["local-tiny", "input_usd_per_million_tokens"])
    0
    """
    return model_table(current_session())


def model_table(session: Session) -> pd.DataFrame:
    """Return the table of `models` for this session: hosted models first, by name, then those of this machine."""
    hosted = sorted(_hosted_models(session), key=lambda model: model.name)
    rows = [*(_row(model, session) for model in hosted), *_local_rows(session)]
    return pd.DataFrame(rows, columns=list(_DTYPES)).astype(_DTYPES)


def _hosted_models(session: Session) -> Iterable[_Model]:
    settings = session.settings
    if not settings.api_key and not settings.endpoint:
        return _of_catalogue(note="needs a key")
    try:
        return _listed(session)
    except ConnectionProblem as error:
        if not settings.is_mistrals_own:
            raise
        _warn_of_catalogue(error)
    return _of_catalogue(note="whether this key may use it is not known")


def _warn_of_catalogue(error: MistralNotebookError) -> None:
    warnings.warn(
        f"What this key may use is not known now: {error.problem}\n"
        f"The hosted models are the catalogue's of {catalogue.load_catalogue().checked}.",
        UserWarning,
        stacklevel=readers_stacklevel(),
    )


def _listed(session: Session) -> list[_Model]:
    """Return the models that the endpoint lists, joined with what the catalogue knows of Mistral's own."""
    # The API lists a model once under each of its names.
    cards = {frozenset({card.id, *card.aliases}): card for card in session.models(hosted=True) if not is_local(card.id)}
    return [_joined(names, card, session) for names, card in cards.items()]


def _joined(names: frozenset[str], card: ModelCard, session: Session) -> _Model:
    is_mistrals = session.settings.is_mistrals_own
    known = catalogue.find_model(card.id) if is_mistrals else None
    ends = _day(card.deprecation) or (known.retirement_date if known else None)
    return _Model(
        names=names,
        listed_by=session.settings.server_url,
        does=_abilities(card.capabilities) or (known.kind if known else ""),
        context_tokens=card.max_context_length or (known.context_tokens if known else None),
        retirement_date=ends,
        replacement=card.replacement or (known.replacement if known else None),
        notes=("deprecated",) if card.deprecation else _status(known),
    )


def _of_catalogue(*, note: str) -> list[_Model]:
    known = catalogue.load_catalogue()
    return [
        _Model(
            names=frozenset({model.name, *model.aliases}),
            listed_by=f"catalogue of {known.checked}",
            does=model.kind,
            context_tokens=model.context_tokens,
            retirement_date=model.retirement_date,
            replacement=model.replacement,
            notes=(*_status(model), note),
        )
        for model in known.models
        if model.status != "retired"
    ]


def _row(model: _Model, session: Session) -> dict[str, Any]:
    prices = {
        "input": TokenUsage(prompt_tokens=_MILLION),
        "cached_input": TokenUsage(prompt_tokens=_MILLION, cached_tokens=_MILLION),
        "output": TokenUsage(completion_tokens=_MILLION),
    }
    costs = {name: session.cost_usd(model.name, usage) for name, usage in prices.items()}
    return {
        "model": model.name,
        "aliases": ", ".join(sorted(model.names - {model.name})),
        "does": model.does,
        "context_tokens": model.context_tokens,
        **{f"{name}_usd_per_million_tokens": None if cost is None else float(cost) for name, cost in costs.items()},
        "retirement_date": model.retirement_date,
        "replacement": model.replacement or "",
        "listed_by": model.listed_by,
        "note": ", ".join(model.notes),
    }


def _local_rows(session: Session) -> Iterator[dict[str, Any]]:
    from mistral_nb.backends.embedded.engine import CONTEXT_TOKENS
    from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_folder

    folder = weights_folder(session.settings.home)
    for name, model in LOCAL_MODELS.items():
        is_here = (folder / model.file_name).is_file()
        does = "embed" if model.role == "embed" else "chat, tools"
        yield {
            "model": name,
            "aliases": "",
            "does": does + (", fill-in-the-middle" if model.fill_in_middle else ""),
            "context_tokens": min(CONTEXT_TOKENS, model.context_tokens),
            "input_usd_per_million_tokens": 0.0,
            "cached_input_usd_per_million_tokens": 0.0,
            "output_usd_per_million_tokens": 0.0,
            "retirement_date": None,
            "replacement": "",
            "listed_by": "this machine",
            "note": "" if is_here else f"to have it here: mistral-nb download-model {name}",
        }


def _abilities(capabilities: Mapping[str, bool]) -> str:
    return ", ".join(name for ability, name in _DOES.items() if capabilities.get(ability))


def _status(model: catalogue.CatalogueModel | None) -> tuple[str, ...]:
    return () if model is None or model.status == "available" else (model.status,)


def _day(timestamp: str | None) -> date | None:
    try:
        return date.fromisoformat(timestamp[:10]) if timestamp else None
    except ValueError:
        return None
