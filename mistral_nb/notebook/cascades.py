"""``classify(escalate=…)``: two models for one column, the second for what the first is not sure of.

Keeps to itself: which options go with it.
Promises: what can be known to be wrong with either model is said before anything is paid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.errors import InvalidOption, NotSupported
from mistral_nb.notebook.row_verbs import VerbOptions, checked, executed, run_options

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.tasks.classify import Classify

DEFAULT_BELOW = 0.8


@dataclass(frozen=True, slots=True)
class Escalation:
    """The model that is asked about what the first is not sure of, and the confidence below which that is so."""

    model: str
    below: float

    def is_unsure(self, value: Any) -> bool:
        """Whether a label is below; one whose confidence is not known is."""
        confidence = value.get("confidence") if isinstance(value, Mapping) else None
        return confidence is None or confidence < self.below


def checked_escalation(escalate: Any, below: Any, *, multi_label: Any) -> Escalation | None:
    """Return to whom texts go on; None where they don't, InvalidOption for what can't be."""
    if escalate is None:
        if below is not None:
            raise InvalidOption(
                f"below={below!r} says which texts go on, and there is no model for them.",
                'Name it, e.g. classify(labels, model="ministral", escalate="large", below=0.8).',
            )
        return None
    if not isinstance(escalate, str) or not escalate.strip():
        raise InvalidOption(f"escalate is {escalate!r}.", 'Give the name of a model, e.g. escalate="large".')
    limit = DEFAULT_BELOW if below is None else below
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit <= 1:
        raise InvalidOption(f"below is {below!r}.", "Give a confidence above 0 and up to 1, e.g. below=0.8.")
    if multi_label:
        raise InvalidOption(
            "With multi_label each label has a confidence of its own, so that none says which texts go on.",
            "Leave escalate or multi_label out.",
        )
    return Escalation(escalate, float(limit))


def cascaded(
    column: "pd.Series[Any]",
    task: "Classify",
    escalation: Escalation,
    *,
    votes: int | None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return what `answered` does, from two models.

    Parameters
    ----------
    task
        What is asked, without a source of confidence.
    votes
        How often the first model is asked about each text; None takes its log-probabilities or label scores.
    """
    from mistral_nb.engine.bill import Opening
    from mistral_nb.engine.cascade_run import Cascade, CascadeRun
    from mistral_nb.engine.columns import distinct_texts
    from mistral_nb.engine.current import current_session
    from mistral_nb.engine.masked_column import masked_column
    from mistral_nb.engine.occasion import asked_through
    from mistral_nb.engine.telemetry import occasion_now
    from mistral_nb.notebook.confidence import (
        gives_log_probabilities,
        number_of_votes,
        refuse_equal_votes,
        scores_labels,
        with_confidence,
    )
    from mistral_nb.notebook.embedded_notices import warn_of_guesses
    from mistral_nb.notebook.job_notices import warn_of_jobs
    from mistral_nb.tasks.confidence import DEFAULT_VOTES, ConfidenceSource

    chosen = checked(options)
    if chosen["mode"] != "live":
        raise NotSupported(
            "Which texts go on to the second model is known when the first has answered, and a batch job can't wait for that.",
            "Leave mode or escalate out.",
        )
    session, is_dry_run = current_session(), chosen["dry_run"]
    first, second = session.model_name(chosen["model"]), session.model_name(escalation.model)
    if first == second:
        raise InvalidOption(
            f"escalate is {escalation.model!r}, and {second} answers first already.",
            'Name a better model, or a smaller one that answers first, e.g. model="ministral", escalate="large".',
        )
    masked = masked_column(column, chosen["mask"])
    texts = distinct_texts(column if masked is None else masked.column)
    temperature, may_ask = chosen["temperature"], not is_dry_run
    number = number_of_votes(votes, model=first, temperature=temperature)
    asked = replace(task, confidence=ConfidenceSource(number))
    shown, otherwise = with_confidence(
        task, wanted=task.shows_confidence, votes=None, model=second, temperature=temperature
    )
    asks = run_options(chosen)
    opening = Opening(asks.budget_usd)

    def run_with(second_task: "Classify") -> CascadeRun:
        cascade = Cascade(
            first=asked,
            second=second_task,
            first_model=first,
            second_model=second,
            is_unsure=escalation.is_unsure,
        )
        occasion = occasion_now(task.verb)
        return CascadeRun(cascade, texts, options=asks, occasion=occasion, opening=opening, session=session)

    with asked_through("accessor", verb=task.verb):
        run = run_with(shown)
        goes_by_log_probabilities = number is None and not scores_labels(first)
        if (
            goes_by_log_probabilities
            and run.first_plan.unanswered
            and gives_log_probabilities(session, first, opening, may_ask=may_ask) is False
        ):
            raise NotSupported(
                f"{first} gives no log-probabilities, so that it can't be told what it is sure of.",
                f"Give votes={DEFAULT_VOTES}: each text is asked so often, and the share of answers that agree is the confidence.",
            )
        if (
            otherwise is not None
            and run.may_ask_second
            and not gives_log_probabilities(session, second, opening, may_ask=may_ask)
        ):
            if not is_dry_run:
                refuse_equal_votes(DEFAULT_VOTES, temperature)
            run = run_with(otherwise)
    if is_dry_run:
        return replace(run.receipt(), masked=None if masked is None else masked.report)
    warn_of_jobs(session, run.first_plan)
    for model in (first, second):
        warn_of_guesses(task, model=model, rows_per_request=chosen["rows_per_request"])

    def again(rows: "pd.Series[Any]", same: VerbOptions) -> None:
        cascaded(rows, task, escalation, votes=votes, **same)

    return executed(column, run, asked.dtype, masked=masked, again=again, give=None, chosen=chosen, session=session)
