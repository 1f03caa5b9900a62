"""The key, and what the API says to it: reachable, clock, models, limits.

Keeps to itself: one request for the list of models, which costs nothing, tells all of it.
Promises: without a key or a network the lines are there all the same, and say that they could not be checked.
"""

import datetime
from dataclasses import dataclass

from mistral_nb.api_key import foreign_sign, unsendable_part
from mistral_nb.backends.hosted import Greeting, HostedBackend
from mistral_nb.catalogue import full_name, nearest_names
from mistral_nb.doctor.findings import Finding
from mistral_nb.engine.background_loop import background_loop
from mistral_nb.engine.current import current_session
from mistral_nb.errors import API_KEYS_PAGE, KeyProblem, MistralNotebookError
from mistral_nb.settings import Settings

_TIMEOUT_SECONDS = 15.0
_TOLERATED_SKEW_SECONDS = 60.0
_NO_KEY_FIX = f"Get one at {API_KEYS_PAGE}, then: mistral-nb login. Without one the embedded model answers."


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeted:
    """What came of asking the API for its models; `middle` is the local time halfway, in UTC."""

    greeting: Greeting | None = None
    error: MistralNotebookError | None = None
    middle: datetime.datetime | None = None


def greet(settings: Settings) -> Greeted | None:
    """Return what the API says; None where there is neither a key nor an endpoint of the user's own."""
    if settings.api_key is None and settings.endpoint is None:
        return None
    backend = HostedBackend(endpoint=settings.server_url, api_key=settings.api_key, timeout_seconds=_TIMEOUT_SECONDS)
    began = _now()
    try:
        greeting = background_loop.run(backend.greeting())
    except MistralNotebookError as error:
        return Greeted(error=error)
    finally:
        background_loop.run(backend.aclose())
    return Greeted(greeting=greeting, middle=began + (_now() - began) / 2)


def key(settings: Settings, greeted: Greeted | None) -> Finding:
    """Return whether there is a key, where it is from, and whether it is accepted."""
    found_key = settings.api_key
    if found_key is None and settings.endpoint is not None:
        return Finding(name="key", status="ok", found=f"none, for {settings.endpoint}")
    if found_key is None:
        return Finding(name="key", status="warn", found="none found", fix=_NO_KEY_FIX)
    found = f"{found_key.tail} from {found_key.found_in}"
    if part := unsendable_part(found_key):
        return Finding(
            name="key", status="fail", found=f"{found} holds {part}", fix=f"Copy it again from {API_KEYS_PAGE}."
        )
    if greeted is not None and isinstance(greeted.error, KeyProblem):
        return Finding(name="key", status="fail", found=f"{found}: {greeted.error.problem}", fix=greeted.error.remedy)
    if sign := foreign_sign(found_key):
        return Finding(name="key", status="warn", found=f"{found}. {sign}", fix=f"Copy one from {API_KEYS_PAGE}.")
    if greeted is None or greeted.greeting is None:
        return Finding(name="key", status="warn", found=f"{found}; whether it is accepted could not be checked")
    return Finding(name="key", status="ok", found=f"{found}, accepted")


def endpoint(settings: Settings, greeted: Greeted | None) -> Finding:
    """Return whether the endpoint answers."""
    where = f"{settings.server_url} ({'your own endpoint' if settings.endpoint else f'region {settings.region}'})"
    if greeted is None:
        return Finding(name="endpoint", status="warn", found=f"{where}: not asked, since there is no key")
    if greeted.error is None or isinstance(greeted.error, KeyProblem):
        return Finding(name="endpoint", status="ok", found=f"{where} answers")
    return Finding(name="endpoint", status="fail", found=f"{where}: {greeted.error.problem}", fix=greeted.error.remedy)


def clock(greeted: Greeted | None) -> Finding:
    """Return how far this machine's clock is from the server's."""
    server_time = greeted.greeting.server_time if greeted is not None and greeted.greeting is not None else None
    if greeted is None or greeted.middle is None or server_time is None:
        return Finding(name="clock", status="warn", found="could not be checked: no answer that tells the time")
    skew_seconds = (greeted.middle - server_time).total_seconds()
    if abs(skew_seconds) <= _TOLERATED_SKEW_SECONDS:
        return Finding(name="clock", status="ok", found=f"within {_TOLERATED_SKEW_SECONDS:.0f} s of the server's")
    direction = "ahead of" if skew_seconds > 0 else "behind"
    return Finding(
        name="clock",
        status="warn",
        found=f"{abs(skew_seconds):,.0f} s {direction} the server's: encrypted connections and the days of bills may be wrong",
        fix="Set it by the network, e.g. sudo timedatectl set-ntp true.",
    )


def allowed_models(settings: Settings, greeted: Greeted | None) -> Finding:
    """Return how many models may be used, and whether the default one is among them."""
    if greeted is None or greeted.greeting is None:
        return Finding(name="models", status="warn", found="could not be checked: the API's list was not got")
    names = {name for card in greeted.greeting.models for name in (card.id, *card.aliases)}
    listed = len({frozenset({card.id, *card.aliases}) for card in greeted.greeting.models})
    default = full_name(settings.default_model)
    if settings.answered_by == "embedded" or default in names:
        said = f", {default} among them" if settings.answered_by == "hosted" else ""
        return Finding(name="models", status="ok", found=f"{listed} that this key may use{said}")
    near = nearest_names(default, sorted(names))
    return Finding(
        name="models",
        status="fail",
        found=f"{listed} that this key may use, and {default}, which has to answer, is none of them",
        fix=f'mistral_nb.configure(model="{near[0] if near else min(names, default="…")}")',
    )


def limits(settings: Settings) -> Finding:
    """Return the limits of the default model, as far as this kernel has seen them."""
    if settings.answered_by == "embedded":
        return Finding(name="limits", status="ok", found="none on this machine")
    try:
        requests, tokens = current_session().limits(None)
    except MistralNotebookError as error:
        return Finding(name="limits", status="warn", found=f"could not be checked: {error.problem}")
    parts = [f"{number:,} {unit} a minute" for number, unit in ((requests, "requests"), (tokens, "tokens")) if number]
    model = full_name(settings.default_model)
    if not parts:
        return Finding(name="limits", status="ok", found=f"of {model} none seen yet: the first answer tells them")
    return Finding(name="limits", status="ok", found=f"{' and '.join(parts)} for {model}")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
