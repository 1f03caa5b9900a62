"""What was used, counted: the ledger's lines as a table, grouped as asked.

Keeps to itself: how amounts add up. Sums are exact until they become columns.
Promises: an amount that is not known is never counted as 0 without a word: the requests that have one are counted beside the sum.
"""

import datetime
import re
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.ledger import COLUMNS
from mistral_nb.errors import InvalidOption

if TYPE_CHECKING:
    import pandas as pd

# What usage can be grouped by. The days are UTC's, as those of the budgets are.
GROUPS = ("model", "day", "hour", "month", "door", "verb", "notebook", "tag", "operation", "finish_reason", "error")
_PERIODS = {"hour": "h", "day": "D", "month": "M"}
_AMOUNTS = ("cost_usd", "saved_usd")
_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(rf"\s*(?P<number>\d+(\.\d+)?)\s*(?P<unit>{'|'.join(_UNITS)})\s*", re.IGNORECASE)
_HINT = 'Give a time span or a date, e.g. since="7d", since="12h", since="2026-11-01", or since=None for everything.'


def since_unix_seconds(since: object) -> float:
    """Return the moment that `since` means: a span before now ("7d"), a date, a datetime (a naive one is local time), or None."""
    import pandas as pd

    if since is None:
        return 0.0
    try:
        if isinstance(since, str) and (span := _SPAN.fullmatch(since)):
            since = datetime.timedelta(**{_UNITS[span["unit"].lower()]: float(span["number"])})
        if isinstance(since, datetime.timedelta):
            return time.time() - since.total_seconds()
        if isinstance(since, str | datetime.date) and not pd.isna(moment := pd.Timestamp(since)):
            return moment.to_pydatetime().timestamp()  # of a naive datetime, local time is meant
    except (ValueError, OverflowError):
        pass
    raise InvalidOption(f"since is {since!r}.", _HINT)


def requests_table(lines: Sequence[tuple[Any, ...]]) -> "pd.DataFrame":
    """Return the ledger's lines as a frame, one row each, in the order in which the requests ended.

    Returns
    -------
    DataFrame
        Columns as the fields of `RequestRecord`, with `time` (datetime64, UTC) in the place of `began_unix_seconds`. Amounts are
        `Decimal`, missing where unknown.
    """
    import pandas as pd

    frame = pd.DataFrame.from_records(list(lines), columns=list(COLUMNS))
    began = frame.pop("began_unix_seconds").astype("float64")
    frame.insert(0, "time", pd.to_datetime(began, unit="s", utc=True).astype("datetime64[ms, UTC]"))
    for name in _AMOUNTS:
        amounts = [None if amount is None else Decimal(amount) for amount in frame[name].tolist()]
        frame[name] = pd.Series(amounts, index=frame.index, dtype="object")
    whole = ("rows", "prompt_tokens", "cached_tokens", "completion_tokens", "attempts")
    return frame.astype(dict.fromkeys(whole, "int64") | {"from_cache": "bool", "latency_seconds": "float64"})


def usage_table(requests: "pd.DataFrame", by: Sequence[str]) -> "pd.DataFrame":
    """Return the requests grouped and counted.

    Parameters
    ----------
    requests
        As `requests_table` gives them.
    by
        Names out of `GROUPS`; without any, all is one row.

    Returns
    -------
    DataFrame
        Index: the groups. Columns, of requests that were sent: requests, rows, attempts, failed, prompt_tokens, cached_tokens,
        completion_tokens (int64), cost_usd (float64, USD: the sum of what is known; missing where nothing is), cost_unknown
        (int64: how many requests have no known cost), latency_p50_seconds, latency_p95_seconds (float64, of requests without an
        error). Of rows that took a kept answer: cached_rows (int64), saved_usd (float64, USD).
    """
    import pandas as pd

    keys: list[Any] = [_keys(requests, name) for name in by] or [pd.Series("all", requests.index, name="all")]
    is_sent = ~requests["from_cache"]
    sent = requests.assign(
        failed=requests["error"].notna(),
        cost_unknown=requests["cost_usd"].isna(),
        latency=requests["latency_seconds"].where(requests["error"].isna()),
    )[is_sent]
    groups = sent.groupby([key[is_sent] for key in keys], dropna=False, sort=True)
    counted = groups.agg(
        requests=("rows", "size"),
        rows=("rows", "sum"),
        attempts=("attempts", "sum"),
        failed=("failed", "sum"),
        prompt_tokens=("prompt_tokens", "sum"),
        cached_tokens=("cached_tokens", "sum"),
        completion_tokens=("completion_tokens", "sum"),
        cost_usd=("cost_usd", _total),
        cost_unknown=("cost_unknown", "sum"),
        latency_p50_seconds=("latency", "median"),
        latency_p95_seconds=("latency", lambda seconds: seconds.quantile(0.95)),
    )
    kept = requests[~is_sent].groupby([key[~is_sent] for key in keys], dropna=False, sort=True)
    table = counted.join(kept.agg(cached_rows=("rows", "sum"), saved_usd=("saved_usd", _total)), how="outer")
    amounts = {"cost_usd", "saved_usd", "latency_p50_seconds", "latency_p95_seconds"}
    for name in table.columns:
        table[name] = table[name].astype("float64") if name in amounts else table[name].fillna(0).astype("int64")
    return table


def _keys(requests: "pd.DataFrame", name: str) -> "pd.Series[Any]":
    """Return what each request is grouped by."""
    if name in _PERIODS:
        periods = requests["time"].dt.tz_localize(None).dt.to_period(_PERIODS[name])
        starts: pd.Series[Any] = periods.dt.start_time.rename(name)
        return starts
    return requests[name]


def _total(amounts: "pd.Series[Any]") -> Decimal | None:
    known = amounts.dropna()
    return sum(known, Decimal(0)) if len(known) else None
