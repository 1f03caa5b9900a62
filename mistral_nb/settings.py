"""Which model answers, where, with which key: argument, then environment, then default.

Keeps to itself: the order of precedence (a key may also be in places of its own: `key_sources`).
Promises: reading settings imports nothing heavy and touches no network; every value knows where it came from.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from mistral_nb.api_key import SecretKey
from mistral_nb.errors import InvalidOption
from mistral_nb.key_sources import found_key
from mistral_nb.moderation_policy import Moderate, ModerationPolicy, checked_moderate, checked_thresholds
from mistral_nb.setting_checks import (
    checked_endpoint,
    checked_flag,
    checked_latency_budgets,
    checked_model_name,
    checked_model_path,
    checked_number,
    checked_share,
)

REGIONS = {  # as in mistralai 3.7.0
    "global": "https://api.mistral.ai",
    "eu": "https://api.eu.mistral.ai",
    "us": "https://api.us.mistral.ai",
}
DEFAULT_HOSTED_MODEL = "mistral-small-latest"
DEFAULT_EMBEDDED_MODEL = "local-small"
DEFAULT_MODELS = {"hosted": DEFAULT_HOSTED_MODEL, "embedded": DEFAULT_EMBEDDED_MODEL}
LOCAL_PREFIX = "local-"

_ENVIRONMENT = {
    "endpoint": "MISTRAL_NB_ENDPOINT",
    "region": "MISTRAL_NB_REGION",
    "model": "MISTRAL_NB_MODEL",
    "model_path": "MISTRAL_NB_MODEL_PATH",
    "home": "MISTRAL_NB_HOME",
    "max_concurrency": "MISTRAL_NB_MAX_CONCURRENCY",
    "requests_per_minute": "MISTRAL_NB_REQUESTS_PER_MINUTE",
    "tokens_per_minute": "MISTRAL_NB_TOKENS_PER_MINUTE",
    "timeout_seconds": "MISTRAL_NB_TIMEOUT_SECONDS",
    "cache_days": "MISTRAL_NB_CACHE_DAYS",
    "cache_megabytes": "MISTRAL_NB_CACHE_MEGABYTES",
    "allow_http": "MISTRAL_NB_ALLOW_HTTP",
    "budget_usd_per_day": "MISTRAL_NB_BUDGET_USD_PER_DAY",
    "budget_usd_per_session": "MISTRAL_NB_BUDGET_USD_PER_SESSION",
    "latency_budget_seconds": "MISTRAL_NB_LATENCY_BUDGET_SECONDS",
    "error_rate_alert": "MISTRAL_NB_ERROR_RATE_ALERT",
    "moderate": "MISTRAL_NB_MODERATE",
    "moderation_thresholds": "MISTRAL_NB_MODERATION_THRESHOLDS",
}
# Examples of what they may be; where the example is whole they are.
_NUMBERS = {
    "max_concurrency": 64,
    "requests_per_minute": 60,
    "tokens_per_minute": 50_000,
    "timeout_seconds": 120.0,
    "cache_days": 30.0,
    "cache_megabytes": 500.0,
    "budget_usd_per_day": 5.0,
    "budget_usd_per_session": 1.0,
}
_AMOUNTS = ("budget_usd_per_day", "budget_usd_per_session")
DEFAULT_MAX_CONCURRENCY = 64
DEFAULT_TIMEOUT_SECONDS = 300.0
DEFAULT_CACHE_MEGABYTES = 2000.0
# What the terms of a question are, for a process that asks it in the place of this one.
_TRAVELLING = (
    "endpoint",
    "max_concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "timeout_seconds",
    "cache_days",
    "cache_megabytes",
    "allow_http",
    "budget_usd_per_day",
    "budget_usd_per_session",
    "moderate",
    "moderation_thresholds",
)
_arguments: dict[str, Any] = {}
_of_elsewhere: ContextVar[Mapping[str, Any]] = ContextVar("mistral_nb_settings", default={})  # noqa: B039  # never written to


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds now.

    Attributes
    ----------
    api_key, endpoint, region, model, model_path, home
        None means: not set; `home` always has a value.
    max_concurrency, requests_per_minute, tokens_per_minute, timeout_seconds, cache_days, cache_megabytes, allow_http,
    budget_usd_per_day, budget_usd_per_session, latency_budget_seconds, error_rate_alert, moderate, moderation_thresholds
        As in `configure`; None of the limits means that they are learnt, None of `cache_days` that answers are kept for ever,
        None of `moderate` that nothing is moderated.
    origins
        Where each value is from: "argument", the environment variable's name, the place of a key, or "default".
    """

    api_key: SecretKey | None = None
    endpoint: str | None = None
    region: str = "global"
    model: str | None = None
    model_path: Path | None = None
    home: Path
    max_concurrency: int = DEFAULT_MAX_CONCURRENCY
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    cache_days: float | None = None
    cache_megabytes: float = DEFAULT_CACHE_MEGABYTES
    allow_http: bool = False
    budget_usd_per_day: Decimal | None = None
    budget_usd_per_session: Decimal | None = None
    latency_budget_seconds: Mapping[str, float] = field(default_factory=dict)
    error_rate_alert: float | None = None
    moderate: Moderate | None = None
    moderation_thresholds: Mapping[str, float] | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def server_url(self) -> str:
        """The hosted API's address: `endpoint`, or the region's."""
        return self.endpoint or REGIONS[self.region]

    @property
    def is_mistrals_own(self) -> bool:
        """Whether the hosted address is one of Mistral's, where a model's name says its price, window and tokenizer."""
        return self.server_url in REGIONS.values()

    @property
    def moderation_policy(self) -> ModerationPolicy | None:
        """What is moderated, and how strictly; None when nothing is."""
        if self.moderate is None:
            return None
        return ModerationPolicy(moderate=self.moderate, thresholds=self.moderation_thresholds or {})

    @property
    def answered_by(self) -> Literal["hosted", "embedded"]:
        """Who answers a request that names no model."""
        if self.model is not None:
            return "embedded" if is_local(self.model) else "hosted"
        if self.model_path is not None:
            return "embedded"
        return "hosted" if self.api_key or self.endpoint else "embedded"

    @property
    def default_model(self) -> str:
        """The model that answers a request that names none."""
        if self.model is not None:
            return self.model
        if self.answered_by == "hosted":
            return DEFAULT_HOSTED_MODEL
        return str(self.model_path) if self.model_path else DEFAULT_EMBEDDED_MODEL

    @property
    def reason(self) -> str:
        """Why this model answers, in a few words."""
        for name in ("model", "model_path", "endpoint", "api_key"):
            origin = self.origins.get(name, "default")
            if origin == "default":
                continue
            if name == "api_key":
                return f"key found in {origin}" if origin != "argument" else "key given to configure()"
            return f"{origin} is set" if origin != "argument" else f"configure({name}=…) was called"
        return "no key found"


