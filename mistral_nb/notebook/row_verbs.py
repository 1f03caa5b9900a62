"""What every verb on a column does alike: check its options, run, show progress, warn, return.

Keeps to itself: the options that all verbs share, and their checks.
Promises: one path for the foreground, the background and the receipt.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from mistral_nb.notebook.batch_verbs import Mode, answered_by_jobs, checked_mode
from mistral_nb.notebook.parts import current_part
from mistral_nb.notebook.runs_made import note_run, runs_made

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from mistral_nb.completion import JsonObject
    from mistral_nb.engine.column_run import ColumnRun, Reshape
    from mistral_nb.engine.masked_column import MaskedColumn, MaskText
    from mistral_nb.engine.rows import RowTask, RunOptions
    from mistral_nb.engine.rows_run import Run
    from mistral_nb.engine.session import Session
    from mistral_nb.masking.masked_text import MaskedText

    Again = Callable[[pd.Series[Any], "VerbOptions"], None]
    Give = Callable[[ColumnRun], Any]


# Of Mistral's API (specification of 2026-08).
HIGHEST_TEMPERATURE = 1.5


class SearchOptions(TypedDict, total=False):
    """The options of every verb, but those of `RowOptions` and `VerbOptions`; described in the latter."""

    model: str | None
    dry_run: bool
    budget_usd: float | None
    errors: Literal["coerce", "raise"]
    background: bool
    rows_per_request: int | Literal["auto"]
    cache: bool
    refresh: bool
    mask: bool | Iterable[str]


class AnswerOptions(SearchOptions, total=False):
    """The options of verbs whose answer stands for all rows, of which there are no details."""

    temperature: float | None


class DetailOptions(SearchOptions, total=False):
    """The options of verbs that make something of each row's answers, which batch jobs can't."""

    details: bool


class RowOptions(DetailOptions, total=False):
    """The options of verbs that give something for each row, but `temperature`: for models that write nothing."""

    mode: Mode
    preview: float | None


class VerbOptions(RowOptions, total=False):
    """The options of every verb.

    Attributes
    ----------
    model
        Name, alias or short name; default: the settings' model.
    temperature
        How freely the model chooses its words, from 0 (always the likeliest) to 1.5; answers at another temperature are other
        answers, and kept as such. None: the verb's own, which is 0. A choice that the embedded model makes by its probabilities
        stays the same.
    dry_run
        Return a `Receipt` (rows, requests, tokens, dollars, minutes) and send nothing.
    budget_usd
        Most that the run may cost. When the next request might cost more than is left, what is done is returned and the rest is
        missing with `BudgetReached`.
    details
        Return a frame: value, error, from_cache, model, response_id, prompt_tokens, completion_tokens, cost_usd, latency_seconds,
        finish_reason.
    errors
        "coerce": failed rows are missing, with one warning. "raise": `RowsFailed`, with `.result` and `.failed`, when all is done.
    background
        Return a `BackgroundRun` at once: `.progress`, `.result()`, `.cancel()`.
    rows_per_request
        "auto", or how many rows share a request.
    cache
        False neither takes kept answers nor keeps new ones.
    refresh
        Ask again also what is kept; the new answer takes its place.
    mask
        True replaces names, addresses, e-mails, phone and account numbers by placeholders such as [EMAIL_1] before anything is
        sent, and puts them back into the answers; a list of names replaces these too. What was masked is counted and said. It is
        found by pattern: see `mask` for what that can't see. Labels, examples, instructions and templates are sent as you write
        them.
    mode
        "live", or "batch": send what is not yet answered as jobs at half price, which take up to a day, and return a `BatchJob`:
        `.status`, `.wait()`, `.result()`, `.cancel()`. The same call, also in another kernel, finds jobs that were sent before.
        "preview+batch": ask the first rows now, send the rest as jobs, and return what is there; the same call fills the rest
        when it has come.
    preview
        With "preview+batch": the share of rows to ask now (0.05), or how many (50).
    safe_prompt
        Have Mistral put its own safety instructions before the prompt; hosted models only.
    guardrails
        Mistral's guardrails for each request, as the API takes them, e.g.
        ``[{"moderation_llm_v2": {"custom_category_thresholds": {"sexual": 0.1}, "action": "block"}}]``; a row that one blocks is
        missing with `Refused`. Hosted models only.
    """

    temperature: float | None
    safe_prompt: bool
    guardrails: Sequence[Mapping[str, Any]] | None


DEFAULTS: VerbOptions = {
    "model": None,
    "temperature": None,
    "dry_run": False,
    "budget_usd": None,
    "details": False,
    "errors": "coerce",
    "background": False,
    "rows_per_request": "auto",
    "cache": True,
    "refresh": False,
    "mask": False,
    "mode": "live",
    "preview": None,
    "safe_prompt": False,
    "guardrails": None,
}


def answered(
    column: "pd.Series[Any]",
    task: "RowTask",
    *,
    verb: str | None = None,
    otherwise: "RowTask | None" = None,
    further_texts: "Sequence[MaskedText]" = (),
    masked_one: "MaskText | None" = None,
    reshape: "Reshape | None" = None,
    give: "Give | None" = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return what the verb gives for the column: a column, a frame of details, a receipt or a run in the background.

    Parameters
    ----------
    verb
        What was called, where the task is another's.
    otherwise
        What is asked in the place of `task`, which needs log-probabilities, where the model gives none; values of the same dtype.
    further_texts
        Texts that are asked together with those of the column, unless it has none; masked if it is.
    masked_one
        Masks a text of the column, where `mistral_nb.masking.masked_text.mask_text` would not do.
    reshape
        Makes of the values, which have a line per row, what the verb gives.
    give
        Makes of the run what the verb gives instead of a column.
    """
    from mistral_nb.engine.batch_calls import refuse_embedded
    from mistral_nb.engine.bill import Opening
    from mistral_nb.engine.columns import texts_to_ask
    from mistral_nb.engine.current import current_session
    from mistral_nb.engine.masked_column import masked_column
    from mistral_nb.engine.occasion import asked_through
    from mistral_nb.masking.masked_text import mask_text
    from mistral_nb.notebook.confidence import plan_of_either, refuse_equal_votes
    from mistral_nb.notebook.embedded_notices import warn_of_guesses
    from mistral_nb.notebook.job_notices import warn_of_jobs
    from mistral_nb.tasks.confidence import DEFAULT_VOTES

    chosen = checked(options)
    session = current_session()
    model, is_live = session.model_name(chosen["model"]), chosen["mode"] == "live"
    if not is_live:
        refuse_embedded(session, model)
    masked = masked_column(column, chosen["mask"], masked_one=masked_one or mask_text, further=further_texts)
    report = None if masked is None else masked.report
    texts = texts_to_ask(column if masked is None else masked.column, [further.text for further in further_texts])
    asks = run_options(chosen)
    opening = Opening(asks.budget_usd)
    verb = verb or task.verb
    with asked_through("accessor", verb=verb):
        plan = plan_of_either(
            task,
            otherwise,
            plan_for=lambda either: session.plan(either, texts, model=model, options=asks),
            session=session,
            model=model,
            opening=opening,
            may_ask=not chosen["dry_run"] and (is_live or session.batches.lacking(model) is None),
        )
    if plan.task is otherwise and not chosen["dry_run"]:
        refuse_equal_votes(DEFAULT_VOTES, chosen["temperature"])

    def again(rows: "pd.Series[Any]", same: VerbOptions) -> None:
        answered(rows, task, verb=verb, otherwise=otherwise, masked_one=masked_one, reshape=reshape, **same)

    if not is_live:
        return answered_by_jobs(
            plan,
            session,
            opening=opening,
            mode=chosen["mode"],
            preview=chosen["preview"],
            is_dry_run=chosen["dry_run"],
            masked=report,
            column_run=lambda run: _column_run(
                column,
                run,
                task.dtype,
                masked=masked,
                again=again,
                reshape=reshape,
                chosen=chosen,
                session=session,
            ),
            finish=lambda column_run: _finished(column_run, chosen, give),
        )
    if chosen["dry_run"]:
        return replace(session.receipt(plan), verb=verb, masked=report)
    warn_of_jobs(session, plan)
    if plan.unanswered:
        warn_of_guesses(task, model=plan.model, rows_per_request=chosen["rows_per_request"])
    with asked_through("accessor", verb=verb):
        run = session.run(plan, budget=opening.budget, bill=opening.bill)
    return executed(
        column,
        run,
        task.dtype,
        masked=masked,
        again=again,
        reshape=reshape,
        give=give,
        chosen=chosen,
        session=session,
    )


