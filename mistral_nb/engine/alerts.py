"""Warnings that a model has become slow, or that too many requests fail.

Keeps to itself: how many requests are looked at, and what has been said already.
Promises: a warning comes once for each cause, in the user's own thread, and again only after it had become better.
"""

import threading
import warnings
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from math import ceil

from mistral_nb import catalogue
from mistral_nb.engine.open_request import CANCELLED, EndedRequest
from mistral_nb.readers_code import readers_stacklevel

LATENCIES = 50
OUTCOMES = 100
# The fewest of which the 95th percentile is not simply the slowest, and a share says something.
FEWEST = 20


class SlowModelWarning(UserWarning):
    """The 95th percentile of a model's last 50 latencies is above its budget (``configure(latency_budget_seconds=…)``).

    Examples
    --------
    >>> import warnings, mistral_nb
    >>> settings = mistral_nb.configure(latency_budget_seconds={"local-embed": 0.000001})
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     for number in range(20):
    ...         vectors = mistral_nb.session().embed([f"text {number}"])
    >>> [warning.category.__name__ for warning in told]
    ['SlowModelWarning']
    """


class ErrorRateWarning(UserWarning):
    """More than the set share of the last 100 requests failed (``configure(error_rate_alert=…)``).

    Examples
    --------
    >>> import warnings, mistral_nb
    >>> settings = mistral_nb.configure(error_rate_alert=0.2)
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     for number in range(20):
    ...         try:
    ...             answer = mistral_nb.session().complete("far too long " * 3000)
    ...         except mistral_nb.errors.PromptTooLong:
    ...             pass
    >>> [warning.category.__name__ for warning in told]
    ['ErrorRateWarning']
    """


class Alerts:
    """What the last requests say; as a listener, it takes each request that ends.

    Parameters
    ----------
    latency_budget_seconds
        For each model the most that the 95th percentile may be.
    error_rate_alert
        The share of failed requests above which is warned; None never warns.
    """

    def __init__(self, latency_budget_seconds: Mapping[str, float], error_rate_alert: float | None) -> None:
        self._budgets = {catalogue.full_name(name): seconds for name, seconds in latency_budget_seconds.items()}
        self._most_errors = error_rate_alert
        self._latencies: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=LATENCIES))
        self._outcomes: deque[str | None] = deque(maxlen=OUTCOMES)
        self._failures = 0
        self._said: set[str] = set()
        self._to_say: list[tuple[type[UserWarning], str]] = []
        self._lock = threading.Lock()

    def __call__(self, ended: EndedRequest) -> None:
        """Look at one more request."""
        record = ended.record
        if record.from_cache or record.error == CANCELLED or record.door == "batch":  # a job's answers tell no latency
            return
        with self._lock:
            if record.error is None and record.model in self._budgets:
                self._note_latency(record.model, record.latency_seconds)
            if self._most_errors is not None:
                self._note_outcome(record.error, self._most_errors)

    def warn(self) -> None:
        """Warn of what was noticed since the last time; called in the user's thread."""
        while self._to_say:
            category, text = self._to_say.pop(0)
            warnings.warn(text, category, stacklevel=readers_stacklevel())

    def _note_latency(self, model: str, seconds: float) -> None:
        latencies = self._latencies[model]
        latencies.append(seconds)
        p95 = sorted(latencies)[ceil(0.95 * len(latencies)) - 1]
        cause = f"slow {model}"
        if len(latencies) < FEWEST or p95 <= self._budgets[model]:
            self._said.discard(cause)
        elif cause not in self._said:
            self._said.add(cause)
            text = (
                f"{model} has become slow: of its last {len(latencies)} answers 95 % came within {p95:.2f} s, the budget is "
                f"{self._budgets[model]:g} s.\nmistral_nb.usage(since='1h').plot('latency') shows the last hour."
            )
            self._to_say.append((SlowModelWarning, text))

    def _note_outcome(self, error: str | None, most_errors: float) -> None:
        if len(self._outcomes) == OUTCOMES:
            self._failures -= self._outcomes[0] is not None
        self._outcomes.append(error)
        self._failures += error is not None
        count = len(self._outcomes)
        if count < FEWEST or self._failures <= most_errors * count:
            return
        cause = Counter(name for name in self._outcomes if name is not None).most_common(1)[0][0]
        if cause not in self._said:
            self._said.add(cause)
            text = (
                f"{self._failures} of the last {count} requests failed, most of them with {cause}.\n"
                "mistral_nb.usage(since='1h', by='error') counts them; df.mistral.last_run.failed has a remedy for each row."
            )
            self._to_say.append((ErrorRateWarning, text))
