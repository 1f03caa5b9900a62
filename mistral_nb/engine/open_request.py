"""One request from its first attempt to its end, which is reported once.

Keeps to itself: which failures may have been billed all the same, and how an answer of any kind becomes a record.
Promises: every attempt is counted in exactly one report; reporting does no waiting.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from mistral_nb.completion import Completion, Embeddings, InputsAnswer, Moderation, RowRequest, TokenUsage
from mistral_nb.engine.occasion import Occasion
from mistral_nb.engine.request_record import Operation, RequestRecord
from mistral_nb.errors import AnswerProblem, ConnectionLost, MistralNotebookError, Refused, RequestTimedOut
from mistral_nb.refusal import is_refusal
from mistral_nb.settings import is_local

CANCELLED = "Cancelled"

Answer = Completion | InputsAnswer | Embeddings | Sequence[Moderation]


class EndedRequest(NamedTuple):
    """What is reported: the record, and beside it what was asked and answered, which nobody keeps unless the user wants it."""

    record: RequestRecord
    request: RowRequest | None = None
    completion: Completion | None = None
    trace: Any = None


Report = Callable[[EndedRequest], None]


def may_be_billed(error: BaseException) -> bool:
    """Whether an answer may have been made, and billed, although it could not be had."""
    return not isinstance(error, MistralNotebookError) or isinstance(
        error, ConnectionLost | RequestTimedOut | AnswerProblem
    )


@dataclass(slots=True)
class OpenRequest:
    """A request that may still be under way.

    Parameters
    ----------
    occasion
        Who asks, with door and verb.
    operation, model, rows
        As in `RequestRecord`.
    report
        Takes each end.
    request
        What is asked, where there is one.
    """

    occasion: Occasion
    model: str
    report: Report
    operation: Operation = "chat"
    rows: int = 1
    request: RowRequest | None = None
    attempts: int = 0
    _sent: float = 0.0
    _failure: MistralNotebookError | None = None

    def attempt(self) -> None:
        """Count an attempt, which is sent now."""
        self.attempts += 1
        self._sent = time.monotonic()
        self._failure = None

    def failed(self, error: MistralNotebookError) -> None:
        """Note how the attempt failed; it is reported at the end, unless a later one succeeds."""
        self._failure = error

    def answered(self, answer: Answer, *, cost_usd: Decimal | None, error: MistralNotebookError | None = None) -> None:
        """Report an answer and its price; `error` says why it can't be used."""
        completion = answer if isinstance(answer, Completion) else None
        usage = getattr(answer, "usage", TokenUsage())
        timed = answer if isinstance(answer, Completion | InputsAnswer) else None
        kind = type(error) if error is not None else Refused if completion and is_refusal(completion) else None
        latency_seconds = time.monotonic() - self._sent if timed is None else timed.latency_seconds
        self._report(
            completion,
            response_model=_answering_model(answer),
            usage=usage,
            cost_usd=cost_usd,
            latency_seconds=latency_seconds,
            error=None if kind is None else kind.__name__,
        )

    def end(self, partial: Completion | None = None) -> None:
        """Report what was not: the last failure, or that nobody waited; `partial` is what had come of the answer."""
        if not self.attempts:
            return
        failure = self._failure
        is_billed = failure is None or may_be_billed(failure)
        self._report(
            partial,
            response_model=None if partial is None else partial.model,
            usage=TokenUsage(),
            cost_usd=None if is_billed and not is_local(self.model) else Decimal(0),
            latency_seconds=time.monotonic() - self._sent,
            error=CANCELLED if failure is None else type(failure).__name__,
            correlation_id=None if failure is None else failure.correlation_id,
        )

    def _report(
        self,
        completion: Completion | None,
        *,
        response_model: str | None,
        usage: TokenUsage,
        cost_usd: Decimal | None,
        latency_seconds: float,
        error: str | None,
        correlation_id: str | None = None,
    ) -> None:
        occasion = self.occasion
        record = RequestRecord(
            began_unix_seconds=time.time() - latency_seconds,
            door=occasion.door or "session",
            verb=occasion.verb or self.operation,
            notebook=occasion.notebook,
            tag=occasion.tag,
            operation=self.operation,
            model=self.model,
            response_model=response_model,
            response_id=None if completion is None else completion.response_id,
            correlation_id=correlation_id if completion is None else completion.correlation_id,
            rows=self.rows,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=cost_usd,
            first_token_seconds=None if completion is None else completion.first_token_seconds,
            latency_seconds=latency_seconds,
            attempts=self.attempts,
            finish_reason=None if completion is None else completion.finish_reason or None,
            error=error,
        )
        self.attempts, self._failure = 0, None
        for tab in occasion.tabs:
            tab.note(record)
        self.report(EndedRequest(record, self.request, completion, occasion.trace))


def kept_record(occasion: Occasion, rows: int, *, model: str, saved_usd: Decimal | None) -> RequestRecord:
    """Return the record of the rows of one run that took kept answers."""
    record = RequestRecord(
        began_unix_seconds=time.time(),
        door=occasion.door or "session",
        verb=occasion.verb or "chat",
        notebook=occasion.notebook,
        tag=occasion.tag,
        model=model,
        rows=rows,
        attempts=0,
        from_cache=True,
        saved_usd=saved_usd,
    )
    for tab in occasion.tabs:
        tab.note(record)
    return record


def _answering_model(answer: Answer) -> str | None:
    if isinstance(answer, Sequence):
        return answer[0].model if answer else None
    return answer.model
