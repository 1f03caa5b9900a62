"""Mistral's models and their prices, as data with a source and a date.

Keeps to itself: the format of `catalogue.toml`.
Promises: exact money (`Decimal`); an unknown price is None, never 0 and never a guess.
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

from mistral_nb.completion import TokenUsage

MILLION = Decimal(1_000_000)


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
    wanted = full_name(name)
    return next((model for model in load_catalogue().models if wanted in (model.name, *model.aliases)), None)


def nearest_names(name: str, names: Iterable[str] | None = None) -> list[str]:
    """Return up to three names that look like `name`, best first; by default from the models that are not retired."""
    if names is None:
        current = [model for model in load_catalogue().models if model.status != "retired"]
        names = [known for model in current for known in (*model.aliases, model.name)]
    return difflib.get_close_matches(name, list(names), n=3, cutoff=0.5)


def cost_usd(model: str, usage: TokenUsage, *, region: str = "global") -> Decimal | None:
    """Return what the tokens cost in USD at the catalogue's price, exactly; None when the price is unknown.

    Parameters
    ----------
    model
        Name, alias or short name.
    usage
        Tokens; the cached part of the prompt is billed at its own factor.
    region
        "global", or "eu"/"us", which have a factor of their own.
    """
    found = find_model(model)
    if found is None or found.input_usd_per_million_tokens is None or found.output_usd_per_million_tokens is None:
        return None
    factors = load_catalogue().factors
    fresh_tokens = usage.prompt_tokens - usage.cached_tokens
    prompt = found.input_usd_per_million_tokens * (fresh_tokens + factors["cached_input"] * usage.cached_tokens)
    completion = found.output_usd_per_million_tokens * usage.completion_tokens
    return (prompt + completion) / MILLION * (1 if region == "global" else factors["regional"])


def batch_cost_usd(model: str, usage: TokenUsage, *, region: str = "global") -> Decimal | None:
    """Return what the same tokens cost in a batch job, as `cost_usd` does; that a region's factor holds there too is assumed."""
    cost = cost_usd(model, usage, region=region)
    return None if cost is None else cost * load_catalogue().factors["batch"]


def _model(entry: dict[str, Any]) -> CatalogueModel:
    prices = ("input_usd_per_million_tokens", "output_usd_per_million_tokens")
    exact = {name: Decimal(entry[name]) for name in prices if name in entry}
    return CatalogueModel(**{**entry, **exact, "aliases": tuple(entry.get("aliases", ()))})
