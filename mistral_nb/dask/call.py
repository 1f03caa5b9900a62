"""One call of a verb, as it travels to where the partitions are.

Keeps to itself: what of the caller's settings goes along, and what becomes of warnings.
Promises: neither a key nor the caller's folders are in it (another process reads its own environment), and its repr, which
schedulers log, holds no text. The same call gives the same name in a graph, unless it has a budget, which is its own.
"""

import os
import platform
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from mistral_nb.dask.membership import Member, member, stopped_with_its_task
from mistral_nb.dask.surroundings import own_bills, shared_bills
from mistral_nb.engine.budget import checked_budget
from mistral_nb.engine.occasion import current_occasion, for_caller
from mistral_nb.errors import InvalidOption, MissingKey
from mistral_nb.key_sources import KEY_VARIABLE
from mistral_nb.notebook.parts import on_part
from mistral_nb.notebook.progress import FailedRowsWarning, failures_text
from mistral_nb.price_list import ModelPrice, adopt_contract_prices, contract_prices
from mistral_nb.settings import as_set_elsewhere, current_settings, settings_for_elsewhere

if TYPE_CHECKING:
    from mistral_nb.engine.rows import RowsResult

HOME_VARIABLE = "MISTRAL_NB_HOME"
_PROCESS = uuid.uuid4().hex


def this_process() -> str:
    """Return what tells this process from all others."""
    return f"{_PROCESS}/{os.getpid()}"


@dataclass(frozen=True)
class VerbCall:
    """A verb with its arguments, called with each partition.

    Attributes
    ----------
    verb, arguments
        As for the accessor of pandas.
    columns
        The columns of the result and their dtypes, where a partition may have others; else None.
    settings, prices, home
        What holds where the call was made; `home` only where it was set there.
    machine, process
        Where that was.
    budget
        Name and limit of what all partitions together may cost.
    tag
        What the requests are grouped by in the ledger.
    """

    verb: str
    arguments: Mapping[str, Any]
    columns: Mapping[str, Any] | None
    settings: Mapping[str, Any]
    prices: Mapping[str, ModelPrice]
    home: str | None
    machine: str
    process: str
    budget: tuple[str, Decimal] | None
    tag: str | None

    @property
    def __name__(self) -> str:  # what Dask names the tasks after
        return f"mistral_{self.verb}"

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        from dask.tokenize import normalize_token

        told = (self.verb, self.arguments, self.columns, self.settings, self.prices, self.home, self.budget, self.tag)
        return (type(self).__name__, *map(normalize_token, told))

    def __call__(self, part: Any, *others: Any) -> Any:
        """Return what the verb gives for a partition."""
        further = {"to": others[0]} if others else {}
        with self._asked_here():
            given = getattr(part.mistral, self.verb)(**self.arguments, **further)
        return given if self.columns is None else _with_columns(given, self.columns, self.verb)

    @contextmanager
    def _asked_here(self) -> Iterator[None]:
        """Have the block ask as where the call was made, within what its other partitions have left."""
        is_elsewhere = self.process != this_process()
        with ExitStack() as stack:
            stack.enter_context(stopped_with_its_task(self))
            if is_elsewhere:
                joined = member()
                adopt_contract_prices(self.prices)
                stack.enter_context(as_set_elsewhere(self._settings_here(joined)))
                tabs = shared_bills(self.budget, caller=self.process, member=joined)
            else:
                tabs = own_bills(self.budget)
            stack.enter_context(for_caller(tag=self.tag, tabs=tabs))
            stack.enter_context(on_part(tell_failures))
            try:
                yield
            except MissingKey as error:
                if not is_elsewhere:
                    raise
                raise MissingKey(
                    error.problem,
                    f"Workers read {KEY_VARIABLE} from their own environment; "
                    "or hand yours over: mistral_nb.dask.share_session(client)",
                ) from None

    def _settings_here(self, joined: Member | None) -> Mapping[str, Any]:
        """Return the caller's settings; its folder, too, on the same machine, unless this process was given another."""
        settings = dict(self.settings)
        if self.home is not None and self.machine == platform.node() and not os.environ.get(HOME_VARIABLE):
            settings["home"] = self.home
        key = None if joined is None else joined.handed_key(self.process)
        return settings if key is None else {**settings, "api_key": key}


def verb_call(verb: str, arguments: Mapping[str, Any], *, columns: Mapping[str, Any] | None) -> VerbCall:
    """Return the call of a verb with these arguments, as it is made here and now.

    Raises
    ------
    InvalidOption
        It is made in a block with a budget, which ends before the column is computed.
    """
    occasion = current_occasion(verb)
    if any(tab.budget.is_limited for tab in occasion.tabs):
        raise InvalidOption(
            "The block's budget can't be kept: a Dask column is computed later.",
            f"Give the budget to the verb: ddf.mistral.{verb}(…, budget_usd=5)",
        )
    limit_usd = checked_budget(arguments.get("budget_usd"))
    settings = current_settings()
    return VerbCall(
        verb=verb,
        arguments={name: value for name, value in arguments.items() if name != "budget_usd"},
        columns=columns,
        settings=settings_for_elsewhere(),
        prices=contract_prices(),
        home=None if settings.origins.get("home") is None else str(settings.home),
        machine=platform.node(),
        process=this_process(),
        budget=None if limit_usd is None else (uuid.uuid4().hex, limit_usd),
        tag=occasion.tag,
    )


def tell_failures(result: "RowsResult") -> None:
    """Warn who computes the column of rows of a partition that failed."""
    tell(
        f"{failures_text(result)}\n"
        "details=True gives the error of each row; computing the column again asks only the missing ones.",
        FailedRowsWarning,
    )


def tell(text: str, category: type[Warning]) -> None:
    """Warn, on a worker also the clients of its cluster."""
    try:
        from distributed import get_worker, warn

        get_worker()
    except ValueError:  # there is none
        warnings.warn(text, category, stacklevel=2)
    else:
        warn(text, category)


def _with_columns(given: pd.DataFrame, dtypes: Mapping[str, Any], verb: str) -> pd.DataFrame:
    """Return the frame with the columns that were announced, missing where it has none."""
    unknown = [str(name) for name in given.columns if name not in dtypes]
    if unknown and verb == "moderate":
        tell(f"moderate named more than was announced, which is left out: {', '.join(unknown)}.", UserWarning)
    arrays = {
        name: given[name].array if name in given.columns else pd.array([None] * len(given), dtype=dtype)
        for name, dtype in dtypes.items()
    }
    return pd.DataFrame(arrays, index=given.index)
