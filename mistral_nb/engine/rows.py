"""Many texts in, one value per text out: unique, cached, sent, read, aligned.

Keeps to itself: who waits for whom.
Promises: equal texts are one request; an answer that is kept costs nothing; a row that fails loses only itself; an error that
no other row could escape (key, model, plan, engine) stops the run, and what was answered before stays kept.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from mistral_nb.backends.backend import Backend
from mistral_nb.completion import Completion, CompletionRequest, TokenUsage
from mistral_nb.engine.cache import AnswerCache, answer_key
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.errors import MistralNotebookError

# Each was tried again and again before it was given up: the rest of a long column would take hours to fail the same way.
ROWS_THAT_MAKE_AN_OUTAGE = 32


class RowTask(Protocol):
    """One verb with its options, pure and without state: text in, request out; completion in, value out.

    `version` changes with the prompt, so that kept answers to an older prompt are not mixed with new ones.
    """

    verb: ClassVar[str]
    version: ClassVar[int]

    @property
    def dtype(self) -> Any:
        """The pandas dtype (or its name) of the column of values."""

    def request(self, text: str, *, model: str) -> CompletionRequest:
        """Return the request for one row's text."""

    def value(self, completion: Completion) -> Any:
        """Return the row's value; raises an `AnswerProblem` or `Refused` when the completion holds none."""


@dataclass(slots=True)
class RowsProgress:
    """How far a run is, in rows; `missing` rows had no text and count as done."""

    total: int
    done: int = 0
    cached: int = 0
    failed: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsResult:
    """What a run gave.

    Attributes
    ----------
    values
        One per text, in order; None where the text was missing or its row failed.
    errors
        Position of each failed row and why.
    requests
        Requests sent and answered, not counting attempts that failed.
    usage
        Tokens of those requests; kept answers add nothing.
    """

    verb: str
    model: str
    values: list[Any]
    errors: dict[int, MistralNotebookError]
    progress: RowsProgress
    requests: int
    usage: TokenUsage
    seconds: float


@dataclass(slots=True)
class _Question:
    """One distinct text: its request, and the positions of the rows that wait for its answer."""

    request: CompletionRequest
    key: bytes
    positions: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    usage: TokenUsage = field(default_factory=TokenUsage)
    failures_in_a_row: int = 0

    def is_outage(self, error: MistralNotebookError) -> bool:
        """Count a row that was given up; whether so many in a row were that the others would be too."""
        self.failures_in_a_row += 1 if error.is_worth_retrying else 0
        return self.failures_in_a_row >= ROWS_THAT_MAKE_AN_OUTAGE


async def run_rows(
    task: RowTask,
    texts: Sequence[str | None],
    *,
    model: str,
    backend: Backend,
    cache: AnswerCache,
    retry: RetryPolicy,
    max_concurrency: int,
    on_progress: Callable[[RowsProgress], None],
) -> RowsResult:
    """Return a value for each text, asking for each distinct one at most once."""
    started = time.perf_counter()
    progress = RowsProgress(total=len(texts))
    values: list[Any] = [None] * len(texts)
    errors: dict[int, MistralNotebookError] = {}
    tally = _Tally()
    questions = _questions(task, texts, model=model, backend=backend)
    progress.missing = progress.done = sum(text is None for text in texts)

    def settle(question: _Question, answer: Any, *, is_cached: bool = False) -> None:
        """Give the answer (or the error) to every row that waits for it."""
        rows = len(question.positions)
        failed = isinstance(answer, MistralNotebookError)
        for position in question.positions:
            if failed:
                errors[position] = answer
            else:
                values[position] = answer
        progress.done += rows
        progress.failed += rows if failed else 0
        progress.cached += rows if is_cached else 0
        on_progress(progress)

    async def ask(question: _Question) -> None:
        try:
            completion = await retry.attempt(lambda: backend.complete(question.request))
            tally.requests += 1
            tally.usage += completion.usage
            value = task.value(completion)
        except MistralNotebookError as error:
            if error.stops_run or tally.is_outage(error):
                raise
            settle(question, error)
            return
        tally.failures_in_a_row = 0
        cache.put(question.key, completion)
        settle(question, value)

    unanswered = []
    kept = cache.get(question.key for question in questions)
    for question in questions:
        if question.key in kept:
            settle(question, task.value(kept[question.key]), is_cached=True)
        else:
            unanswered.append(question)
    at_once = min(max_concurrency, backend.max_concurrency or max_concurrency)
    await _for_each(unanswered, ask, at_once=at_once)
    on_progress(progress)
    return RowsResult(
        verb=task.verb,
        model=model,
        values=values,
        errors=errors,
        progress=progress,
        requests=tally.requests,
        usage=tally.usage,
        seconds=time.perf_counter() - started,
    )


def _questions(task: RowTask, texts: Sequence[str | None], *, model: str, backend: Backend) -> list[_Question]:
    """Return one question per distinct text, in the order of first appearance."""
    by_text: dict[str, _Question] = {}
    answering_model = backend.answering_model(model) if any(text is not None for text in texts) else model
    prompt_version = f"{task.verb}/{task.version}"
    for position, text in enumerate(texts):
        if text is None:
            continue
        if text not in by_text:
            request = task.request(text, model=model)
            key = answer_key(
                request, endpoint=backend.endpoint, answering_model=answering_model, prompt_version=prompt_version
            )
            by_text[text] = _Question(request, key)
        by_text[text].positions.append(position)
    return list(by_text.values())


async def _for_each(questions: Iterable[_Question], ask: Callable[[_Question], Any], *, at_once: int) -> None:
    """Ask all questions, at most so many at once; the first exception cancels the rest and is raised."""
    waiting = iter(questions)

    async def work() -> None:
        for question in waiting:
            await ask(question)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
        return
    except BaseExceptionGroup as group_of_errors:
        first = group_of_errors.exceptions[0]
    # Raised out here, so that the group is not its context: IPython shows a chain with a group in it as a raw traceback.
    raise first
