"""What a model's tokens cost: Mistral's published price, or the one of your contract.

Keeps to itself: the contract's prices, which hold for this kernel.
Promises: exact money (`Decimal`); an unknown price is None, never 0 and never a guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from mistral_nb.catalogue import find_model, full_name, load_catalogue
from mistral_nb.completion import TokenUsage
from mistral_nb.errors import InvalidOption, UnknownPrice

if TYPE_CHECKING:
    import pandas as pd

MILLION = Decimal(1_000_000)
_EXAMPLE = (
    'mistral_nb.prices(update={"small": {"input_usd_per_million_tokens": 0.10, "output_usd_per_million_tokens": 0.40}})'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """USD per million tokens; `cached_input` is for the part of a prompt that the API served from its own cache."""

    input_usd_per_million_tokens: Decimal
    cached_input_usd_per_million_tokens: Decimal
    output_usd_per_million_tokens: Decimal


_NAMES = tuple(field.name for field in fields(ModelPrice))
_contracts: dict[str, ModelPrice] = {}


def price_of(model: str) -> ModelPrice | None:
    """Return the price of a model (name, alias or short name): the contract's, or else the published one; None where unknown."""
    if _contracts and (agreed := _contracts.get(_identity(model))):
        return agreed
    return _published(model)


def unknown_price(model: str, *, where: str) -> UnknownPrice:
    """Return the error of a budget that can't be kept, with the line that makes the price known."""
    example = '{"input_usd_per_million_tokens": 0.10, "output_usd_per_million_tokens": 0.40}'
    return UnknownPrice(
        f"The price of {model} {where} is not known, so no budget can be kept.",
        f'Leave the budget out, or say the price: mistral_nb.prices(update={{"{model}": {example}}})',
    )


def has_contract_price(model: str) -> bool:
    """Whether a price of your own holds for the model."""
    return _identity(model) in _contracts


def contract_prices() -> dict[str, ModelPrice]:
    """Return the prices of your own, for another process that is to count with them."""
    return dict(_contracts)


def adopt_contract_prices(prices: Mapping[str, ModelPrice]) -> None:
    """Count with another process's own prices."""
    _contracts.update(prices)


def cost_usd(model: str, usage: TokenUsage, *, region: str = "global", is_batch: bool = False) -> Decimal | None:
    """Return what the tokens cost in USD, exactly; None when the price is unknown.

    Parameters
    ----------
    model
        Name, alias or short name.
    usage
        Tokens; the cached part of the prompt has a price of its own, and the priority tier a factor.
    region
        "global", or "eu"/"us", which have a factor of their own.
    is_batch
        Whether they are those of a batch job. That the factors multiply is assumed.
    """
    price = price_of(model)
    if price is None:
        return None
    prompt = price.input_usd_per_million_tokens * (usage.prompt_tokens - usage.cached_tokens)
    cached = price.cached_input_usd_per_million_tokens * usage.cached_tokens
    cost = (prompt + cached + price.output_usd_per_million_tokens * usage.completion_tokens) / MILLION
    factors = load_catalogue().factors
    for name, holds in (("regional", region != "global"), ("batch", is_batch), ("priority", usage.is_priority)):
        if holds:
            cost *= factors[name]
    return cost


def prices(update: Mapping[str, Mapping[str, Any] | None] | None = None) -> "pd.DataFrame":
    """Return what each model costs, after putting in the prices of your contract, if any are given.

    Parameters
    ----------
    update
        For each model (name, alias or short name) `input_usd_per_million_tokens`, `output_usd_per_million_tokens` and, unless it is
        a tenth of the input's, `cached_input_usd_per_million_tokens`; None brings the published price back. They hold for this
        kernel, at any endpoint, for what is asked from now on; the factors of batch jobs, regions and priority still apply.

    Returns
    -------
    DataFrame
        Index: model. Columns input_usd_per_million_tokens, cached_input_usd_per_million_tokens, output_usd_per_million_tokens
        (float64; missing where unknown), batch_factor, regional_factor, priority_factor (float64), is_contract (bool), source
        (str), checked (the date of the published prices; missing for a contract's).

    Raises
    ------
    InvalidOption
        An entry lacks a price, has one that is no amount, or one that there is not.

    Examples
    --------
    >>> import mistral_nb
    >>> agreed = {"input_usd_per_million_tokens": 0.10, "output_usd_per_million_tokens": 0.40}
    >>> table = mistral_nb.prices(update={"small": agreed})
    >>> float(table.loc["mistral-small-2603", "input_usd_per_million_tokens"])
    0.1
    >>> table = mistral_nb.prices(update={"small": None})
    """
    import pandas as pd

    if update is not None and not isinstance(update, Mapping):
        raise InvalidOption(f"update is {update!r}.", f"Give prices by name, e.g. {_EXAMPLE}.")
    changes = {model: None if given is None else _checked(model, given) for model, given in (update or {}).items()}
    for model, price in changes.items():
        if price is None:
            _contracts.pop(_identity(model), None)
        else:
            _contracts[_identity(model)] = price
    known = load_catalogue()
    rows = []
    for name in dict.fromkeys([*(model.name for model in known.models), *_contracts]):
        price, is_contract = price_of(name), name in _contracts
        rows.append(
            {
                "model": name,
                **{field: None if price is None else float(getattr(price, field)) for field in _NAMES},
                **{f"{factor}_factor": float(known.factors[factor]) for factor in ("batch", "regional", "priority")},
                "is_contract": is_contract,
                "source": "mistral_nb.prices" if is_contract else known.source,
                "checked": None if is_contract else known.checked,
            }
        )
    return pd.DataFrame(rows).set_index("model").astype(dict.fromkeys(_NAMES, "float64"))


def _identity(model: str) -> str:
    """Return one name for all names of a model."""
    found = find_model(model)
    return full_name(model) if found is None else found.name


@cache
def _published(model: str) -> ModelPrice | None:
    found = find_model(model)
    if found is None or found.input_usd_per_million_tokens is None or found.output_usd_per_million_tokens is None:
        return None
    return ModelPrice(
        input_usd_per_million_tokens=found.input_usd_per_million_tokens,
        cached_input_usd_per_million_tokens=found.input_usd_per_million_tokens
        * load_catalogue().factors["cached_input"],
        output_usd_per_million_tokens=found.output_usd_per_million_tokens,
    )


def _checked(model: object, given: object) -> ModelPrice:
    if not isinstance(model, str) or not isinstance(given, Mapping):
        raise InvalidOption(f"The price of {model!r} is {given!r}.", f"Give prices by name, e.g. {_EXAMPLE}.")
    unknown = sorted(map(str, given.keys() - set(_NAMES)))
    if unknown:
        raise InvalidOption(f"The price of {model!r} has no {unknown[0]!r}.", f"There are: {', '.join(_NAMES)}.")
    lacking = [name for name in _NAMES if name not in given and not name.startswith("cached_")]
    if lacking:
        raise InvalidOption(f"The price of {model!r} lacks {lacking[0]}.", f"Give it, e.g. {_EXAMPLE}.")
    amounts = {name: _amount(model, name, value) for name, value in given.items()}
    cached = amounts["input_usd_per_million_tokens"] * load_catalogue().factors["cached_input"]
    return ModelPrice(**{"cached_input_usd_per_million_tokens": cached, **amounts})


def _amount(model: str, name: str, value: object) -> Decimal:
    try:
        amount = Decimal("NaN") if isinstance(value, bool) else Decimal(str(value))
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise InvalidOption(f"{name} of {model!r} is {value!r}.", f"Give dollars, e.g. {_EXAMPLE}.")
    return amount
