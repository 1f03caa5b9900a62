"""Which confidence a model can give: from its log-probabilities, from the scores of labels, or from votes.

Keeps to itself: when a model has to be asked whether it gives log-probabilities.
Promises: that is asked where something is left to ask for which it matters, and nobody knows; never for a dry run. It is paid from
the run's budget, and on its bill.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mistral_nb.errors import InvalidOption
from mistral_nb.tasks.confidence import DEFAULT_VOTES, VOTING_TEMPERATURE, ConfidenceSource, checked_votes

if TYPE_CHECKING:
    from mistral_nb.engine.bill import Opening
    from mistral_nb.engine.plan import RowsPlan
    from mistral_nb.engine.rows import RowTask
    from mistral_nb.engine.session import Session
    from mistral_nb.tasks.classify import Classify

_Task = TypeVar("_Task", bound="RowTask")


def scores_labels(model: str | None) -> bool:
    """Whether the model of that name scores labels instead of writing one: each time the same, so that votes say nothing more."""
    from mistral_nb.engine.current import current_session
    from mistral_nb.settings import is_local

    return is_local(current_session().model_name(model))


def number_of_votes(votes: Any, *, model: str | None, temperature: Any) -> int | None:
    """Return how often each text is asked; None for once, also where the model's scores stand in for votes.

    Raises
    ------
    InvalidOption
        `votes` can't be, or `temperature` is 0, at which all of them would be the same one.
    """
    number = checked_votes(votes)
    if number is None or scores_labels(model):
        return None
    refuse_equal_votes(number, temperature)
    return number


def refuse_equal_votes(votes: int, temperature: Any) -> None:
    """Raise InvalidOption for votes that would all be the same one."""
    if temperature == 0:
        raise InvalidOption(
            f"temperature is {temperature!r}, at which a model answers the same each time, and {votes} votes would be one.",
            f"Leave temperature out (votes are asked at {VOTING_TEMPERATURE}), or do without votes and the confidence they give.",
        )


def with_confidence(
    task: "Classify", *, wanted: bool, votes: Any, model: str | None, temperature: Any
) -> "tuple[Classify, Classify | None]":
    """Return the task with the source of its confidence, and what stands in for it where a model gives no log-probabilities.

    Parameters
    ----------
    wanted, votes, model, temperature
        As the verb was given them. Votes that are asked for are what counts, but where the model scores labels.
    """
    number = number_of_votes(votes, model=model, temperature=temperature)
    if not wanted and votes is None:
        return task, None
    first = replace(task, confidence=ConfidenceSource(number))
    if number is not None or scores_labels(model):
        return first, None
    return first, replace(task, confidence=ConfidenceSource(DEFAULT_VOTES))


def plan_of_either(
    task: _Task,
    otherwise: _Task | None,
    *,
    plan_for: "Callable[[_Task], RowsPlan]",
    session: "Session",
    model: str,
    opening: "Opening",
    may_ask: bool,
) -> "RowsPlan":
    """Return the plan of `task`, or of what is asked otherwise where the model gives no log-probabilities.

    Where that is not known and can't be asked, the answers that are kept decide or, where they don't, it is the dearer of the two:
    `otherwise`, which every model can answer.
    """
    if otherwise is None:
        return plan_for(task)
    known = session.log_probabilities.known(model)
    if known is not None:
        return plan_for(task if known else otherwise)
    with_them, without = plan_for(task), plan_for(otherwise)
    if not with_them.unanswered:
        return with_them
    if not without.unanswered or not may_ask:
        return without
    return with_them if session.log_probabilities.ask(model, opening) else without


def gives_log_probabilities(session: "Session", model: str, opening: "Opening", *, may_ask: bool) -> bool | None:
    """Return whether a model gives log-probabilities; None where that is not known, and can't be asked."""
    known = session.log_probabilities.known(model)
    return session.log_probabilities.ask(model, opening) if known is None and may_ask else known
