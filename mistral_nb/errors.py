"""Every way a call can fail, one class per remedy.

Keeps to itself: how an exception is put into words; which answer of the API means which exception is in `api_errors`.
Promises: every exception the package raises is a `MistralNotebookError` with `problem` (what is wrong, with the value) and
`remedy` (what would be right, ready to paste); none of them ever holds the key. One that a request came to says what was asked, in
numbers, and whether trying again can help.

MistralNotebookError
├── InvalidInput               what was typed can't work
│   ├── UnknownColumn          (also KeyError)
│   ├── NotText                (also TypeError)
│   ├── NotCollected           (also TypeError)
│   ├── InvalidLabels          (also ValueError)
│   ├── InvalidOption          (also ValueError)
│   ├── InvalidSchema          (also ValueError)
│   ├── InvalidTemplate        (also ValueError)
│   ├── UnknownPrice           (also ValueError)
│   └── EmptyPrompt            (also ValueError)
├── KeyProblem
│   ├── MissingKey
│   ├── InvalidKey             401
│   └── KeyringProblem         the system's keyring can't be used
├── ModelProblem
│   ├── UnknownModel           400 with code 1500, or 404
│   └── ModelNotOnPlan         403 with code 1913, or a limit of 0 requests
├── RequestRejected            400, 403, 422 of this one request
│   ├── PromptTooLong
│   ├── InvalidMessages        order of roles, ids of tool calls
│   └── Refused                guardrail or moderation
├── RateLimited                429
├── ServerProblem              5xx, 408, 409, 425
├── WrongEndpoint              404 of the address itself
├── ConnectionProblem
│   ├── CannotConnect
│   ├── ConnectionLost
│   └── RequestTimedOut
├── AnswerProblem
│   ├── InvalidAnswer
│   └── TruncatedAnswer
├── BatchProblem
│   ├── BatchUnanswered        a job ended without this row's answer
│   └── BatchExpired           the API has forgotten what a job gave
├── EmbeddedProblem
│   ├── EngineMissing
│   ├── WeightsMissing
│   ├── WeightsCorrupt
│   ├── DownloadFailed
│   └── EmbeddedServerFailed
├── BudgetReached              the next request might cost more than is left
├── RowsFailed                 rows of a run with errors="raise"
├── CacheProblem
├── ExtraMissing               (also ImportError) an optional package is not installed
└── NotSupported               this model or endpoint can't do that at all

Examples
--------
>>> import mistral_nb
>>> try:
...     tickets = mistral_nb.load_sample("ticket")
... except mistral_nb.errors.InvalidOption as error:  # or its bases, up to MistralNotebookError
...     print(error.problem, error.remedy, sep="\\n")
No sample 'ticket'.
Did you mean 'tickets'? There are: accounts, invoices, meeting_notes, memos, owners, tickets.
"""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from mistral_nb.completion import Completion, TokenUsage
from mistral_nb.counted import counted
from mistral_nb.rate_limits import RateLimits
from mistral_nb.readers_code import is_readers_file

API_KEYS_PAGE = "https://console.mistral.ai/api-keys"
SET_KEY_LINE = 'import os; os.environ["MISTRAL_API_KEY"] = "…"'


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFor:
    """What a request that failed asked for, in numbers: never its text.

    Attributes
    ----------
    model
        The model that was asked.
    count, unit
        How many of what were in the request.
    tokens
        About how many tokens the request and the longest answer expected of it have.
    """

    model: str
    count: int
    unit: Literal["row", "message", "text"]
    tokens: int

    def __str__(self) -> str:
        asked = counted(self.count, self.unit)
        return f"Asked of {self.model}: {asked}, about {counted(self.tokens, 'token')} with the answer."


