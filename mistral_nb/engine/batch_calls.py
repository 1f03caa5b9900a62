"""What a door asks a session for, when a column is to be asked in batch jobs.

Promises: where there are no batch jobs, the error says what the same costs live, and nothing is sent.
"""

from dataclasses import replace

from mistral_nb.engine.batch_run import BatchRun
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.plan import RowsPlan
from mistral_nb.engine.receipt import Receipt
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


def batch_receipt(session: Session, plan: RowsPlan, *, is_dry_run: bool) -> Receipt:
    """Return what the plan would send as jobs and cost; what is in open jobs already is left out of the plan.

    Raises
    ------
    NotSupported
        The model, or the endpoint, has no batch jobs.
    """
    lacking = session.batches.lacking(plan.model)
    if lacking is not None:
        raise _not_supported(lacking, session, plan)
    waiting = session.batches.prepare(plan)
    receipt = session.receipt(plan)
    return replace(receipt, is_batch=True, is_dry_run=is_dry_run, cached=receipt.cached - waiting, waiting=waiting)


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
