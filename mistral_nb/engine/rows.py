"""What a run of rows is: the task it asks, its options, how far it is, what it gave.

Promises: records and protocols only, no work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from mistral_nb.completion import JsonObject, RowRequest, TokenUsage
from mistral_nb.counted import counted
from mistral_nb.engine.cache import KeptAnswer
from mistral_nb.errors import InvalidAnswer, MistralNotebookError

if TYPE_CHECKING:
    import numpy as np


class Packing(Protocol):
    """How several texts share one request."""

    @property
    def answer_tokens(self) -> int:
        """The most tokens that one text's answer has."""

    @property
    def longest_text_tokens(self) -> int:
        """A text of more tokens is asked alone."""

    @property
    def rows_are_independent(self) -> bool:
        """Whether no text of a request can change what is answered to another, as with embeddings.

        Then as many share one as go into it, whichever backend answers, and none is asked again alone to compare.
        """

    @property
    def most_rows(self) -> int:
        """Rows in one request, where the caller does not say otherwise."""

    @property
    def most_text_tokens(self) -> int:
        """A request whose texts have so many tokens takes no further one."""

    def request(self, texts: Sequence[str], *, model: str) -> RowRequest:
        """Return the request that asks for all the texts."""

    def values(self, answer: Any, *, count: int) -> list[Any]:
        """Return the value of each text, in order, or the exception that is in its place; raises when nothing can be read."""


@dataclass(frozen=True, slots=True)
class ColumnsOfRecords:
    """The dtype of values that are kept in another form than they are shown in.

    Attributes
    ----------
    dtypes
        The columns that are shown.
    cells
        Gives what a value shows in them; what it leaves out is missing.
    """

    dtypes: Mapping[str, Any]
    cells: Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ColumnOfRecords:
    """The dtype of values that are kept with more than is shown of them.

    Attributes
    ----------
    dtype
        Of the column that is shown.
    cell
        Gives what a value shows in it.
    """

    dtype: Any
    cell: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ColumnsOfAnswers:
    """The dtype of values of which only the answers say what columns they have.

    Attributes
    ----------
    of
        Gives the mapping of names to dtypes from the values that there are.
    """

    of: Callable[[Sequence[Any]], Mapping[str, Any]]


@runtime_checkable
class CorrectedTask(Protocol):
    """A task whose answers have to pass checks of the user's, and are asked for again with what is wrong with them.

    Its answers are read in a thread of their own: a check may take its time, or even ask a model.
    """

    most_corrections: ClassVar[int]

    def correction(self, request: RowRequest, wrong: InvalidAnswer) -> RowRequest:
        """Return the request that shows the model its wrong answer to this one, and what is wrong with it."""


class RowTask(Protocol):
    """One verb with its options, pure and without state: text in, request out; answer in, value out.

    `version` changes with the prompt, so that kept answers to an older prompt are not mixed with new ones. A request depends on
    nothing but the text and the task's own options. A value is something that JSON can hold, or bytes; the answer that it is read
    from is a `Completion`, or an `InputsAnswer` where the requests are `InputsRequest`s. It is kept under its request alone, so
    options that do not change the request must not change the value either, only how the dtype shows it.
    """

    verb: ClassVar[str]
    version: ClassVar[int]

    @property
    def dtype(self) -> Any:
        """The pandas dtype (or its name) of the values.

        A mapping of names to dtypes makes each value a JSON object and the result a frame with these columns; what an object
        lacks is missing. Lists and objects have dtype `object`, or better a `NestedDtype`, which says what they hold. Also
        `ColumnOfRecords`, `ColumnsOfRecords`, `ColumnsOfAnswers`, and `VectorDtype`.
        """

    @property
    def packing(self) -> Packing | None:
        """How rows share a request; None when each must be asked alone."""

    @property
    def answer_tokens(self) -> int:
        """About how many tokens an answer has."""

    def request(self, text: str, *, model: str) -> RowRequest:
        """Return the request for one row's text."""

    def value(self, answer: Any) -> Any:
        """Return the row's value; raises an `AnswerProblem` or `Refused` when the answer holds none."""

    def agrees(self, value: Any, other: Any) -> bool:
        """Whether two values for one text say the same."""


@runtime_checkable
class TextBoundTask(RowTask, Protocol):
    """A task whose answer is measured against its text, as a translation is."""

    def checked(self, text: str, value: Any) -> Any:
        """Return the value, perhaps mended; raises InvalidAnswer for one that can't be right for this text."""

    def expected_tokens(self, text: str) -> int:
        """About how many tokens the answer to this text has."""