def is_local(model: str) -> bool:
    """Whether the name means an embedded model: one of the ``local-…`` names or the path of a GGUF file."""
    return model.startswith(LOCAL_PREFIX) or model.lower().endswith(".gguf")


def configure(
    *,
    api_key: str | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    model: str | None = None,
    model_path: str | os.PathLike[str] | None = None,
    home: str | os.PathLike[str] | None = None,
    max_concurrency: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    timeout_seconds: float | None = None,
    cache_days: float | None = None,
    cache_megabytes: float | None = None,
    allow_http: bool | None = None,
    budget_usd_per_day: float | Decimal | None = None,
    budget_usd_per_session: float | Decimal | None = None,
    latency_budget_seconds: Mapping[str, float] | str | None = None,
    error_rate_alert: float | None = None,
    moderate: Moderate | Literal[""] | None = None,
    moderation_thresholds: Mapping[str, float] | Literal[""] | None = None,
) -> Settings:
    """Return the settings that hold from now on in this kernel.

    Arguments left out (or None) keep what was set before; an empty string (for a number: 0) forgets it, so that the environment or
    the default holds again.

    Parameters
    ----------
    api_key
        Mistral API key. Without it, in this order: environment ``MISTRAL_API_KEY`` (set to nothing it means: no key), that line in
        a ``.env`` of the project, the system's keyring after ``mistral-nb login``.
    endpoint
        Root address, without ``/v1``, of any server that speaks Mistral's API (vLLM, llama.cpp, Ollama, a proxy);
        environment ``MISTRAL_NB_ENDPOINT``. It has to be https, but for this machine's own.
    region
        Where Mistral answers: "global" (default), "eu" or "us", which cost a tenth more; environment ``MISTRAL_NB_REGION``.
    model
        Model that answers where none is named; environment ``MISTRAL_NB_MODEL``. Default: "mistral-small-latest" with a key or an
        endpoint, the embedded "local-small" without.
    model_path
        GGUF file that answers, on this machine, where no model is named; environment ``MISTRAL_NB_MODEL_PATH``.
    home
        Folder of cache, ledger and weights; environment ``MISTRAL_NB_HOME``. Default: the user's data folder.
    max_concurrency
        Most requests under way at once (default 64); environment ``MISTRAL_NB_MAX_CONCURRENCY``.
    requests_per_minute, tokens_per_minute
        Limits to keep to, e.g. to leave something to colleagues with the same key. Default: the account's own, learnt from its
        answers; a higher figure than that changes nothing. Environment ``MISTRAL_NB_REQUESTS_PER_MINUTE``,
        ``MISTRAL_NB_TOKENS_PER_MINUTE``.
    timeout_seconds
        How long one request may take in all (default 300); environment ``MISTRAL_NB_TIMEOUT_SECONDS``. The embedded model has a
        longer time of its own.
    cache_days
        Kept answers that are older are asked anew, and deleted. Default: they are kept for ever. Environment
        ``MISTRAL_NB_CACHE_DAYS``.
    cache_megabytes
        When the file of kept answers grows beyond this (default 2000), the oldest are deleted; environment
        ``MISTRAL_NB_CACHE_MEGABYTES``.
    allow_http
        Whether an endpoint in a network that you trust may be without https; environment ``MISTRAL_NB_ALLOW_HTTP``.
    budget_usd_per_day
        Most that all kernels with this `home` may spend from midnight to midnight, UTC; environment
        ``MISTRAL_NB_BUDGET_USD_PER_DAY``.
    budget_usd_per_session
        Most that this kernel may spend until it ends, all doors together; environment ``MISTRAL_NB_BUDGET_USD_PER_SESSION``. Within
        a budget, an answer without `max_tokens` is bounded to 4,096 tokens, since what has no bound can't be set aside.
    latency_budget_seconds
        For each model the most that the 95th percentile of its last 50 latencies may be, e.g. ``{"small": 2}``; above, one
        `SlowModelWarning`. Environment ``MISTRAL_NB_LATENCY_BUDGET_SECONDS``, e.g. ``small=2,large=8``.
    error_rate_alert
        Share of the last 100 requests, e.g. 0.2; when more of them failed, one `ErrorRateWarning` for each cause. Environment
        ``MISTRAL_NB_ERROR_RATE_ALERT``.
    moderate
        "input", "output" or "both": Mistral's moderation model (free, with a key) looks at what is asked before it is sent, at
        answers before they are shown or kept, whatever the door; what it objects to is `Refused`. Rows are then asked one by one,
        answers shown when they are whole, and there are no batch jobs. Texts that become vectors are looked at as any others
        before they are sent. Environment ``MISTRAL_NB_MODERATE``. Default: nothing is.
    moderation_thresholds
        Score from 0 to 1, by category, from which on a text is refused, e.g. ``{"violence_and_threats": 0.5}``; for other
        categories the moderation model's own claim holds. Environment ``MISTRAL_NB_MODERATION_THRESHOLDS``, e.g.
        ``pii=0.9,sexual=0.2``.

    Raises
    ------
    InvalidOption
        An unknown region, an endpoint that is no http(s) address or is not encrypted, a model path that is no file, or a number
        that is none.

    Examples
    --------
    >>> import mistral_nb
    >>> mistral_nb.configure(region="eu").server_url
    'https://api.eu.mistral.ai'
    """
    key = SecretKey(api_key, found_in="configure(api_key=…)") if api_key else api_key
    del api_key  # so that no traceback of what follows can show it
    changes = {
        "api_key": key,
        "endpoint": endpoint,
        "region": region,
        "model": model,
        "model_path": model_path,
        "home": home,
        "max_concurrency": max_concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "timeout_seconds": timeout_seconds,
        "cache_days": cache_days,
        "cache_megabytes": cache_megabytes,
        "allow_http": allow_http,
        "budget_usd_per_day": budget_usd_per_day,
        "budget_usd_per_session": budget_usd_per_session,
        "latency_budget_seconds": latency_budget_seconds,
        "error_rate_alert": error_rate_alert,
        "moderate": moderate,
        "moderation_thresholds": moderation_thresholds,
    }
    global _arguments  # noqa: PLW0603  # the settings of this kernel
    proposed = {**_arguments, **{name: value for name, value in changes.items() if value is not None}}
    proposed = {name: value for name, value in proposed.items() if value != "" and not _is_zero(value)}
    settings = _resolve(proposed, os.environ)
    _arguments = proposed  # one assignment: another thread sees all of it or nothing
    return settings