def executed(
    column: "pd.Series[Any]",
    run: "Run",
    dtype: Any,
    *,
    masked: "MaskedColumn | None",
    again: "Again",
    reshape: "Reshape | None" = None,
    give: "Give | None",
    chosen: VerbOptions,
    session: "Session",
) -> Any:
    """Return what the verb gives when the run has ended, or the run itself where it goes on in the background.

    Parameters
    ----------
    column, dtype
        Whose index and name the values have, and of which dtype they are.
    masked
        The column as it is sent, where it is masked.
    again
        Runs the verb over some of the column's rows, with these options.
    reshape, give
        As in `answered`.
    chosen
        All options, as `checked` returns them.
    """
    from mistral_nb.engine.rows_run import BackgroundRun
    from mistral_nb.notebook.job_notices import warn_of_unfetched
    from mistral_nb.notebook.progress import progress_line, say_what_was_masked

    warn_of_unfetched(session)
    if masked is not None:
        say_what_was_masked(masked.report)
    column_run = _column_run(
        column, run, dtype, masked=masked, again=again, reshape=reshape, chosen=chosen, session=session
    )

    def remember() -> None:
        if current_part() is None:
            session.last_run = column_run

    if chosen["background"]:
        return BackgroundRun(run, ended=remember, finish=lambda: _finished(column_run, chosen, give))
    try:
        with progress_line(run.verb, run.progress) as show:
            run.execute(show)
    finally:
        remember()
        note_run(column_run)
    return _finished(column_run, chosen, give)


