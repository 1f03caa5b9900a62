"""A question about a column: which of its texts the model reads, and what is made of its answer.

Keeps to itself: how the question and the nearest texts become one request, masked where the column is.
Promises: of equal texts one is read; what does not fit into the model's window is left out, the least near first. A placeholder
means the same in all that is read together, so that the answer gets the right originals back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.budget import Budget
from mistral_nb.engine.dtype_families import beside
from mistral_nb.engine.masked_column import Mask, masked_together
from mistral_nb.engine.occasion import Occasion
from mistral_nb.engine.plan import RowsPlan
from mistral_nb.engine.receipt import Receipt, added
from mistral_nb.engine.rows import DistinctTexts, RowsResult, RunOptions
from mistral_nb.engine.rows_run import RowsRun
from mistral_nb.engine.session import Session
from mistral_nb.engine.vectors import nearest
from mistral_nb.masking.masked_text import restored
from mistral_nb.notebook.context_window import window_tokens
from mistral_nb.notebook.grounded_answer import GroundedAnswer
from mistral_nb.notebook.vector_runs import similarity_of_rows, with_texts
from mistral_nb.tasks.answer import Answer, cited_numbers, count_that_fit, question_text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(slots=True, kw_only=True)
class Retrieval:
    """One question, on its way from the vectors of a column to an answer.

    Attributes
    ----------
    question, asked
        The question, and as it was embedded: masked where the column is.
    column, k
        The column as it is, and how many of its texts may be read.
    task, model, options, mask
        What is asked of whom, and how.
    session, budget, occasion
        Who sends it, from what it is paid, and what it is a part of.
    sources, originals
        What was read, and what stands for what in it; known when the question is asked.
    """

    question: str
    asked: str
    column: "pd.Series[Any]"
    k: int
    task: Answer
    model: str
    options: RunOptions
    mask: Mask
    session: Session
    budget: Budget
    occasion: Occasion
    sources: "pd.DataFrame | None" = None
    originals: Mapping[str, str] | None = None

    def check(self) -> None:
        """Raise what is known to be wrong with the model before anything is paid."""
        self._plan([])

    def receipt(self, vectors: RowsPlan) -> Receipt:
        """Return what both runs would cost; which texts are nearest is not known, so that the longest are taken for them."""
        texts = sorted(vectors.texts.texts, key=len, reverse=True)[: self.k]
        receipts = [self.session.receipt(vectors), self.session.receipt(self._plan([self._prompt(texts)]))]
        both = added(
            receipts,
            verb=self.task.verb,
            model=self.model,
            rows=receipts[0].rows,
            missing=receipts[0].missing,
            unique=receipts[0].unique,
            cached=receipts[0].cached,
            requests_for_answers=0,
        )
        return replace(both, are_tokens_exact=False)

    def run(self, vectors: RowsResult) -> RowsRun:
        """Return the run that asks about the nearest texts."""
        import numpy as np

        numbers = vectors.texts.numbers
        similarities = similarity_of_rows(self.asked, vectors)
        _, first_rows, row_counts = np.unique(numbers, return_index=True, return_counts=True)
        of_firsts = np.full(len(numbers), np.nan, dtype=np.float32)
        of_firsts[first_rows] = similarities[first_rows]
        counts = np.zeros(len(numbers), dtype=np.int64)
        counts[first_rows] = row_counts
        positions = nearest(of_firsts, self.k)
        if not len(positions):
            raise next(iter(vectors.errors.values()))
        sent, self.originals = masked_together([self.question, *self.column.array[positions]], self.mask)
        question, *texts = sent
        count = count_that_fit(texts, self.task, window_tokens=window_tokens(self.model, self.session))
        positions = positions[:count]
        dtype = self.column.dtype
        self.sources = with_texts(
            self.column,
            positions,
            number=beside(np.arange(1, count + 1), dtype),
            similarity=beside(similarities[positions].astype(float), dtype),
            rows=beside(counts[positions], dtype),
            position=beside(positions, dtype),
            is_cited=beside(np.zeros(count, dtype=bool), dtype),
        )
        self.sources.insert(0, "number", self.sources.pop("number"))
        plan = self._plan([question_text(question, texts[:count])])
        return self.session.run(plan, budget=self.budget, occasion=self.occasion)

    def answer(self, answered: RowsResult, *, bill: RowsResult) -> GroundedAnswer | None:
        """Return the answer with its sources; None when the run was stopped before there was one. Raises what kept it from coming.

        Parameters
        ----------
        answered
            What the question gave.
        bill
            What both runs cost.
        """
        if answered.errors:
            raise next(iter(answered.errors.values()))
        text = answered.values[0]
        if text is None or self.sources is None:
            return None
        is_cited = self.sources["number"].isin(cited_numbers(text, len(self.sources)))
        sources = self.sources.assign(is_cited=beside(is_cited, self.column.dtype))
        return GroundedAnswer(
            text=restored(text, self.originals or {}),
            sources=sources,
            cited=sources[sources["is_cited"]],
            question=self.question,
            model=answered.model,
            cost_usd=bill.cost_usd,
        )

    def _prompt(self, texts: list[str]) -> str:
        count = count_that_fit(texts, self.task, window_tokens=window_tokens(self.model, self.session))
        return question_text(self.asked, texts[:count])

    def _plan(self, prompts: list[str]) -> RowsPlan:
        import numpy as np

        texts = DistinctTexts(np.arange(len(prompts), dtype=np.int64), prompts)
        return self.session.plan(self.task, texts, model=self.model, options=self.options)