def current_settings() -> Settings:
    """Return the settings that hold now."""
    return _resolve({**_arguments, **_of_elsewhere.get()}, os.environ)


def settings_for_elsewhere() -> dict[str, Any]:
    """Return what another process needs to ask the same model on the same terms: neither the key nor this machine's folders."""
    settings = current_settings()
    set_here = {name: getattr(settings, name) for name in _TRAVELLING if name in settings.origins}
    return {**set_here, "region": settings.region, "model": settings.default_model}


@contextmanager
def as_set_elsewhere(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Have the settings of another process hold in this block, over this process's own."""
    token = _of_elsewhere.set(arguments)
    try:
        yield
    finally:
        _of_elsewhere.reset(token)


def settings_with(key: SecretKey) -> Settings:
    """Return the settings as they would be with this key."""
    return _resolve({**_arguments, "api_key": key}, os.environ)


def current_home() -> Path:
    """Return the folder of cache, ledger and weights, also where the other settings can't be read."""
    return _home(_arguments.get("home") or os.environ.get(_ENVIRONMENT["home"], "").strip() or None)


def _resolve(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Merge arguments over environment over defaults, and check each value."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, variable in _ENVIRONMENT.items():
        from_environment = environment.get(variable, "").strip()
        if name in arguments:
            values[name], origins[name] = arguments[name], "argument"
        elif from_environment:
            values[name], origins[name] = from_environment, variable
    if values.get("region", "global") not in REGIONS:
        raise InvalidOption(
            f"No region {values['region']!r}.", 'There are: mistral_nb.configure(region="global"), "eu" and "us".'
        )
    if "model" in values:
        values["model"] = checked_model_name(values["model"])
    if "allow_http" in values:
        values["allow_http"] = checked_flag("allow_http", values["allow_http"])
    if "moderate" in values:
        values["moderate"] = checked_moderate(values["moderate"])
    if "moderation_thresholds" in values:
        values["moderation_thresholds"] = checked_thresholds(values["moderation_thresholds"])
    if "endpoint" in values:
        values["endpoint"] = checked_endpoint(values["endpoint"], allows_http=values.get("allow_http", False))
    if "model_path" in values:
        values["model_path"] = checked_model_path(values["model_path"])
    for name in values.keys() & _NUMBERS.keys():
        example, origin = _NUMBERS[name], origins[name]
        line = f"mistral_nb.configure({name}={example:g})" if origin == "argument" else f"{origin}={example:g}"
        given = str(values[name]) if isinstance(values[name], Decimal) else values[name]
        values[name] = checked_number(name, given, example=example, line=line)
        if name in _AMOUNTS:
            values[name] = Decimal(str(given))
    if "latency_budget_seconds" in values:
        values["latency_budget_seconds"] = checked_latency_budgets(values["latency_budget_seconds"])
    if "error_rate_alert" in values:
        values["error_rate_alert"] = checked_share("error_rate_alert", values["error_rate_alert"])
    values["home"] = _home(values.get("home"))
    if "api_key" in arguments:
        values["api_key"], origins["api_key"] = arguments["api_key"], "argument"
    elif (key := found_key(environment, home=values["home"])) is not None:
        values["api_key"], origins["api_key"] = key, key.found_in
    return Settings(**values, origins=origins)


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _home(given: str | os.PathLike[str] | None) -> Path:
    if given is not None:
        return Path(given).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("mistral_nb", appauthor=False)