def _column_run(
    column: "pd.Series[Any]",
    run: "Run",
    dtype: Any,
    *,
    masked: "MaskedColumn | None",
    again: "Again",
    reshape: "Reshape | None",
    chosen: VerbOptions,
    session: "Session",
) -> "ColumnRun":
    """Return the run over the column; the rows that it is asked to retry are asked live."""
    from mistral_nb.engine.column_run import ColumnRun

    def run_again(rows: "pd.Series[Any]", among_all: "Reshape") -> ColumnRun:
        plain: VerbOptions = {
            "details": False,
            "background": False,
            "errors": "coerce",
            "mode": "live",
            "preview": None,
        }
        with runs_made() as runs:
            try:
                again(rows, {**chosen, **plain})
            finally:
                for made in runs:
                    made.among_all = among_all
        return runs[-1]

    return ColumnRun(
        column, run, dtype=dtype, kept=session.cache.answers, again=run_again, masked=masked, reshape=reshape
    )


def _finished(column_run: "ColumnRun", chosen: VerbOptions, give: "Give | None") -> Any:
    """Return what the run gave, with one warning or one exception for what failed."""
    from mistral_nb.engine.current import current_session
    from mistral_nb.errors import RowsFailed
    from mistral_nb.notebook.progress import failures_text, warn_of_failures

    if current_part() is None:
        current_session().last_run = column_run  # of a run in the background, whose result is looked at now
    shown: Give = give or (lambda run: run.details if chosen["details"] else run.column)
    given = shown(column_run)
    if column_run.result.has_failures and chosen["errors"] == "raise":
        again = "df.mistral.last_run.retry()" if current_part() is None else "computing the column again"
        raise RowsFailed(
            failures_text(column_run.result),
            f"The error's .result holds what was answered, .failed the failed rows; {again} asks these again.",
            result=given,
            failed=column_run.failed,
        )
    warn_of_failures(column_run.result)
    return given


def run_options(chosen: VerbOptions) -> "RunOptions":
    """Return those of the checked options that a run has to know."""
    from mistral_nb.engine.budget import checked_budget
    from mistral_nb.engine.rows import RunOptions

    rows_per_request = chosen["rows_per_request"]
    return RunOptions(
        rows_per_request=None if rows_per_request == "auto" else operator.index(rows_per_request),
        uses_cache=chosen["cache"],
        refreshes=chosen["refresh"],
        budget_usd=checked_budget(chosen["budget_usd"]),
        temperature=_checked_temperature(chosen["temperature"]),
        api_options=_api_options(chosen),
    )


def _api_options(chosen: VerbOptions) -> "JsonObject":
    """Return the fields that go into each request as they are; those that were not given are left out."""
    from mistral_nb.errors import InvalidOption

    guardrails = chosen["guardrails"]
    if guardrails is not None and not (
        isinstance(guardrails, Sequence) and all(isinstance(guardrail, Mapping) for guardrail in guardrails)
    ):
        raise InvalidOption(
            f"guardrails is {guardrails!r}.", 'Give a list of dicts, e.g. [{"moderation_llm_v2": {"action": "block"}}].'
        )
    given = {"safe_prompt": chosen["safe_prompt"] or None, "guardrails": list(guardrails or ()) or None}
    return {name: value for name, value in given.items() if value is not None}


def _checked_temperature(temperature: float | None) -> float | None:
    from numbers import Real

    from mistral_nb.errors import InvalidOption

    if temperature is None:
        return None
    is_number = isinstance(temperature, Real) and not isinstance(temperature, bool)
    if not is_number or not 0 <= temperature <= HIGHEST_TEMPERATURE:
        raise InvalidOption(
            f"temperature is {temperature!r}.", f"Give a number from 0 to {HIGHEST_TEMPERATURE}, e.g. temperature=0.7."
        )
    return float(temperature)


def checked(options: VerbOptions) -> VerbOptions:
    """Return all options; InvalidOption for one with a value it can't have."""
    from mistral_nb.errors import InvalidOption

    chosen: VerbOptions = {**DEFAULTS, **options}
    for name in ("dry_run", "details", "background", "cache", "refresh", "safe_prompt"):
        if not isinstance(chosen[name], bool):
            raise InvalidOption(f"{name} is {chosen[name]!r}.", f"Give {name}=True or {name}=False.")
    if chosen["errors"] not in ("coerce", "raise"):
        raise InvalidOption(f"errors is {chosen['errors']!r}.", 'Give errors="coerce" or errors="raise".')
    rows = chosen["rows_per_request"]
    if rows != "auto" and (isinstance(rows, bool) or not hasattr(rows, "__index__") or rows < 1):
        raise InvalidOption(f"rows_per_request is {rows!r}.", 'Give "auto" or a whole number from 1 up.')
    if chosen["refresh"] and not chosen["cache"]:
        raise InvalidOption(
            "refresh=True replaces what the cache keeps, and cache=False keeps nothing.", "Leave one out."
        )
    checked_mode(chosen["mode"], chosen["preview"], background=chosen["background"], cache=chosen["cache"])
    return chosen
