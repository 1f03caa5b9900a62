"""What was used and what it cost, as a frame with pictures; for the notebook, the magic and the command line.

Promises: a plain DataFrame in all respects but `plot`; reading it sends nothing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from mistral_nb.errors import InvalidOption

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEFAULT_SINCE = "7d"
DEFAULT_GROUPS = ("model", "day")


class Usage(pd.DataFrame):
    """What `mistral_nb.usage` returns: a DataFrame that draws itself.

    Attributes
    ----------
    requests
        The requests that were counted, one row each, as ``mistral_nb.usage(by=None)`` gives them.

    Examples
    --------
    >>> import mistral_nb
    >>> answer = mistral_nb.session().complete("Say hello.", max_tokens=5)
    >>> table = mistral_nb.usage(since="1h", by="model")
    >>> int(table.loc["local-tiny", "failed"]), len(table.requests) == int(table["requests"].sum())
    (0, True)
    """

    requests: pd.DataFrame
    _metadata = ("requests",)

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame  # a part of it counts other requests than its pictures would show

    def plot(self, kind: str | None = None) -> "list[Axes]":  # type: ignore[override]  # pandas' pictures of these columns say little
        """Draw the cost per day and model, tokens, latencies, what the cache saved, and failures; or one of them.

        Parameters
        ----------
        kind
            "cost", "tokens", "latency", "cache" or "failures"; None draws all five.

        Returns
        -------
        list of matplotlib Axes
            One for each picture. Text keeps the colour of your matplotlib style, on a light and on a dark page.

        Raises
        ------
        InvalidOption
            There is no such picture.

        Examples
        --------
        >>> import mistral_nb
        >>> axes = mistral_nb.usage(since="30d").plot()
        >>> len(axes)
        5
        """
        from mistral_nb.notebook.usage_pictures import draw_usage

        return draw_usage(self.requests, kind)


def usage(
    since: Any = DEFAULT_SINCE, by: "str | Sequence[str] | None" = DEFAULT_GROUPS, *, tag: str | None = None
) -> Usage:
    """Return what was used since then, by every door and every kernel that shares the ledger.

    Parameters
    ----------
    since
        A span before now ("7d", "12h"), a date or datetime (a naive one is local time), or None for all that is kept.
    by
        What to group by, one or several of: model, day, hour, month (of UTC), door, verb, notebook, tag, operation, finish_reason,
        error. An empty list counts everything together; None gives each request its own row.
    tag
        Only requests of this tag, see `mistral_nb.spend`.

    Returns
    -------
    Usage
        A DataFrame. Grouped, its index is the groups, its columns: requests, rows, attempts, failed, prompt_tokens, cached_tokens,
        completion_tokens (int64), cost_usd (float64: the sum of what is known, missing where nothing is), cost_unknown (int64: how
        many requests have no known cost), latency_p50_seconds, latency_p95_seconds (float64), cached_rows (int64: rows that took a
        kept answer), saved_usd (float64: what asking for these again would have cost). With ``by=None``: the fields of each
        request, amounts as exact `Decimal`. `.plot()` draws it, `.requests` is what was counted.

    Raises
    ------
    InvalidOption
        `since` is no time, or `by` names no group.

    Examples
    --------
    >>> import mistral_nb
    >>> answer = mistral_nb.session().complete("Say hello.", max_tokens=5)
    >>> int(mistral_nb.usage(since="1h", by="verb").loc["complete", "requests"]) >= 1
    True
    """
    from mistral_nb.engine.current import current_session
    from mistral_nb.engine.usage import requests_table, since_unix_seconds, usage_table

    groups = _checked_groups(by)
    lines = current_session().ledger.lines(since_unix_seconds=since_unix_seconds(since), tag=tag)
    requests = requests_table(lines)
    table = Usage(requests if groups is None else usage_table(requests, groups))
    table.requests = requests
    return table


def _checked_groups(by: "str | Sequence[str] | None") -> Sequence[str] | None:
    from mistral_nb.catalogue import nearest_names
    from mistral_nb.engine.usage import GROUPS

    groups = [by] if isinstance(by, str) else by
    for name in groups or ():
        if name not in GROUPS:
            near = nearest_names(str(name), GROUPS)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise InvalidOption(
                f"Usage can't be grouped by {name!r}.",
                f"{hint}There are: {', '.join(GROUPS)}; by=None gives each request.",
            )
    return groups


def usage_command(given: Sequence[str]) -> Usage:
    """Return what ``%mistral usage [SINCE] [GROUP …]`` shows."""
    since, *groups = given or [DEFAULT_SINCE]
    return usage(since=None if since == "all" else since, by=groups or DEFAULT_GROUPS)


def usage_text(table: pd.DataFrame, *, width: int) -> str:
    """Return the grouped table for a terminal of so many cells; amounts that are not known are said to be."""
    from mistral_nb.terminal_table import Column, terminal_table

    if table.empty:
        return "Nothing was used in that time."
    names = list(table.index.names)
    rows = table.reset_index()
    columns = [Column(str(name), [_group_text(value) for value in rows[name]]) for name in names]
    columns += [Column(name, [f"{value:,}" for value in rows[name]]) for name in _SHOWN_COUNTS]
    columns.append(
        Column("cost", [_cost_text(*row) for row in rows[["cost_usd", "cost_unknown"]].itertuples(index=False)])
    )
    columns.append(
        Column("p95", ["–" if pd.isna(value) else f"{value:.2f} s" for value in rows["latency_p95_seconds"]])
    )
    columns.append(Column("saved", [_cost_text(value, 0) for value in rows["saved_usd"]]))
    return terminal_table(columns, width=max(width, 60))


_SHOWN_COUNTS = ("requests", "failed", "rows", "prompt_tokens", "completion_tokens")


def _group_text(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d" if value == value.normalize() else "%Y-%m-%d %H:%M")
    return "–" if pd.isna(value) else str(value)


def _cost_text(cost_usd: float, unknown: int) -> str:
    if pd.isna(cost_usd):
        return f"{unknown:,} unknown" if unknown else "–"
    return f"${cost_usd:,.4f}" + (f" + {unknown:,} unknown" if unknown else "")
