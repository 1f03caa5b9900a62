"""Mistral's models and their prices, as data with a source and a date.

Keeps to itself: the format of `catalogue.toml`.
Promises: exact prices (`Decimal`); one that is not known is None, never 0 and never a guess.
"""

import datetime
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueModel:
    """One model of the catalogue; prices in USD per million tokens, None where unknown."""

    name: str
    title: str
    status: Literal["available", "preview", "deprecated", "retired"]
    kind: Literal["chat", "embed", "moderation"]
    aliases: tuple[str, ...] = ()
    context_tokens: int | None = None
    input_usd_per_million_tokens: Decimal | None = None
    output_usd_per_million_tokens: Decimal | None = None
    deprecation_date: datetime.date | None = None
    retirement_date: datetime.date | None = None
    replacement: str | None = None

    def has_ended(self, today: datetime.date | None = None) -> bool:
        """Whether Mistral has retired it, or was to have by this day (default: today's, in UTC)."""
        day = today or datetime.datetime.now(datetime.UTC).date()
        return self.status == "retired" or (self.retirement_date is not None and self.retirement_date <= day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All of `catalogue.toml`: the models, the price factors, the short names, where it is from and when it was checked."""

    models: tuple[CatalogueModel, ...]
    factors: Mapping[str, Decimal]
    short_names: Mapping[str, str]
    source: str
    checked: datetime.date


@cache
def load_catalogue() -> Catalogue:
    """Return the catalogue that comes with the package."""
    data = tomllib.loads(files("mistral_nb").joinpath("catalogue.toml").read_text(encoding="utf-8"))
    return Catalogue(
        models=tuple(_model(entry) for entry in data["models"]),
        factors={name: Decimal(factor) for name, factor in data["factors"].items()},
        short_names=data["short_names"],
        source=data["source"],
        checked=data["checked"],
    )


def full_name(model: str) -> str:
    """Return the API's name for a short one ("small" gives "mistral-small-latest"); any other name comes back as it is."""
    return load_catalogue().short_names.get(model, model)


def find_model(name: str) -> CatalogueModel | None:
    """Return the catalogue's entry for a name, alias or short name; None when it has none."""
    return _models_by_name().get(full_name(name))


@cache
def _models_by_name() -> Mapping[str, CatalogueModel]:
    # The first entry of a name holds.
    return {name: model for model in reversed(load_catalogue().models) for name in (model.name, *model.aliases)}


def nearest_names(name: str, names: Iterable[str] | None = None) -> list[str]:
    """Return up to three names that look like `name`, best first; by default from the models that have not ended."""
    if names is None:
        current = [model for model in load_catalogue().models if not model.has_ended()]
        names = [known for model in current for known in (*model.aliases, model.name)]
    return difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)


def _model(entry: dict[str, Any]) -> CatalogueModel:
    prices = ("input_usd_per_million_tokens", "output_usd_per_million_tokens")
    exact = {name: Decimal(entry[name]) for name in prices if name in entry}
    return CatalogueModel(**{**entry, **exact, "aliases": tuple(entry.get("aliases", ()))})
