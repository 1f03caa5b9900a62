"""One run of a plan, in this thread or beside it.

Promises: what is answered so far can be read at any moment, also when the run was interrupted or failed.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

from mistral_nb.engine.background_loop import background_loop
from mistral_nb.engine.bill import Bill
from mistral_nb.engine.collector import collected_seldom
from mistral_nb.engine.plan import UNANSWERED, RowsPlan
from mistral_nb.engine.rows import RowsProgress, RowsResult
from mistral_nb.engine.sending import Sender

OnProgress = Callable[[RowsProgress], None]


def show_nothing(progress: RowsProgress) -> None:
    """Take no notice."""


class Run(Protocol):
    """What asks for the values of a column."""

    @property
    def verb(self) -> str:
        """What is asked of each row."""

    @property
    def keys(self) -> list[bytes]:
        """Under which each text's answer is kept; none where nothing is."""

    @property
    def progress(self) -> RowsProgress:
        """How far the run is."""

    def execute(self, on_progress: OnProgress = show_nothing) -> RowsResult:
        """Ask what is unanswered and return the result; Ctrl-C keeps what came back.

        Raises
        ------
        MistralNotebookError
            Only what no row could escape (key, model, plan, engine); a row's own error is in the result.
        """

    def cancel(self) -> None:
        """Stop a run that another thread executes, or is about to; returns when no request of it is left."""

    def result(self) -> RowsResult:
        """Return what the run gave so far."""


class RowsRun:
    """The run of one plan; made by a session.

    Parameters
    ----------
    plan
        What to ask.
    verb
        What it is for.
    bill
        What it pays goes on; it may have something on it from before.
    sender
        Makes what sends it, on the background loop.
    in_use
        Entered while requests are under way, so that nothing they need is closed.
    ended
        Called when the run is over, in whatever way.
    """

    def __init__(
        self,
        plan: RowsPlan,
        *,
        verb: str,
        bill: Bill,
        sender: Callable[[OnProgress], Sender],
        in_use: Callable[[], AbstractContextManager[None]],
        ended: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.verb = verb
        self._bill = bill
        self._make_sender = sender
        self._in_use = in_use
        self._tell_end = ended
        self._sender: Sender | None = None
        self._coroutine: Coroutine[Any, Any, None] | None = None
        self._began = time.perf_counter()
        self._ended: float | None = None
        self._is_cancelled = False

    @property
    def keys(self) -> list[bytes]:
        return self.plan.keys

    @property
    def progress(self) -> RowsProgress:
        return self.plan.progress

    def execute(self, on_progress: OnProgress = show_nothing) -> RowsResult:
        self._show_what_is_paid()
        try:
            if self.plan.unanswered:
                with self._in_use(), collected_seldom:
                    self._coroutine = self._send(on_progress)
                    background_loop.run(self._coroutine)
        finally:
            self._ended = time.perf_counter()
            self._tell_end()
            on_progress(self.progress)
        return self.result()

    def cancel(self) -> None:
        self._is_cancelled = True  # seen by one that the loop does not know yet
        if self._coroutine is not None and self._ended is None:
            background_loop.cancel(self._coroutine)

    def result(self) -> RowsResult:
        sender, plan, bill = self._sender, self.plan, self._bill
        ended = self._ended or time.perf_counter()
        return RowsResult(
            verb=self.verb,
            model=plan.model,
            texts=plan.texts,
            values=[None if value is UNANSWERED else value for value in plan.values],
            errors=dict(sender.errors) if sender is not None else {},
            paid=bill.rows(),
            progress=plan.progress,
            requests=bill.requests,
            usage=bill.usage,
            cost_usd=bill.cost_usd,
            seconds=ended - self._began,
            audit=sender.audit.report() if sender is not None and sender.audit is not None else None,
        )

    def _show_what_is_paid(self) -> None:
        """Have the first text bear what was paid before, so that what all texts cost is the bill."""
        bill = self._bill
        if bill.requests:
            bill.share(self.plan.unanswered[:1], {}, bill.usage, bill.cost_usd)
            self.progress.requests, self.progress.cost_usd = bill.requests, bill.cost_usd

    async def _send(self, on_progress: OnProgress) -> None:
        if self._is_cancelled:
            raise asyncio.CancelledError
        self._sender = self._make_sender(on_progress)
        await self._sender.run()


class BackgroundRun:
    """A run of rows that goes on while the notebook does something else; what ``background=True`` returns.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I was charged twice", "The parcel never came"])
    >>> run = texts.mistral.classify(["billing", "delivery"], background=True)
    >>> len(run.result())
    2
    """

    def __init__(self, run: Run, *, ended: Callable[[], None], finish: Callable[[], Any]) -> None:
        self._run = run
        self._ended = ended
        self._finish = finish
        self._error: BaseException | None = None
        self._is_cancelled = False
        self._thread = threading.Thread(target=self._execute, name="mistral_nb run", daemon=True)
        self._thread.start()

    @property
    def progress(self) -> RowsProgress:
        """Rows in all, done, cached, failed and missing, requests and dollars so far."""
        return self._run.progress

    @property
    def is_done(self) -> bool:
        """Whether the run has ended, in whatever way."""
        return not self._thread.is_alive()

    def result(self) -> Any:
        """Wait for the end and return what the verb would have returned; Ctrl-C ends the waiting, not the run.

        After `cancel`, the rows that were not come to are missing.

        Raises
        ------
        MistralNotebookError
            What stopped the run; what was answered before is kept and not asked again.
        """
        while self._thread.is_alive():
            self._thread.join(timeout=0.2)  # a wait without a limit can't be interrupted everywhere
        if self._error is not None:
            raise self._error
        return self._finish()

    def giving(self, form: Callable[[Callable[[], Any]], Any]) -> Self:
        """Return this run, whose result is what `form` makes of it from now on; it is given the function that gets the result."""
        finish = self._finish
        self._finish = lambda: form(finish)
        return self

    def cancel(self) -> None:
        """Stop: no new request is sent, those under way are given up, what came back is kept."""
        self._is_cancelled = self._is_cancelled or not self.is_done
        self._run.cancel()
        self._thread.join()

    def __repr__(self) -> str:
        state = "cancelled" if self._is_cancelled else "done" if self.is_done else "running"
        return f"{self._run.verb} in the background, {state}: {self.progress}"

    def _execute(self) -> None:
        try:
            self._run.execute()
        except CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001  # raised where the result is asked for
            self._error = error
        finally:
            self._ended()
