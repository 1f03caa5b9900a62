"""What a run would send, cost and take, before any of it is sent.

Keeps to itself: how the figures are put into words and into a table.
Promises: an estimate is called one; an unknown price or limit is said, never guessed; upper bounds are rounded up. The HTML holds
no script and no colour of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from html import escape

from mistral_nb.counted import counted
from mistral_nb.masking.kinds import MaskReport
from mistral_nb.settings import is_local

_SMALLEST_SHOWN_USD = Decimal("0.0001")
_CENT = Decimal("0.01")
# A budget of exactly the worst case would refuse the last row over a rounding.
_BUDGET_MARGIN = Decimal("1.05")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Receipt:
    """What a verb over a column would do; what ``dry_run=True`` returns. Of a batch job, it is shown before the job is sent.

    Attributes
    ----------
    verb, model
        What is asked of whom; of a cascade, the second model.
    is_batch, is_dry_run
        Whether the requests would be sent as batch jobs, and whether that is left to a further call.
    rows, missing, unique, cached
        Rows in all; rows without text; distinct texts; distinct texts whose answer is kept from before and costs nothing.
    waiting
        Distinct texts that are in batch jobs already, which are waited for instead of asking.
    requests, rows_per_request
        Requests to send, and how many rows share one.
    requests_for_answers
        Those of the requests that read answers of the others, as summaries of summaries do. These answers are not there yet, so
        all that is said of these requests is an estimate.
    most_corrections
        How many times a row whose answer does not fit is asked again at most; these requests are in none of the figures.
    prompt_tokens, completion_tokens_expected, completion_tokens_most
        Tokens of those requests, and of their answers: what is expected, and what `max_tokens` or the task's bound allows.
    rationale_tokens_expected
        Those of the expected ones that say why an answer is so; 0 where no reasons are asked for.
    are_tokens_exact
        Whether `prompt_tokens` is counted with the model's tokenizer rather than estimated.
    cost_usd_expected, cost_usd_most, batch_cost_usd_expected, batch_cost_usd_most
        Price sent now, and as a batch job; None where the price is unknown, 0 on this machine.
    seconds
        Least time that the known limits allow; None while no limits are known.
    requests_per_minute, tokens_per_minute
        The known limits.
    price_checked, price_source
        When and where the price was looked up.
    of_first_model
        Of a cascade, what its first model would be asked. All other figures are then of both models, as if every text went on of
        which it is not known that it does not.
    masked
        What stays on this machine with ``mask=``; None without it.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I was charged twice", "I was charged twice", None])
    >>> receipt = texts.mistral.classify(["billing", "delivery"], model="small", dry_run=True)
    >>> receipt.rows, receipt.unique, receipt.missing, receipt.requests
    (3, 1, 1, 1)
    >>> receipt.cost_usd_expected <= receipt.cost_usd_most < 0.01
    True
    """

    verb: str
    model: str
    is_batch: bool = False
    is_dry_run: bool = True
    rows: int
    missing: int
    unique: int
    cached: int
    waiting: int = 0
    requests: int
    rows_per_request: int = 1
    requests_for_answers: int = 0
    most_corrections: int = 0
    prompt_tokens: int
    completion_tokens_expected: int
    completion_tokens_most: int
    rationale_tokens_expected: int = 0
    are_tokens_exact: bool
    cost_usd_expected: Decimal | None = None
    cost_usd_most: Decimal | None = None
    batch_cost_usd_expected: Decimal | None = None
    batch_cost_usd_most: Decimal | None = None
    seconds: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    price_checked: date | None = None
    price_source: str | None = None
    of_first_model: "Receipt | None" = None
    masked: MaskReport | None = None

    def __str__(self) -> str:
        lines = self._lines()
        width = max(len(name) for name, _ in lines)
        return "\n".join([self._title, *(f"  {name:<{width}}  {value}" for name, value in lines)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cell = 'style="text-align: left; vertical-align: top"'
        lines = "".join(
            f'<tr><th scope="row" {cell}>{escape(name)}</th><td {cell}>{escape(value)}</td></tr>'
            for name, value in self._lines()
        )
        # Without mathjax_ignore, what stands between two amounts of money would be typeset as a formula.
        return f'<div class="mistral-nb mathjax_ignore"><p>{escape(self._title)}</p><table>{lines}</table></div>'

    @property
    def rows_text(self) -> str:
        """Rows, and why not every one of them is a request."""
        parts = [counted(self.unique, "distinct text")]
        if self.cached:
            parts.append(f"{self.cached:,} of them answered before and kept")
        if self.waiting:
            parts.append(f"{self.waiting:,} of them in batch jobs already")
        if self.missing:
            parts.append(f"{self.missing:,} without text")
        return f"{self.rows:,}: {', '.join(parts)}"

    @property
    def requests_text(self) -> str:
        """Requests, or why there are none."""
        if not self.requests:
            if not self.unique:
                return "0: there is no text"
            return "0: all else is in batch jobs already" if self.waiting else "0: every answer is kept already"
        shared = "" if self.rows_per_request == 1 else f", up to {self.rows_per_request:,} rows in each"
        if self.of_first_model is not None:
            first = self.of_first_model
            second = self.requests - first.requests
            then = (
                f"at most {second:,} to {self.model}"
                if second
                else f"none to {self.model}, whose answers are kept already"
            )
            return f"{first.requests:,} to {first.model}, then {then}{shared}"
        if not self.requests_for_answers:
            return f"{self.requests:,}{shared}"
        read_texts = self.requests - self.requests_for_answers
        return f"{self.requests:,}{shared}: {read_texts:,} read texts, about {self.requests_for_answers:,} read their answers"

    @property
    def tokens_text(self) -> str:
        """Tokens to read and to write, and how they are known."""
        how = "counted with Mistral's tokenizer" if self.are_tokens_exact else "estimated"
        if self.requests_for_answers and self.are_tokens_exact:
            how = "those of the texts counted with Mistral's tokenizer, those of answers estimated"
        expected, most = self.completion_tokens_expected, self.completion_tokens_most
        reasons = f" ({self.rationale_tokens_expected:,} of them for reasons)" if self.rationale_tokens_expected else ""
        written = f"about {expected:,} to write{reasons}" + (f", at most {most:,}" if most > expected else "")
        condition = ", if every text goes on" if self._may_stop_early else ""
        return (
            f"{'' if self.are_tokens_exact else 'about '}{self.prompt_tokens:,} to read ({how}), {written}{condition}"
        )

    @property
    def corrections_text(self) -> str:
        """What may come on top where answers do not fit."""
        times = "once more" if self.most_corrections == 1 else f"up to {self.most_corrections} times more"
        return f"not counted above: a row whose answer does not fit is asked {times}, within the budget"

    @property
    def price_text(self) -> str:
        """What is expected and what is the most, with the price's date; or that it is unknown."""
        if self._is_local:
            return "$0 (runs on this machine)"
        if self.cost_usd_expected is None or self.cost_usd_most is None:
            return f"unknown price of {self._model_text}"
        checked = f" (prices of {self.price_checked})" if self.price_checked and self.cost_usd_most else ""
        if (
            self.of_first_model is not None
            and self.of_first_model.cost_usd_expected is not None
            and self._may_stop_early
        ):
            least = f"{dollars_text(self.of_first_model.cost_usd_expected)} if no text goes on"
            return f"{least}; if all do {_range(self.cost_usd_expected, self.cost_usd_most)}{checked}"
        return _range(self.cost_usd_expected, self.cost_usd_most) + checked

    @property
    def batch_price_text(self) -> str | None:
        """The same as a batch job; None where there is none, or nothing to pay."""
        if self.batch_cost_usd_expected is None or not self.batch_cost_usd_most:
            return None
        return _range(self.batch_cost_usd_expected, self.batch_cost_usd_most)

    @property
    def time_text(self) -> str:
        """The least time under the known limits, or what a batch job may take."""
        if self.is_batch:
            return "up to 24 hours, mostly much less; a batch job does not count against the limits a minute"
        if self.seconds is not None:
            wait = f"at least {_duration(self.seconds)}" if self.seconds >= 1 else "no waiting"
            return f"{wait}{self._limits_text}"
        return "no limits on this machine" if self._is_local else "no limits known yet: the first answer tells them"

    @property
    def budget_usd(self) -> Decimal | None:
        """A round figure a little above the most it can cost; None where there is nothing to limit, or nothing is known."""
        most_usd = self.batch_cost_usd_most if self.is_batch else self.cost_usd_most
        return _round_budget(most_usd) if most_usd else None

    @property
    def run_text(self) -> str:
        """What to type to run it, within a budget where there is something to pay."""
        if self.budget_usd is not None:
            return f"the same call with budget_usd={self.budget_usd} instead of dry_run=True"
        if self.cost_usd_most is None and not self._is_local:
            return "the same call without dry_run=True (an unknown price can't be kept within a budget)"
        return "the same call without dry_run=True"

    @property
    def _title(self) -> str:
        how = " as a batch job" if self.is_batch else ""
        return f"Receipt for {self.verb} with {self._model_text}{how}{': nothing was sent' if self.is_dry_run else ''}."

    @property
    def _model_text(self) -> str:
        return self.model if self.of_first_model is None else f"{self.of_first_model.model}, then {self.model}"

    @property
    def _is_local(self) -> bool:
        return is_local(self.model) and (self.of_first_model is None or is_local(self.of_first_model.model))

    @property
    def _may_stop_early(self) -> bool:
        """Whether it is open which texts of a cascade go on."""
        return self.of_first_model is not None and self.of_first_model.requests > 0

    @property
    def _limits_text(self) -> str:
        limits = {"request": self.requests_per_minute, "token": self.tokens_per_minute}
        known = " and ".join(counted(limit, unit) for unit, limit in limits.items() if limit is not None)
        return f" under {known} a minute" if known else ""

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("rows", self.rows_text)]
        if self.masked is not None:
            lines.append(("masked", str(self.masked)))
        lines.append(("requests", self.requests_text))
        if not self.requests:
            return [*lines, ("price", "$0"), *self._run_it("the same call without dry_run=True")]
        prices = [("price", self.price_text)]
        if self.is_batch:
            prices = [("price", self.batch_price_text or self.price_text), ("asked live", self.price_text)]
        elif self.batch_price_text:
            prices.append(("as a batch job", self.batch_price_text))
        lines += [("tokens", self.tokens_text), *prices]
        if self.price_source and self.cost_usd_most and not self._is_local:
            lines.append(("prices from", self.price_source))
        if self.most_corrections:
            lines.append(("corrections", self.corrections_text))
        return [*lines, ("time", self.time_text), *self._run_it(self.run_text)]

    def _run_it(self, text: str) -> list[tuple[str, str]]:
        return [("run it", text)] if self.is_dry_run else []


