"""Pictures of what was used: cost, tokens, latency, what the cache saved, failures.

Keeps to itself: sizes and order. Colours and text are those of the reader's matplotlib style, on a light page and on a dark one.
Promises: matplotlib is imported when the first picture is drawn; nothing global is changed; a picture without data says so.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mistral_nb.counted import counted
from mistral_nb.errors import InvalidOption

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LONGEST_NAME = 28
_MOST_DAYS_NAMED = 8
_MODELS_IN_ONE_PICTURE = 8
_OTHERS = "others"


def draw_usage(requests: "pd.DataFrame", kind: str | None = None) -> "list[Axes]":
    """Return the axes of all pictures, or of the one of this kind."""
    import matplotlib.pyplot as plt

    if kind is not None and kind not in PICTURES:
        raise InvalidOption(f"There is no picture {kind!r} of usage.", f"There are: {', '.join(PICTURES)}.")
    wanted = list(PICTURES) if kind is None else [kind]
    if len(wanted) == 1:
        figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
        axes = [ax]
    else:
        figure, grid = plt.subplots(3, 2, figsize=(11.5, 10.5), layout="constrained")
        axes = list(grid.flat)
        figure.delaxes(axes.pop())
    for ax, name in zip(axes, wanted, strict=True):
        PICTURES[name](requests, ax)
    return axes


def draw_cost(requests: "pd.DataFrame", ax: "Axes") -> None:
    """Draw USD per day, stacked by model."""
    sent = requests[~requests["from_cache"]]
    unknown = int(sent["cost_usd"].isna().sum())
    known = sent[sent["cost_usd"].notna()]
    amounts = known["cost_usd"].astype("float64")
    _draw_days(ax, _by_day(known, amounts, _models(known)))
    ax.set_title("Cost per day and model" + (f" (+ {counted(unknown, 'request')} of unknown cost)" if unknown else ""))
    ax.set_ylabel("USD")


def draw_tokens(requests: "pd.DataFrame", ax: "Axes") -> None:
    """Draw tokens per day, stacked by what they were."""
    import pandas as pd

    sent = requests[~requests["from_cache"]]
    kinds = {
        "prompt": sent["prompt_tokens"] - sent["cached_tokens"],
        "prompt, from Mistral's cache": sent["cached_tokens"],
        "completion": sent["completion_tokens"],
    }
    days = _days(sent)
    table = pd.DataFrame({kind: tokens.groupby(days).sum() for kind, tokens in kinds.items()})
    _draw_days(ax, table)
    ax.set_title("Tokens per day")
    ax.set_ylabel("tokens")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def draw_latency(requests: "pd.DataFrame", ax: "Axes") -> None:
    """Draw how long answers took, a box per model from the first to the third quarter, with p50 and p95 in numbers."""
    answered = requests[~requests["from_cache"] & requests["error"].isna()]
    ax.set_title("Latency by model")
    ax.set_xlabel("seconds until the whole answer")
    if answered.empty:
        _say_empty(ax)
        return
    models = _models(answered)
    names = list(models.value_counts().index)[::-1]
    seconds = [answered.loc[models == name, "latency_seconds"] for name in names]
    # Not `boxplot`, whose whiskers end at the last answer within the percentiles: far from them where answers are few.
    ax.bxp(
        [_box(column) for column in seconds],
        orientation="horizontal",
        showfliers=False,
        widths=0.5,
        medianprops={"color": "C1", "linewidth": 2},
        boxprops={"color": "C0"},
        whiskerprops={"color": "C0"},
        capprops={"color": "C0"},
    )
    labels = [
        f"{_short(name)}\np50 {column.median():.2f} s, p95 {column.quantile(0.95):.2f} s"
        for name, column in zip(names, seconds, strict=True)
    ]
    ax.set_yticks(range(1, len(names) + 1), labels)
    ax.set_xlim(left=0)
    ax.text(0.99, 0.02, "whiskers: p5 and p95", transform=ax.transAxes, ha="right", fontsize="small", alpha=0.8)


def _box(seconds: "pd.Series[float]") -> dict[str, float]:
    shares = {"whislo": 0.05, "q1": 0.25, "med": 0.5, "q3": 0.75, "whishi": 0.95}
    return {name: float(seconds.quantile(share)) for name, share in shares.items()}


def draw_cache(requests: "pd.DataFrame", ax: "Axes") -> None:
    """Draw rows per day that were asked and that took a kept answer, with what these saved."""
    import pandas as pd

    days, is_kept = _days(requests), requests["from_cache"]
    kinds = {
        "asked": requests["rows"].where(~is_kept, 0),
        "kept answers": requests["rows"].where(is_kept, 0),
    }
    _draw_days(ax, pd.DataFrame({kind: rows.groupby(days).sum() for kind, rows in kinds.items()}))
    saved = requests.loc[is_kept, "saved_usd"]
    known = saved.dropna()
    note = f"saved ${sum(known):,.4f}" if len(known) else "saving unknown" if len(saved) else "nothing saved"
    ax.set_title(f"Kept answers: {note}".replace("$", r"\$"))
    ax.set_ylabel("rows")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def draw_failures(requests: "pd.DataFrame", ax: "Axes") -> None:
    """Draw how many requests failed, a bar per class of error."""
    from matplotlib.ticker import MaxNLocator

    sent = requests[~requests["from_cache"]]
    counts = sent["error"].value_counts().sort_values()
    ax.set_title(f"Failures: {int(counts.sum()):,} of {counted(len(sent), 'request')}")
    ax.set_xlabel("requests")
    if counts.empty:
        _say_empty(ax, "no request failed" if len(sent) else None)
        return
    bars = ax.barh([_short(name) for name in counts.index], counts.tolist(), color="C3", height=0.6)
    ax.bar_label(bars, [f"{count:,}" for count in counts], padding=3)
    ax.margins(x=0.12)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


PICTURES: dict[str, Callable[["pd.DataFrame", "Axes"], None]] = {
    "cost": draw_cost,
    "tokens": draw_tokens,
    "latency": draw_latency,
    "cache": draw_cache,
    "failures": draw_failures,
}


def _days(requests: "pd.DataFrame") -> "pd.Series[Any]":
    days: pd.Series[Any] = requests["time"].dt.tz_localize(None).dt.floor("D").rename("day")
    return days


def _models(requests: "pd.DataFrame") -> "pd.Series[Any]":
    """Return each request's model, those beyond the most frequent ones taken together."""
    named = requests["model"]
    frequent = named.value_counts().index[:_MODELS_IN_ONE_PICTURE]
    return named.where(named.isin(frequent), _OTHERS)


