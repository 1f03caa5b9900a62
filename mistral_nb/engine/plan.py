"""What a run would have to ask, found out before anything is sent.

Keeps to itself: how many rows go into one request, and which of them are audited.
Promises: nothing is sent here; the work is done in the caller's thread, so that Ctrl-C ends it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mistral_nb.completion import InputsRequest, RowAnswer, RowRequest, TokenUsage
from mistral_nb.engine.audit import TIMES_ALONE, rows_to_audit
from mistral_nb.engine.bill import share_of
from mistral_nb.engine.cache import AnswerCache, KeptAnswer, answer_keys
from mistral_nb.engine.rows import DistinctTexts, RowsProgress, RowTask, RunOptions, TextBoundTask
from mistral_nb.engine.tokens import estimated_tokens
from mistral_nb.errors import AnswerProblem, MistralNotebookError
from mistral_nb.settings import is_local

# Fewer rows than this save too little to give up being answered alone.
FEWEST_PACKED_ROWS = 16
# Of so many requests at once, one is kept for rows asked alone: an audit that waits for the packs to end makes the run longer.
ONE_REQUEST_ALONE_IN = 8
MOST_PACK_ANSWER_TOKENS = 4000


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """The numbers of the texts that one request asks for; of an audit, one that shares another request too."""

    numbers: tuple[int, ...]
    is_audit: bool = False


@dataclass(slots=True)
class RowsPlan:
    """One column's questions, and which of them are answered already.

    Attributes
    ----------
    keys
        Of each distinct text; empty when the cache is not used.
    values
        Of each distinct text; `UNANSWERED` where it must be asked.
    rows_of
        How many rows have each distinct text.
    unanswered
        Numbers of the distinct texts that must be asked.
    kept_usage
        What the requests for the kept answers used, each distinct text counted once.
    """

    task: RowTask
    model: str
    options: RunOptions
    texts: DistinctTexts
    keys: list[bytes]
    values: list[Any]
    rows_of: list[int]
    unanswered: list[int]
    progress: RowsProgress
    kept_usage: TokenUsage
    _text_bound: TextBoundTask | None = field(init=False)

    def __post_init__(self) -> None:
        self._text_bound = self.task if isinstance(self.task, TextBoundTask) else None

    @property
    def most_rows_of_kept(self) -> int | None:
        """With how many rows an answer may have shared its request to count as kept; None for any number."""
        return _most_rows_of_kept(self.task, self.model, self.options)

    def packs_up_to(self, *, requests_at_once: int | None, backend_packs: bool) -> int:
        """Return how many rows go into one request.

        Parameters
        ----------
        requests_at_once
            How many requests can be under way together; None when that is not known yet.
        backend_packs
            Whether this backend gains from packing.
        """
        packing = self.task.packing
        if packing is None:
            return 1
        if packing.rows_are_independent:
            return min(packing.most_rows, self.options.rows_per_request or packing.most_rows)
        if self.options.rows_per_request is not None:
            return self.options.rows_per_request
        count = len(self.unanswered)
        if not backend_packs or requests_at_once is None or count <= requests_at_once:
            return 1
        packs_at_once = requests_at_once - requests_at_once // ONE_REQUEST_ALONE_IN
        return min(packing.most_rows, max(FEWEST_PACKED_ROWS, -(-count // packs_at_once)))

    def pack_is_full(self, numbers: Sequence[int], text_tokens: Sequence[int], *, rows_per_request: int) -> bool:
        """Whether no further row goes into a pack of these."""
        packing = self.task.packing
        assert packing is not None
        return (
            len(numbers) >= rows_per_request
            or sum(text_tokens) >= packing.most_text_tokens
            or (len(numbers) + 1) * packing.answer_tokens > MOST_PACK_ANSWER_TOKENS
        )

    @property
    def rows_are_independent(self) -> bool:
        """Whether rows that share a request are answered as if each were alone."""
        return self.task.packing is not None and self.task.packing.rows_are_independent

    def goes_alone(self, text_tokens: int) -> bool:
        """Whether a text is too long to share a request."""
        packing = self.task.packing
        return packing is None or text_tokens > packing.longest_text_tokens

    def request(self, numbers: Sequence[int]) -> RowRequest:
        """Return the request that asks for these texts."""
        texts = [self.texts.texts[number] for number in numbers]
        if len(texts) == 1:
            return _row_request(self.task, texts[0], self.model, self.options)
        assert self.task.packing is not None
        return _with_options(self.task.packing.request(texts, model=self.model), self.options)

    def expected_answer_tokens(self, numbers: Sequence[int]) -> int:
        """Return about how many tokens the answer to these texts has."""
        if self._text_bound is None:
            return self.task.answer_tokens * len(numbers)
        return sum(self._text_bound.expected_tokens(self.texts.texts[number]) for number in numbers)

    def read(self, numbers: Sequence[int | None], answer: RowAnswer) -> list[Any]:
        """Return the value of each of these texts, or the exception that is in its place.

        None stands for a text that is not the plan's. Its value is `UNANSWERED` where it can't be read without the text.

        Raises
        ------
        AnswerProblem, Refused
            Nothing of the answer can be read.
        """
        if len(numbers) == 1:
            return [self._checked(numbers[0], self.task.value(answer))]
        assert self.task.packing is not None
        values = self.task.packing.values(answer, count=len(numbers))
        if self._text_bound is None:
            return values
        return [self._checked_or_error(number, value) for number, value in zip(numbers, values, strict=True)]

    def packs(self, numbers: Sequence[int], *, rows_per_request: int) -> tuple[list[int], list[list[int]]]:
        """Return the numbers that are asked alone, and the others as the packs they make."""
        if rows_per_request == 1:
            return list(numbers), []
        alone: list[int] = []
        packs: list[list[int]] = [[]]
        tokens: list[int] = []
        for number in numbers:
            text_tokens = estimated_tokens(self.texts.texts[number])
            if self.goes_alone(text_tokens):
                alone.append(number)
                continue
            packs[-1].append(number)
            tokens.append(text_tokens)
            if self.pack_is_full(packs[-1], tokens, rows_per_request=rows_per_request):
                packs.append([])
                tokens = []
        return alone, [pack for pack in packs if pack]

    def of(self, numbers: Sequence[int]) -> "RowsPlan":
        """Return the part of the plan that asks these texts; values and progress are those of the whole."""
        return replace(self, unanswered=list(numbers))

    def answer_to_keep(
        self, value: Any, answer: RowAnswer, *, place: int, count: int, rows_per_request: int
    ) -> KeptAnswer:
        """Return what is kept of an answer for the text at this place among `count` of a request.

        `rows_per_request` is 1 where the texts of a request are answered as if each were alone.
        """
        return KeptAnswer(
            value=value,
            verb=self.task.verb,
            model=answer.model,
            response_id=answer.response_id,
            finish_reason=answer.finish_reason,
            prompt_tokens=share_of(answer.usage.prompt_tokens, place, count),
            completion_tokens=share_of(answer.usage.completion_tokens, place, count),
            latency_seconds=answer.latency_seconds,
            rows_per_request=rows_per_request,
        )

    def settle(self, number: int, value: Any) -> None:
        """Give the value to all rows that have this text."""
        if self.values[number] is UNANSWERED:
            self.progress.done += self.rows_of[number]
        self.values[number] = value

    def requests(self, *, rows_per_request: int) -> list[PlannedRequest]:
        """Return all requests of a run in which everything goes well, its audit at the end."""
        alone, packs = self.packs(self.unanswered, rows_per_request=rows_per_request)
        asked = [PlannedRequest((number,)) for number in alone] + [PlannedRequest(tuple(pack)) for pack in packs]
        audits = [PlannedRequest((number,), is_audit=True) for number in self.audited(packs)]
        return asked + [audit for audit in audits for _ in range(TIMES_ALONE)]

    def audited(self, packs: Sequence[Sequence[int]]) -> list[int]:
        """Return the numbers in these packs that are asked again alone."""
        if self.rows_are_independent:
            return []
        return rows_to_audit([number for pack in packs if len(pack) > 1 for number in pack], self._text_hash)

    def _checked(self, number: int | None, value: Any) -> Any:
        if self._text_bound is None:
            return value
        return UNANSWERED if number is None else self._text_bound.checked(self.texts.texts[number], value)

    def _checked_or_error(self, number: int | None, value: Any) -> Any:
        if isinstance(value, MistralNotebookError):
            return value
        try:
            return self._checked(number, value)
        except AnswerProblem as error:
            return error

    def _text_hash(self, number: int) -> bytes:
        if self.keys:
            return self.keys[number]
        return hashlib.sha256(self.texts.texts[number].encode("utf-8", "surrogatepass")).digest()


def _row_request(task: RowTask, text: str, model: str, options: RunOptions) -> RowRequest:
    return _with_options(task.request(text, model=model), options)


def _with_options(request: RowRequest, options: RunOptions) -> RowRequest:
    """Return the request at the temperature, and with the further fields, that the run is to have."""
    if isinstance(request, InputsRequest):  # nothing is sampled
        return request
    if options.temperature is not None and options.temperature != request.temperature:
        request = replace(request, temperature=options.temperature)
    return replace(request, options={**request.options, **options.api_options}) if options.api_options else request


class _Unanswered:
    """The value of a text without an answer; None is a value."""

    def __repr__(self) -> str:
        return "UNANSWERED"


UNANSWERED = _Unanswered()


def _most_rows_of_kept(task: RowTask, model: str, options: RunOptions) -> int | None:
    """Return with how many rows a kept answer may have shared its request; None for any number."""
    if task.packing is None:
        return 1
    if options.rows_per_request is None and is_local(model) and not task.packing.rows_are_independent:
        return 1  # what the embedded model writes for many rows is worse, and asked for only by who says so
    return options.rows_per_request


def plan_rows(
    task: RowTask,
    texts: DistinctTexts,
    *,
    model: str,
    options: RunOptions,
    cache: AnswerCache,
    endpoint: str,
    answering_model: str,
) -> RowsPlan:
    """Return the plan of one column: what is kept is looked up, what is not is listed."""
    import numpy as np

    count = len(texts.texts)
    has_text = texts.numbers >= 0
    rows_of = np.bincount(texts.numbers[has_text], minlength=count).tolist()
    values: list[Any] = [UNANSWERED] * count
    keys: list[bytes] = []
    kept_usage = TokenUsage()
    if options.uses_cache and count:
        key_of = answer_keys(
            lambda text: _row_request(task, text, model, options),
            endpoint=endpoint,
            answering_model=answering_model,
            prompt_version=f"{task.verb}/{task.version}",
        )
        keys = [key_of(text) for text in texts.texts]
        if not options.refreshes:
            kept = cache.found(keys, rows_per_request=_most_rows_of_kept(task, model, options))
            values = [kept.values.get(key, UNANSWERED) for key in keys]
            kept_usage = kept.usage
    missing = len(texts.numbers) - int(has_text.sum())
    cached = sum(rows for rows, value in zip(rows_of, values, strict=True) if value is not UNANSWERED)
    return RowsPlan(
        task=task,
        model=model,
        options=options,
        texts=texts,
        keys=keys,
        values=values,
        rows_of=rows_of,
        unanswered=[number for number, value in enumerate(values) if value is UNANSWERED],
        progress=RowsProgress(total=len(texts.numbers), done=missing + cached, cached=cached, missing=missing),
        kept_usage=kept_usage,
    )