def added(
    receipts: Sequence[Receipt],
    *,
    verb: str,
    model: str,
    rows: int,
    missing: int,
    unique: int,
    cached: int,
    requests_for_answers: int,
) -> Receipt:
    """Return one receipt for runs that follow each other, of which some read the answers of others; the rest as in `Receipt`."""
    said = Receipt(
        verb=verb,
        model=model,
        rows=rows,
        missing=missing,
        unique=unique,
        cached=cached,
        requests=sum(one.requests for one in receipts),
        rows_per_request=max((one.rows_per_request for one in receipts), default=1),
        requests_for_answers=requests_for_answers,
        prompt_tokens=sum(one.prompt_tokens for one in receipts),
        completion_tokens_expected=sum(one.completion_tokens_expected for one in receipts),
        completion_tokens_most=sum(one.completion_tokens_most for one in receipts),
        rationale_tokens_expected=sum(one.rationale_tokens_expected for one in receipts),
        are_tokens_exact=all(one.are_tokens_exact for one in receipts),
    )
    if not receipts:
        return said
    last = receipts[-1]
    waits = [one.seconds for one in receipts if one.seconds is not None]
    return replace(
        said,
        cost_usd_expected=sum_known(one.cost_usd_expected for one in receipts),
        cost_usd_most=sum_known(one.cost_usd_most for one in receipts),
        batch_cost_usd_expected=sum_known(one.batch_cost_usd_expected for one in receipts),
        batch_cost_usd_most=sum_known(one.batch_cost_usd_most for one in receipts),
        seconds=None if len(waits) < len(receipts) else sum(waits),
        requests_per_minute=last.requests_per_minute,
        tokens_per_minute=last.tokens_per_minute,
        price_checked=last.price_checked,
        price_source=last.price_source,
    )


def sum_known(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum; None when one of them is not known."""
    total = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


def _range(expected: Decimal, most: Decimal) -> str:
    shown, shown_most = dollars_text(expected), dollars_text(most, rounding=ROUND_UP)
    return shown if expected == most or shown == shown_most else f"{shown}, at most {shown_most}"


def dollars_text(amount: Decimal, *, rounding: str = ROUND_HALF_UP) -> str:
    """Return the amount with cents from a dollar up, four decimals below."""
    if not amount:
        return "$0"
    if amount < _SMALLEST_SHOWN_USD:
        return f"under ${_SMALLEST_SHOWN_USD}"
    return f"${amount.quantize(_CENT if amount >= 1 else _SMALLEST_SHOWN_USD, rounding=rounding):,}"


def _round_budget(most: Decimal) -> Decimal:
    """Return two leading digits, rounded up from a little above the amount; a cent at least."""
    amount = most * _BUDGET_MARGIN
    step = max(_CENT, Decimal(1).scaleb(amount.adjusted() - 1))
    return Decimal(f"{(amount / step).to_integral_value(rounding=ROUND_UP) * step:f}")


def _duration(seconds: float) -> str:
    """Return the time in its two largest units, rounded to the nearest second, or minute from an hour up."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
