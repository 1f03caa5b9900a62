"""Which confidence a model can give: from its log-probabilities, from the scores of labels, or from votes.

Promises: nothing is sent for a dry run; what is found out of a model is found out once per kernel.
"""

from typing import TYPE_CHECKING, Any

from mistral_nb.tasks.confidence import DEFAULT_VOTES, ConfidenceSource, checked_votes

if TYPE_CHECKING:
    from mistral_nb.engine.session import Session


def scores_labels(model: str | None) -> bool:
    """Whether the model of that name scores labels instead of writing one: each time the same, so that votes say nothing more."""
    from mistral_nb.engine.current import current_session
    from mistral_nb.settings import is_local

    return is_local(current_session().model_name(model))


def confidence_source(*, wanted: bool, votes: Any, model: str | None, is_dry_run: bool) -> ConfidenceSource | None:
    """Return where the confidence comes from; None where neither confidence nor votes are asked for.

    Parameters
    ----------
    wanted, votes, model, is_dry_run
        As the verb was given them. Votes that are asked for are what counts, but where the model scores labels.
    """
    from mistral_nb.engine.current import current_session

    number = checked_votes(votes)
    if number is None and not wanted:
        return None
    if scores_labels(model):
        return ConfidenceSource()
    if number is not None:
        return ConfidenceSource(number)
    session = current_session()
    name = session.model_name(model)
    if _is_open(session, name, is_dry_run=is_dry_run):
        return ConfidenceSource(DEFAULT_VOTES)  # the dearer of the two
    return ConfidenceSource() if _gives_log_probabilities(session, name) else ConfidenceSource(DEFAULT_VOTES)


def deciding_source(*, votes: Any, model: str, is_dry_run: bool) -> ConfidenceSource:
    """Return where a confidence comes from that decides what is asked next; never from votes that nobody asked for.

    Parameters
    ----------
    votes, model, is_dry_run
        As in `confidence_source`. Where nothing may be sent, a model that was not asked yet is taken to give log-probabilities.

    Raises
    ------
    NotSupported
        The model gives no confidence.
    """
    from mistral_nb.engine.current import current_session
    from mistral_nb.errors import NotSupported

    number = checked_votes(votes)
    if scores_labels(model):
        return ConfidenceSource()
    if number is not None:
        return ConfidenceSource(number)
    session = current_session()
    if _is_open(session, model, is_dry_run=is_dry_run) or _gives_log_probabilities(session, model):
        return ConfidenceSource()
    raise NotSupported(
        f"{model} gives no log-probabilities, so that it can't be told what it is sure of.",
        f"Give votes={DEFAULT_VOTES}: each text is asked so often, and the share of answers that agree is the confidence.",
    )


def _is_open(session: "Session", model: str, *, is_dry_run: bool) -> bool:
    """Whether it is not known if the model's answers have log-probabilities, and can't be asked now."""
    from mistral_nb.notebook.parts import current_part

    part = current_part()
    sends_nothing = is_dry_run or (part is not None and not part.may_ask)
    return sends_nothing and model not in session.account.gives_log_probabilities


def _gives_log_probabilities(session: "Session", model: str) -> bool:
    """Return whether a model's answers have log-probabilities; the first time by asking for some.

    Mistral's SDK (3.7.0) has the fields for them, the published specification (2026-08) has not, and refuses unknown ones.
    """
    from mistral_nb.errors import RequestRejected

    known = session.account.gives_log_probabilities
    if model not in known:
        try:
            answer = session.complete("Answer yes.", model=model, max_tokens=4, logprobs=True, top_logprobs=2)
            known[model] = bool(answer.token_log_probabilities)
        except RequestRejected:
            known[model] = False
    return known[model]
