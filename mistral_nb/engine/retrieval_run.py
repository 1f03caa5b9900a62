"""Two runs after each other: the vectors of a column, and a question about the texts that are nearest.

Promises: what `mistral_nb.engine.rows_run.Run` promises; one budget, one bill and one progress for both. Where the first run is
stopped, the second does not begin.
"""

from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import replace

from mistral_nb.engine.receipt import sum_known
from mistral_nb.engine.rows import RowsProgress, RowsResult
from mistral_nb.engine.rows_run import OnProgress, RowsRun, show_nothing


class RetrievalRun:
    """The run of a question.

    Parameters
    ----------
    verb
        What both runs are for.
    vectors
        The run that embeds the column.
    question
        Makes the run that asks, from the vectors.
    """

    def __init__(self, verb: str, vectors: RowsRun, question: Callable[[RowsResult], RowsRun]) -> None:
        self.verb = verb
        self.keys = vectors.keys
        self.progress: RowsProgress = vectors.progress
        self._vectors = vectors
        self._make_question = question
        self._question: RowsRun | None = None
        self._embedded: RowsResult | None = None
        self._is_cancelled = False

    @property
    def answer(self) -> RowsResult | None:
        """What the question gave; None as long as it is not asked."""
        return None if self._question is None else self._question.result()

    def execute(self, on_progress: OnProgress = show_nothing) -> RowsResult:
        """Embed, then ask; Ctrl-C keeps what came back.

        Raises
        ------
        MistralNotebookError
            What no row could escape, or the question itself.
        """
        self._embedded = self._vectors.execute(on_progress)
        self._question = self._make_question(self._embedded)
        if self._is_cancelled:  # before there was a question to cancel
            raise CancelledError
        asked = self._question.execute()
        self.progress.requests += asked.requests
        self.progress.cost_usd = sum_known([self.progress.cost_usd, asked.cost_usd])
        on_progress(self.progress)
        return self.result()

    def cancel(self) -> None:
        """Stop a run that another thread executes, or is about to; returns when no request of it is left."""
        self._is_cancelled = True
        self._vectors.cancel()
        if self._question is not None:
            self._question.cancel()

    def result(self) -> RowsResult:
        """Return what the first run gave, on the bill of both."""
        vectors, asked = self._embedded, self.answer
        if vectors is None or asked is None:
            return replace(self._vectors.result(), verb=self.verb)
        return replace(
            vectors,
            verb=self.verb,
            requests=vectors.requests + asked.requests,
            usage=vectors.usage + asked.usage,
            cost_usd=sum_known([vectors.cost_usd, asked.cost_usd]),
            seconds=vectors.seconds + asked.seconds,
        )