@runtime_checkable
class ReasoningTask(Protocol):
    """A task whose answers may say why they are so."""

    @property
    def rationale_tokens(self) -> int:
        """About how many of `answer_tokens` do; 0 where none is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How the rows are asked.

    Attributes
    ----------
    rows_per_request
        Rows in one request; None leaves it to the engine.
    uses_cache
        Whether kept answers are taken and new ones kept.
    refreshes
        Ask again also where an answer is kept; the new one takes its place.
    budget_usd
        Most that the run may cost.
    temperature
        Sampling temperature, part of the question as the prompt is; None keeps the task's own.
    api_options
        Further fields of each request, e.g. ``{"safe_prompt": True}``; part of the question too.
    """

    rows_per_request: int | None = None
    uses_cache: bool = True
    refreshes: bool = False
    budget_usd: Decimal | None = None
    temperature: float | None = None
    api_options: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DistinctTexts:
    """The texts of a column, each once.

    Attributes
    ----------
    numbers
        For each row the position of its text in `texts`; -1 where the row has no text. int64, shape (rows,).
    texts
        The distinct texts, in the order of first appearance.
    """

    numbers: "np.ndarray[Any, np.dtype[np.int64]]"
    texts: list[str]


@dataclass(slots=True)
class RowsProgress:
    """How far a run is, in rows; `missing` rows had no text and count as done, `refused` ones are a part of those that failed.

    `cost_usd` is what was spent so far; None when the price is unknown.
    """

    total: int
    done: int = 0
    cached: int = 0
    failed: int = 0
    refused: int = 0
    missing: int = 0
    requests: int = 0
    cost_usd: Decimal | None = field(default_factory=Decimal)

    def __str__(self) -> str:
        cost = "cost unknown" if self.cost_usd is None else f"${self.cost_usd:.4f}"
        refused = f" ({self.refused:,} refused)" if self.refused else ""
        return f"{self.done:,} of {counted(self.total, 'row')}, {self.cached:,} cached, {self.failed:,} failed{refused}, {cost}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackingAudit:
    """How far answers from shared requests can be trusted: some rows were asked again alone, twice each.

    Attributes
    ----------
    rows
        Rows that were asked again.
    packed_disagreements
        How many of them were answered otherwise alone than together with others.
    alone_disagreements
        How many were answered otherwise the second time alone than the first.
    rows_per_request
        Rows in one request at the end of the run; it is halved when packing disagrees more than asking twice does.
    """

    rows: int
    packed_disagreements: int
    alone_disagreements: int
    rows_per_request: int

    @property
    def disagreement_rate(self) -> float:
        """The share of audited rows that were answered otherwise alone; NaN when none was audited."""
        return self.packed_disagreements / self.rows if self.rows else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidRow:
    """What a run asked for one distinct text.

    Attributes
    ----------
    answer
        The answer that counts; None when none could be read.
    prompt_tokens, completion_tokens, cost_usd
        The row's share of all requests that asked for it, audits and unreadable answers included. `cost_usd` is None where the
        price is unknown.
    """

    answer: KeptAnswer | None
    prompt_tokens: int
    completion_tokens: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsResult:
    """What a run gave.

    Attributes
    ----------
    values
        The value of each distinct text; None where it failed or was not come to.
    errors
        Number of each text that failed, and why.
    paid
        Number of each text that this run asked for, with its answer and its share of the bill.
    requests
        Requests sent and answered, not counting attempts that failed.
    usage, cost_usd
        Tokens of those requests and their price (None: unknown); kept answers add nothing.
    audit
        How packed answers compare with answers to rows asked alone; None when nothing was packed.
    left_out
        Where a value stands for many rows: number of the value, and why rows of it could not be read, once for each distinct text.
    """

    verb: str
    model: str
    texts: DistinctTexts
    values: list[Any]
    errors: dict[int, MistralNotebookError]
    paid: Mapping[int, PaidRow]
    progress: RowsProgress
    requests: int
    usage: TokenUsage
    cost_usd: Decimal | None
    seconds: float
    audit: PackingAudit | None
    left_out: tuple[tuple[int, MistralNotebookError], ...] = ()

    @property
    def has_failures(self) -> bool:
        """Whether a value is missing, or does without some of its rows, because of an error."""
        return bool(self.errors or self.left_out)