class MistralNotebookError(Exception):
    """Base of every exception of this package.

    Attributes
    ----------
    problem
        What is wrong, with the value that is wrong.
    remedy
        What would be right, with the line to paste where there is one.
    asked_for
        What the request that failed asked for, in numbers; None where it was no request's failure.
    is_worth_retrying
        Whether the same request may pass later.
    stops_run
        Whether no other row of a run could pass either.
    concerns_request
        Whether a request was sent, or would have been.
    status_code, correlation_id, rate_limits
        Of the HTTP response that was the cause; None where there was none.
    """

    is_worth_retrying: ClassVar[bool] = False
    stops_run: ClassVar[bool] = False
    concerns_request: ClassVar[bool] = True

    def __init__(
        self,
        problem: str,
        remedy: str = "",
        *,
        status_code: int | None = None,
        correlation_id: str | None = None,
        retry_after_seconds: float | None = None,
        rate_limits: RateLimits | None = None,
    ) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy
        self.status_code = status_code
        self.correlation_id = correlation_id
        self.retry_after_seconds = retry_after_seconds
        self.rate_limits = rate_limits
        self.asked_for: AskedFor | None = None

    def __str__(self) -> str:
        lines = [self.problem, self.remedy]
        if self.asked_for is not None:
            again = "Trying again may help." if self.is_worth_retrying else "Trying the same again can't help."
            lines.append(f"{self.asked_for} {again}")
        return "\n".join(line for line in lines if line)

    def note_request(self, asked_for: AskedFor) -> None:
        """Remember what was asked for, unless that is known already or has nothing to do with the error."""
        if self.concerns_request and self.asked_for is None:
            self.asked_for = asked_for

    def _render_traceback_(self) -> list[str]:
        """Give IPython the reader's own lines and the message, without the frames of this package and its libraries."""
        frames = [frame for frame in traceback.extract_tb(self.__traceback__) if is_readers_file(frame.filename)]
        lines = [f"{frame.name}, line {frame.lineno}: {frame.line}" for frame in frames if frame.line]
        return [*lines, f"{type(self).__name__}: {self}"]


class InvalidInput(MistralNotebookError):
    """What was typed can't work, and nothing was sent."""

    concerns_request = False


class UnknownColumn(InvalidInput, KeyError):
    """The frame has no such column."""


class NotText(InvalidInput, TypeError):
    """The column does not hold text."""


class NotCollected(InvalidInput, TypeError):
    """It has no rows yet that could be read: a lazy frame, or an expression."""


class InvalidLabels(InvalidInput, ValueError):
    """The labels can't be chosen between: fewer than two, doubled, blank or not text."""


class InvalidOption(InvalidInput, ValueError):
    """An option has a value outside of what it may be."""


class InvalidSchema(InvalidInput, ValueError):
    """An answer can't be asked for in this form."""


class InvalidTemplate(InvalidInput, ValueError):
    """A prompt for rows has no place for a column's values, or a brace that belongs to none."""


class UnknownPrice(InvalidInput, ValueError):
    """A budget can't be kept for a model whose price is not known."""


class EmptyPrompt(InvalidInput, ValueError):
    """There is nothing to ask."""


class KeyProblem(MistralNotebookError):
    """The API key is missing or not accepted."""

    stops_run = True


class MissingKey(KeyProblem):
    """A hosted model was asked for and there is no key."""

    concerns_request = False


class InvalidKey(KeyProblem):
    """The API answered 401."""


class KeyringProblem(KeyProblem):
    """The system's keyring is missing, locked or empty."""

    concerns_request = False


class ModelProblem(MistralNotebookError):
    """The model can't be used."""

    stops_run = True


class UnknownModel(ModelProblem):
    """No model has that name."""


class ModelNotOnPlan(ModelProblem):
    """The model exists, but the account's plan does not include it: waiting cannot help."""


class RequestRejected(MistralNotebookError):
    """The API refused this one request; others may pass."""


class PromptTooLong(RequestRejected):
    """The prompt does not fit into the model's context window.

    Attributes
    ----------
    prompt_tokens, context_tokens
        What the prompt has and what the model reads; None where the API and the catalogue do not say.
    """

    def __init__(
        self,
        problem: str,
        remedy: str = "",
        *,
        prompt_tokens: int | None = None,
        context_tokens: int | None = None,
        **response: Any,
    ) -> None:
        super().__init__(problem, remedy, **response)
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens


class InvalidMessages(RequestRejected):
    """The messages are in an order, or carry tool-call ids, that the API does not accept."""