def _by_day(requests: "pd.DataFrame", amounts: "pd.Series[Any]", models: "pd.Series[Any]") -> "pd.DataFrame":
    return amounts.groupby([_days(requests), models.rename("model")]).sum().unstack(fill_value=0)


def _draw_days(ax: "Axes", table: "pd.DataFrame") -> None:
    """Draw a bar per day, from the first to the last, its parts stacked."""
    import pandas as pd

    ax.set_xlabel("day (UTC)")
    if table.empty or not table.to_numpy().any():
        _say_empty(ax)
        return
    table = table.reindex(pd.date_range(table.index.min(), table.index.max(), freq="D"), fill_value=0)
    below = table.iloc[:, 0] * 0
    for name in table.columns:
        ax.bar(range(len(table)), table[name].tolist(), bottom=below.tolist(), label=_short(name), width=0.75)
        below = below + table[name]
    step = -(-len(table) // _MOST_DAYS_NAMED)
    ax.set_xticks(range(0, len(table), step), [f"{day:%b} {day.day}" for day in table.index[::step]])
    ax.set_xlim(-0.75, max(len(table), 4) - 0.25)
    ax.set_ylim(top=float(below.max()) * (1.1 + 0.1 * len(table.columns)))  # room for the legend
    ax.legend(fontsize="small", loc="upper left", frameon=False)


def _say_empty(ax: "Axes", text: str | None = None) -> None:
    ax.text(0.5, 0.5, text or "nothing to show", transform=ax.transAxes, ha="center", va="center", alpha=0.8)
    ax.set_xticks([])
    ax.set_yticks([])


def _short(name: object) -> str:
    # A dollar would begin a formula.
    text = str(name).replace("$", r"\$")
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
