"""Questions about many rows of one session: planned, priced, and run.

Keeps to itself: which parts of the session a run needs, and which runs are under way.
Promises: what belongs to the caller's thread (who asks, loading a tokenizer, warnings) stays there; nothing is sent before a run is
executed.
"""

import threading
import weakref
from functools import partial

from mistral_nb.completion import TokenUsage
from mistral_nb.engine.account import Account
from mistral_nb.engine.batches import Batches
from mistral_nb.engine.bill import Bill
from mistral_nb.engine.books import Books
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.cache import AnswerCache
from mistral_nb.engine.estimate import receipt_for
from mistral_nb.engine.occasion import Occasion
from mistral_nb.engine.open_calls import OpenCalls
from mistral_nb.engine.open_request import EndedRequest, kept_record
from mistral_nb.engine.plan import RowsPlan, plan_rows
from mistral_nb.engine.provider import Provider
from mistral_nb.engine.receipt import Receipt
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.engine.rows import DistinctTexts, RowTask, RunOptions
from mistral_nb.engine.rows_run import OnProgress, RowsRun
from mistral_nb.engine.sending import Sender
from mistral_nb.engine.telemetry import occasion_now
from mistral_nb.price_list import unknown_price


class RowQuestions:
    """What plans and runs questions about many rows; the methods are those of `Session`, which documents them.

    Parameters
    ----------
    provider, account, books, cache, batches, retry
        Who answers, what is shared with other sessions, who is told, what is kept, the jobs, how patient it is.
    calls
        What counts the runs as they are executed.
    """

    def __init__(
        self,
        provider: Provider,
        account: Account,
        books: Books,
        *,
        cache: AnswerCache,
        batches: Batches,
        retry: RetryPolicy,
        calls: OpenCalls,
    ) -> None:
        self._provider = provider
        self._account = account
        self._books = books
        self._cache = cache
        self._batches = batches
        self._retry = retry
        self._calls = calls
        self._runs: weakref.WeakSet[RowsRun] = weakref.WeakSet()

    def plan(self, task: RowTask, texts: DistinctTexts, *, model: str, options: RunOptions) -> RowsPlan:
        backend = self._provider.backend(model)
        price = self._provider.cost_usd(model, TokenUsage())
        if price is None and options.budget_usd is not None:
            raise unknown_price(model, where=f"at {backend.endpoint}")
        plan = plan_rows(
            task,
            texts,
            model=model,
            options=options,
            cache=self._cache,
            endpoint=backend.endpoint,
            answering_model=backend.answering_model(model) if texts.texts else model,
        )
        plan.progress.cost_usd = price
        self._batches.read(plan)
        return plan

    def rows_per_request(self, plan: RowsPlan) -> int:
        limiter = self._provider.limiter(plan.model)
        at_once = min(limiter.max_concurrency, limiter.burst_requests)
        packs = self._provider.backend(plan.model).packs_rows
        return plan.packs_up_to(requests_at_once=at_once, backend_packs=packs)

    def receipt(self, plan: RowsPlan) -> Receipt:
        cost_usd = partial(self._provider.cost_usd, plan.model)
        has_batch = self._batches.lacking(plan.model) is None
        return receipt_for(
            plan,
            rows_per_request=self.rows_per_request(plan),
            counter=self._provider.token_counter(plan.model),
            limiter=self._provider.limiter(plan.model),
            price=cost_usd,
            batch_price=partial(cost_usd, is_batch=True) if has_batch else lambda usage: None,
        )

    def run(
        self, plan: RowsPlan, *, budget: Budget | None, occasion: Occasion | None, bill: Bill | None = None
    ) -> RowsRun:
        model, asked_on, books = plan.model, occasion or occasion_now(plan.task.verb), self._books
        # Made here, in the caller's thread: loading a tokenizer takes a second.
        budgets = books.budgets(model, asked_on, budget or Budget(plan.options.budget_usd))
        span, thread = None, threading.get_ident()
        paid = bill or Bill()

        def sender(on_progress: OnProgress) -> Sender:
            nonlocal span
            part_of_run, span = books.telemetry.run_began(asked_on, model=model, rows=plan.progress.total)
            return Sender(
                plan,
                backend=self._provider.backend(model),
                limiter=self._provider.limiter(model),
                cache=self._cache,
                in_flight=self._account.in_flight,
                retry=self._retry,
                price=partial(self._provider.cost_usd, model),
                budgets=budgets,
                occasion=part_of_run,
                report=books.report,
                on_progress=on_progress,
                bill=paid,
            )

        def ended() -> None:
            books.telemetry.run_ended(span, plan.progress)
            if plan.progress.cached:
                saved_usd = self._provider.cost_usd(model, plan.kept_usage)
                books.report(
                    EndedRequest(kept_record(asked_on, plan.progress.cached, model=model, saved_usd=saved_usd))
                )
            if threading.get_ident() == thread:  # a warning in a thread of ours is nobody's
                books.alerts.warn()

        verb = asked_on.verb or plan.task.verb
        run = RowsRun(plan, verb=verb, bill=paid, sender=sender, in_use=self._calls.one, ended=ended)
        self._runs.add(run)
        return run

    def cancel_all(self) -> None:
        """Stop the runs that are under way."""
        for run in list(self._runs):
            run.cancel()
