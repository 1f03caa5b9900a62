"""The answers of jobs, read by the task that asked, as those of a live run are.

Promises: what can be read is kept as an answer before it is forgotten here; what can't be read, and what failed, is that row's
error and stays in the file; of two answers to a row, one that was asked alone counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mistral_nb.completion import InputsRequest, RowAnswer, RowRequest, TokenUsage
from mistral_nb.engine.audit import Audit
from mistral_nb.engine.batch_states import EXPIRED
from mistral_nb.engine.batch_store import BatchStore, JobRecord, JobRequest
from mistral_nb.engine.bill import Bill, share_of
from mistral_nb.engine.budgets import Price
from mistral_nb.engine.cache import AnswerCache, KeptAnswer
from mistral_nb.engine.plan import UNANSWERED, RowsPlan
from mistral_nb.errors import BatchExpired, BatchUnanswered, MistralNotebookError

_RUN_AGAIN = "Run the verb again: only what was not answered is sent."


class BatchReader:
    """Reads what jobs gave to one plan, and puts it there.

    Attributes
    ----------
    bill
        What was read here, in all and row by row.
    audit
        Compares answers to rows that were asked both alone and together; None when none was.
    """

    def __init__(self, plan: RowsPlan, *, store: BatchStore, cache: AnswerCache, price: Price) -> None:
        self.bill = Bill()
        self.audit: Audit | None = None
        self._plan = plan
        self._store = store
        self._cache = cache
        self._price = price
        self._number_of = {key: number for number, key in enumerate(plan.keys)}
        self._are_independent = plan.rows_are_independent
        self._empty = plan.task.request("", model=plan.model)
        self._errors: dict[int, MistralNotebookError] = {}
        self._answered_alone: set[bytes] = set()

    @property
    def errors(self) -> dict[int, MistralNotebookError]:
        """Why a text has no answer, by its number."""
        return {number: error for number, error in self._errors.items() if self._plan.values[number] is UNANSWERED}

    def read_job(self, job: JobRecord) -> None:
        """Read what a job gave, once its answers are kept."""
        self._begin_audit(job)
        for requests in self._store.requests_of(job.id):
            self._read(requests, job)

    def read_answered(self) -> None:
        """Read what any job gave to texts that have no answer yet, and let failures be."""
        keys = [self._plan.keys[number] for number in self._plan.unanswered]
        for requests in self._store.answered(keys):
            self._read(requests, None)

    def _read(self, requests: Iterable[JobRequest], job: JobRecord | None) -> None:
        kept: dict[bytes, KeptAnswer] = {}
        whole: list[JobRequest] = []
        for request in requests:
            answers = self._answers(request, job)
            if len(answers) == len(request.keys):
                whole.append(request)
            self._note_for_audit(request, answers)
            counting = {key: answer for key, answer in answers.items() if self._counts(key, request)}
            self._put_on_the_bill(request, counting)
            kept |= counting
        if kept:
            self._cache.put(kept)
        most_rows = self._plan.most_rows_of_kept
        for key, answer in kept.items():
            if key in self._number_of and (most_rows is None or answer.rows_per_request <= most_rows):
                self._plan.settle(self._number_of[key], answer.value)
        self._store.forget_read(whole)

    def _answers(self, request: JobRequest, job: JobRecord | None) -> dict[bytes, KeptAnswer]:
        """Return what can be read of a request's answer, by key; note the errors of the others."""
        answer, values = self._answer_and_values(request, job)
        count = len(values)
        answers: dict[bytes, KeptAnswer] = {}
        for place, (key, value) in enumerate(zip(request.keys, values, strict=True)):
            if value is UNANSWERED:
                continue  # another column's, which reads it itself
            if answer is not None and not isinstance(value, MistralNotebookError):
                answers[key] = self._plan.answer_to_keep(
                    value, answer, place=place, count=count, rows_per_request=1 if self._are_independent else count
                )
            elif not request.is_audit and key in self._number_of:
                self._errors[self._number_of[key]] = value
        return answers

    def _answer_and_values(self, request: JobRequest, job: JobRecord | None) -> tuple[RowAnswer | None, list[Any]]:
        """Return the answer, and the value of each question or the exception that is in its place."""
        count = len(request.keys)
        if request.line is None:
            return None, [_unanswered(job)] * count
        try:
            answer = request.line.answer(self._request_for(count))
            return answer, self._plan.read([self._number_of.get(key) for key in request.keys], answer)
        except MistralNotebookError as error:
            return None, [error] * count

    def _request_for(self, count: int) -> RowRequest:
        """Return a request like the one that was sent, as far as reading its answer goes."""
        if isinstance(self._empty, InputsRequest):
            return replace(self._empty, inputs=("",) * count)
        return self._empty

    def _counts(self, key: bytes, request: JobRequest) -> bool:
        """Whether an answer is the one that is kept: of an audit the first, in the place of the one that was shared."""
        if request.is_audit and key in self._answered_alone:
            return False
        if request.is_audit:
            self._answered_alone.add(key)
        return True

    def _note_for_audit(self, request: JobRequest, answers: Mapping[bytes, KeptAnswer]) -> None:
        if self.audit is None:
            return
        for key, answer in answers.items():
            number = self._number_of.get(key)
            if number is None:
                continue
            if request.is_audit:
                self.audit.note_alone(number, answer.value)
            elif len(request.keys) > 1:
                self.audit.note_packed(number, answer.value, rows_per_request=len(request.keys))

    def _begin_audit(self, job: JobRecord) -> None:
        """Wait for both kinds of answers to the rows that the job asks twice."""
        audited, rows_per_request = self._store.audited(job.id)
        numbers = [self._number_of[key] for key in audited if key in self._number_of]
        if not numbers:
            return
        if self.audit is None:
            self.audit = Audit(self._plan.task.agrees, rows_per_request=rows_per_request)
        for number in numbers:
            self.audit.begin(number)

    def _put_on_the_bill(self, request: JobRequest, answers: Mapping[bytes, KeptAnswer]) -> None:
        """Count a request that was answered, as far as its questions are the plan's."""
        line = request.line
        numbers = [self._number_of[key] for key in request.keys if key in self._number_of]
        if line is None or not line.is_answer or not numbers:
            return
        usage = _part(line.usage, len(numbers), len(request.keys))
        cost_usd = self._price(usage)
        self.bill.add(usage, cost_usd)
        mine = {self._number_of[key]: answer for key, answer in answers.items() if key in self._number_of}
        self.bill.share(numbers, mine, usage, cost_usd)


def _part(usage: TokenUsage, mine: int, all_of_it: int) -> TokenUsage:
    """Return the usage of a part of a request's questions."""
    if mine == all_of_it:
        return usage
    return TokenUsage(
        prompt_tokens=sum(share_of(usage.prompt_tokens, place, all_of_it) for place in range(mine)),
        completion_tokens=sum(share_of(usage.completion_tokens, place, all_of_it) for place in range(mine)),
        cached_tokens=sum(share_of(usage.cached_tokens, place, all_of_it) for place in range(mine)),
    )


def _unanswered(job: JobRecord | None) -> MistralNotebookError:
    status = "" if job is None else job.status
    said = f" The API says: {job.problem}." if job is not None and job.problem else ""
    if status == EXPIRED:
        return BatchExpired(
            f"The API keeps a job's answers for about a day, and has forgotten this one's.{said}", _RUN_AGAIN
        )
    return BatchUnanswered(f"The job ended ({status}) without an answer to this row.{said}", _RUN_AGAIN)
