"""The session that all doors of this kernel share.

Keeps to itself: when it is replaced (other settings, a fork) and closed (the end of the process).
Promises: other settings hold from the next call on; what is known of an account's limits outlives a change of other settings.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mistral_nb import catalogue
from mistral_nb.engine.account import Account
from mistral_nb.engine.background_loop import background_loop
from mistral_nb.engine.cache import CacheInfo
from mistral_nb.engine.session import Session
from mistral_nb.errors import InvalidOption
from mistral_nb.setting_checks import checked_model_name
from mistral_nb.settings import Settings, current_settings

if TYPE_CHECKING:
    import pandas as pd

_SECONDS_PER_DAY = 86_400.0
_current: Session | None = None
_account_of: Callable[[Settings], Account] | None = None
_current_pid = 0
_current_lock = threading.RLock()
_inherited: list[Session] = []


def current_session() -> Session:
    """Return the session that all doors of this kernel share.

    It follows the settings: after `mistral_nb.configure` (or a change of the environment) the next call gives a new one.

    Examples
    --------
    >>> import mistral_nb
    >>> answer = mistral_nb.session().complete("Say hello.", max_tokens=5)
    >>> mistral_nb.session() is mistral_nb.session()
    True
    """
    global _current, _current_pid  # noqa: PLW0603  # one session per kernel is the point
    settings = current_settings()
    replaced: Session | None = None
    with _current_lock:
        if _current is not None and _current_pid != os.getpid():
            _inherited.append(_current)  # the parent's connections are not ours to close or to collect after a fork
            _current = None
        if _current is not None and _current.settings != settings:
            replaced, _current = _current, None
            replaced.retire()
        if _current is None:
            is_same = replaced is not None and _same_account(replaced.settings, settings)
            account = replaced.account if replaced is not None and is_same else _new_account(settings)
            _current, _current_pid = Session(settings, account=account, is_shared=True), os.getpid()
            if replaced is not None:
                _current.last_run, _current.last_job = replaced.last_run, replaced.last_job
                _current.books.spent = replaced.books.spent
        return _current


def share_accounts(make: Callable[[Settings], Account]) -> None:
    """Have new sessions of this process use accounts that other processes use too; `make` gives that of some settings."""
    global _account_of  # noqa: PLW0603  # as the session, which uses it
    _account_of = make
    close_current_session()


def _new_account(settings: Settings) -> Account:
    return Account() if _account_of is None else _account_of(settings)


def _same_account(one: Settings, other: Settings) -> bool:
    return (one.server_url, one.api_key, one.home) == (other.server_url, other.api_key, other.home)


def cache_info() -> CacheInfo:
    """Return how many answers are kept, in how large a file, from when to when.

    Examples
    --------
    >>> import mistral_nb
    >>> mistral_nb.cache_info().answers >= 0
    True
    """
    return current_session().cache.info()


def clear_cache(*, older_than_days: float | None = None, verb: str | None = None, model: str | None = None) -> int:
    """Delete kept answers and return how many; what is asked again is paid for again.

    Parameters
    ----------
    older_than_days, verb, model
        Only answers that meet all that is given, e.g. ``verb="classify"``, ``model="mistral-small-latest"``; with none of them,
        every answer.

    Raises
    ------
    InvalidOption
        `older_than_days` is no number from 0 up.

    Examples
    --------
    >>> import mistral_nb
    >>> mistral_nb.clear_cache(older_than_days=365)
    0
    """
    if older_than_days is not None and not (isinstance(older_than_days, int | float) and older_than_days >= 0):
        raise InvalidOption(f"older_than_days is {older_than_days!r}.", "Give days, e.g. older_than_days=30.")
    name = None if model is None else catalogue.full_name(checked_model_name(model))
    session = current_session()
    session.batches.forget_unread(older_than_days=older_than_days, verb=verb, model=name)
    return session.cache.clear(older_than_days=older_than_days, verb=verb, model=name)


def jobs(*, refresh: bool = True) -> "pd.DataFrame":
    """Return the batch jobs that were made with this file of kept answers, in whichever kernel, the oldest first.

    The answers of jobs that have ended are fetched and kept, so that they outlive the day for which the API keeps them. A verb with
    the same rows and options takes them from there.

    Parameters
    ----------
    refresh
        Ask the API how far the jobs are; False returns what was last seen, without a request.

    Returns
    -------
    DataFrame
        Index: the API's id of the job (missing while it is not known whether it was made). Columns verb, model, status (str); rows,
        requests, succeeded_requests, failed_requests (int64); cost_usd (Float64, missing until the answers are fetched, and
        where no price is known); created, ended (datetime, UTC); is_fetched (bool); fetch_before (datetime, UTC: the earliest time
        at which the API may forget the answers; missing once they are fetched); problem (str: also that the API does not know the
        job with the key that is set now).

    Raises
    ------
    MistralNotebookError
        The API could not be asked; ``jobs(refresh=False)`` does not ask it.

    Examples
    --------
    >>> import mistral_nb
    >>> mistral_nb.jobs().columns[:3].tolist()
    ['verb', 'model', 'status']
    """
    from mistral_nb.engine.batch_frame import jobs_frame

    return looked_at_jobs()[0] if refresh else jobs_frame(current_session().batches.all())


def looked_at_jobs() -> "tuple[pd.DataFrame, int]":
    """Return all jobs, after the API was asked, and of how many of them there is still something to come with these settings."""
    from mistral_nb.engine.batch_frame import jobs_frame

    batches = current_session().batches
    under_way = batches.look_at_all()
    return jobs_frame(batches.all()), under_way


def clear_usage(*, older_than_days: float) -> int:
    """Delete what the ledger has of older requests, and return how many those were; kept answers stay.

    Parameters
    ----------
    older_than_days
        At least 1: what was spent today is needed for the day's budget.

    Raises
    ------
    InvalidOption
        `older_than_days` is no number from 1 up.

    Examples
    --------
    >>> import mistral_nb
    >>> mistral_nb.clear_usage(older_than_days=365)
    0
    """
    is_number = isinstance(older_than_days, int | float) and not isinstance(older_than_days, bool)
    if not is_number or not older_than_days >= 1:
        raise InvalidOption(f"older_than_days is {older_than_days!r}.", "Give days from 1 up, e.g. older_than_days=90.")
    return current_session().ledger.clear(before_unix_seconds=time.time() - older_than_days * _SECONDS_PER_DAY)


def close_current_session() -> None:
    """Close the shared session, if there is one; the next call of `current_session` opens another."""
    global _current  # noqa: PLW0603  # see current_session
    with _current_lock:
        if _current is not None and _current_pid == os.getpid():
            _current.close()
        _current = None


@atexit.register
def _close_at_exit() -> None:
    background_loop.close_iterations()  # first: what they cost is still written down
    close_current_session()
    background_loop.close()
