"""A verb on a part of a column, run by code that puts the parts together, and not by a person.

Keeps to itself: how that code is found from within the verb.
Promises: within `on_part` nothing is printed, drawn or warned of, and ``last_run`` stays that of the user's own call; within
`without_asking` a verb on no rows, which asks no model, tells the form of its result.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mistral_nb.engine.rows import RowsResult


@dataclass(frozen=True, slots=True)
class Part:
    """Who runs the verb.

    Attributes
    ----------
    told
        Called with a result that has failures, in the place of a warning.
    """

    told: "Callable[[RowsResult], None]"


_current: ContextVar[Part | None] = ContextVar("mistral_nb_part", default=None)


def current_part() -> Part | None:
    """Return the part that the verb runs on; None where a person called it."""
    return _current.get()


@contextmanager
def on_part(told: "Callable[[RowsResult], None]") -> Iterator[None]:
    """Run verbs in this block for a part of a column, and call `told` with results that have failures."""
    token = _current.set(Part(told))
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def without_asking() -> Iterator[None]:
    """Run verbs in this block on columns without rows, for the form of what they give."""
    token = _current.set(Part(lambda result: None))
    try:
        yield
    finally:
        _current.reset(token)
