"""On what occasion a request is made: through which door, for which verb, from which notebook, under which tag.

Keeps to itself: how the occasion gets from a door, through plain calls, to where requests are made.
Promises: whoever sends a request reads its occasion in the thread of the call, before anything is handed to another thread; the
door the user came through holds, however many of our own calls lie between.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mistral_nb.engine.budget import Budget

if TYPE_CHECKING:
    from mistral_nb.engine.request_record import RequestRecord

Door = Literal["magic", "accessor", "panel", "tools", "session", "batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Who asks.

    Attributes
    ----------
    door
        What the user asked through; "session" for a method of the session that the user called.
    verb
        What for: a verb of the accessor ("classify"), or "complete", "stream", "embed" and so on.
    notebook
        The notebook's file, "~" standing for the home folder; None outside of notebooks and where the front end does not tell.
    tag
        What the user groups requests by; None without a tag.
    tabs
        On whose bills the request goes, beside the ledger.
    trace
        The OpenTelemetry context to which its span belongs; None where nobody listens.
    """

    door: Door | None = None
    verb: str | None = None
    notebook: str | None = None
    tag: str | None = None
    tabs: "tuple[Tab, ...]" = ()
    trace: Any = None


class Tab(Protocol):
    """A bill of a part of the requests, with a budget of its own."""

    budget: Budget

    def note(self, record: "RequestRecord") -> None:
        """Count a request that has ended."""


_current: ContextVar[Occasion] = ContextVar("mistral_nb_occasion", default=Occasion())  # noqa: B039  # it is frozen


@contextmanager
def asked_through(door: Door, *, verb: str) -> Iterator[None]:
    """Say that what is asked in this block is asked through `door` (unless another door led here), for this verb."""
    before = _current.get()
    token = _current.set(replace(before, door=before.door or door, verb=verb))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def tagged(tag: str, tab: Tab) -> Iterator[None]:
    """Put what is asked in this block under this tag, and on this bill."""
    before = _current.get()
    token = _current.set(replace(before, tag=tag, tabs=(*before.tabs, tab)))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def billed(tab: Tab) -> Iterator[None]:
    """Put what is asked in this block on this bill, too."""
    before = _current.get()
    token = _current.set(replace(before, tabs=(*before.tabs, tab)))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def for_caller(*, tag: str | None, tabs: "tuple[Tab, ...]") -> Iterator[None]:
    """Ask in this block for a caller elsewhere: through the accessor, under its tag, on these bills alone."""
    token = _current.set(Occasion(door="accessor", tag=tag, tabs=tabs))
    try:
        yield
    finally:
        _current.reset(token)


def current_occasion(verb: str) -> Occasion:
    """Return the occasion of a request that is made now; `verb` holds where no door names one."""
    now = _current.get()
    return replace(now, door=now.door or "session", verb=now.verb or verb, notebook=_notebook())


def _notebook() -> str | None:
    """Return the notebook of this kernel: Jupyter's server says it in the environment, VS Code in the notebook's variables."""
    file = os.environ.get("JPY_SESSION_NAME")
    if not file and "IPython" in sys.modules:
        shell = sys.modules["IPython"].get_ipython()
        file = None if shell is None else shell.user_ns.get("__vsc_ipynb_file__")
    if not file:
        return None
    try:
        return f"~/{Path(file).relative_to(Path.home()).as_posix()}"
    except (ValueError, RuntimeError):
        return str(file)