class Refused(RequestRejected):
    """A guardrail, the moderation model or the model itself declined.

    Attributes
    ----------
    categories
        What was found, as the API names it, e.g. ("sexual",); empty where the model declined without a word of why.
    scores
        Score of each category in [0, 1], where there are scores.
    withheld
        The answer that was not given: model, ids, tokens that were paid for, and its words unless the moderation model objects to
        them; None where there was none.
    """

    def __init__(
        self,
        problem: str,
        remedy: str = "",
        *,
        categories: Sequence[str] = (),
        scores: Mapping[str, float] | None = None,
        withheld: Completion | None = None,
        **response: Any,
    ) -> None:
        super().__init__(problem, remedy, **response)
        self.categories = tuple(categories)
        self.scores = dict(scores or {})
        self.withheld = withheld


class RateLimited(MistralNotebookError):
    """The account's limit is reached for now."""

    is_worth_retrying = True


class ServerProblem(MistralNotebookError):
    """The server failed; the same request may pass later."""

    is_worth_retrying = True


class WrongEndpoint(MistralNotebookError):
    """A server answers at the endpoint, but it does not speak this API there."""

    stops_run = True


class ConnectionProblem(MistralNotebookError):
    """The server was not reached, or not to the end."""

    is_worth_retrying = True


class CannotConnect(ConnectionProblem):
    """Name look-up, TLS, proxy or a refused connection."""


class ConnectionLost(ConnectionProblem):
    """The connection ended in the middle of an answer."""


class RequestTimedOut(ConnectionProblem):
    """No answer within the time allowed."""


class AnswerProblem(MistralNotebookError):
    """An answer came, but not one that can be used."""


class InvalidAnswer(AnswerProblem):
    """The answer does not have the form that was asked for.

    Attributes
    ----------
    text
        The answer as the model gave it; "" where there was none to keep.
    errors
        What is wrong with it, each as ``field: what is wrong``; empty where the form is not a schema's.
    attempts
        How many times the model was asked.
    usage
        Tokens of all attempts; None where they are not known.
    """

    def __init__(
        self,
        problem: str,
        remedy: str = "",
        *,
        text: str = "",
        errors: Sequence[str] = (),
        attempts: int = 1,
        usage: TokenUsage | None = None,
        **response: Any,
    ) -> None:
        super().__init__(problem, remedy, **response)
        self.text = text
        self.errors = tuple(errors)
        self.attempts = attempts
        self.usage = usage


class TruncatedAnswer(AnswerProblem):
    """The answer ended at `max_tokens`."""


class BatchProblem(MistralNotebookError):
    """A batch job did not give what it was sent for."""


class BatchUnanswered(BatchProblem):
    """A batch job ended without an answer to this row."""


class BatchExpired(BatchProblem):
    """The API does not keep the answers of this batch job any more."""


class EmbeddedProblem(MistralNotebookError):
    """The embedded model can't answer."""

    stops_run = True
    concerns_request = False


class EngineMissing(EmbeddedProblem):
    """The package that runs the embedded model is not installed."""


class WeightsMissing(EmbeddedProblem):
    """The embedded model's weights are not on this machine."""


class WeightsCorrupt(EmbeddedProblem):
    """A weights file is not the one it should be."""


class DownloadFailed(EmbeddedProblem):
    """No source gave the weights."""


class EmbeddedServerFailed(EmbeddedProblem):
    """The process that runs the embedded model did not start, or ended."""


class BudgetReached(MistralNotebookError):
    """The next request might have cost more than was left of the budget, so it was not sent."""


class RowsFailed(MistralNotebookError):
    """Rows of a run failed, and it was asked to raise.

    Attributes
    ----------
    result
        What the verb would have returned: the answered rows, and missing values for the others.
    failed
        Frame of the failed rows with their errors.
    """

    def __init__(self, problem: str, remedy: str, *, result: Any, failed: Any) -> None:
        super().__init__(problem, remedy)
        self.result = result
        self.failed = failed

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how it is made again in another process."""
        return partial(RowsFailed, result=self.result, failed=self.failed), self.args


class CacheProblem(MistralNotebookError):
    """The file of kept answers can't be used."""

    stops_run = True


class ExtraMissing(MistralNotebookError, ImportError):
    """A package that this needs is an extra of this one, and is not installed."""

    concerns_request = False


class NotSupported(MistralNotebookError):
    """The model or endpoint can't do what was asked, whatever the request."""

    stops_run = True
