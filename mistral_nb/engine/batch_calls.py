"""What a door asks a session for, when a column is to be asked in batch jobs.

Promises: where there are no batch jobs, the error says what the same costs live, and nothing is sent.
"""

from collections.abc import Sequence
from dataclasses import replace

from mistral_nb.engine.batch_run import BatchRun
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.plan import RowsPlan
from mistral_nb.engine.receipt import Receipt, sum_known
from mistral_nb.engine.rows_run import RowsRun
from mistral_nb.engine.session import Session
from mistral_nb.errors import NotSupported
from mistral_nb.settings import is_local


def refuse_embedded(session: Session, model: str | None) -> None:
    """Raise NotSupported for a model of this machine, before its weights are looked for."""
    name = session.model_name(model)
    if is_local(name):
        raise NotSupported(
            str(session.batches.lacking(name)), "Leave mode out: asked live, it costs $0 (it runs on this machine)."
        )


def prepared(session: Session, plan: RowsPlan) -> int:
    """Leave in the plan what is to be sent, and return how many texts are in jobs already.

    Raises
    ------
    NotSupported
        The model, or the endpoint, has no batch jobs.
    """
    lacking = session.batches.lacking(plan.model)
    if lacking is not None:
        raise _not_supported(lacking, session, plan)
    return session.batches.prepare(plan)


def batch_receipt(
    session: Session, plan: RowsPlan, *, waiting: int, first: Sequence[int] = (), is_dry_run: bool
) -> Receipt:
    """Return what a prepared plan would send as jobs and cost.

    Parameters
    ----------
    waiting
        How many texts are in jobs already.
    first
        Numbers of the texts that are asked live before, at the full price.
    """
    asked_first = set(first)
    now = session.receipt(plan.of(first))
    later = session.receipt(plan.of([number for number in plan.unanswered if number not in asked_first]))
    both = (now, later)
    return replace(
        later,
        is_batch=True,
        is_dry_run=is_dry_run,
        waiting=waiting,
        cached=later.cached - waiting - len(first),
        requests=now.requests + later.requests,
        most_corrections=now.most_corrections if first else 0,  # jobs correct nothing
        prompt_tokens=now.prompt_tokens + later.prompt_tokens,
        completion_tokens_expected=now.completion_tokens_expected + later.completion_tokens_expected,
        completion_tokens_most=now.completion_tokens_most + later.completion_tokens_most,
        rationale_tokens_expected=now.rationale_tokens_expected + later.rationale_tokens_expected,
        cost_usd_expected=sum_known(one.cost_usd_expected for one in both),
        cost_usd_most=sum_known(one.cost_usd_most for one in both),
        batch_cost_usd_expected=sum_known((now.cost_usd_expected, later.batch_cost_usd_expected)),
        batch_cost_usd_most=sum_known((now.cost_usd_most, later.batch_cost_usd_most)),
    )


def send_batch(
    session: Session, plan: RowsPlan, *, budget: Budget | None = None, preview: RowsRun | None = None
) -> BatchRun:
    """Send as jobs what has no answer and is in no open job; they are made, and in the file, when this returns.

    Parameters
    ----------
    budget
        One that the jobs share with the preview; else they have their own.
    preview
        The run that has asked the first rows live.
    """
    try:
        return session.batches.send(
            plan,
            rows_per_request=session.rows_per_request,
            budgets=session.budgets_of(plan, budget or Budget(plan.options.budget_usd), is_batch=True),
            preview=preview,
        )
    except NotSupported as error:  # of a server that is not Mistral's, this is found out by asking
        problem = error.problem
    raise _not_supported(problem, session, plan)


def _not_supported(problem: str, session: Session, plan: RowsPlan) -> NotSupported:
    remedy = f"Leave mode out: asked live, it costs {session.receipt(plan).price_text}."
    if session.settings.region != "global":
        remedy += ' Or let Mistral choose where: mistral_nb.configure(region="global").'
    return NotSupported(problem, remedy)
