"""The only thing the doors talk to: complete, stream, run rows, embed, and what it cost.

Keeps to itself: which backend answers which model, the cache, the retries, the background loop.
Promises: plain calls (no await) that Ctrl-C cancels; one session per kernel for all doors, replaced when the settings change.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

from mistral_nb import catalogue
from mistral_nb.answer_schema import answer_schema
from mistral_nb.completion import (
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    InputsRequest,
    ModelCard,
    Moderation,
    TokenUsage,
)
from mistral_nb.engine.account import Account
from mistral_nb.engine.asking import AnswerT
from mistral_nb.engine.background_loop import background_loop
from mistral_nb.engine.batch_store import BatchStore
from mistral_nb.engine.batches import Batches
from mistral_nb.engine.bill import Bill
from mistral_nb.engine.books import Books
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.budgets import Budgets
from mistral_nb.engine.cache import AnswerCache
from mistral_nb.engine.chat_request import Messages, chat_request, shortened
from mistral_nb.engine.column_run import ColumnRun
from mistral_nb.engine.database import Database
from mistral_nb.engine.fold import FoldTask
from mistral_nb.engine.fold_run import FoldRun
from mistral_nb.engine.ledger import Ledger
from mistral_nb.engine.log_probabilities import LogProbabilities
from mistral_nb.engine.model_kinds import checked_kind
from mistral_nb.engine.occasion import Occasion
from mistral_nb.engine.open_calls import OpenCalls
from mistral_nb.engine.plan import RowsPlan
from mistral_nb.engine.provider import Provider
from mistral_nb.engine.questions import Questions, RequestT
from mistral_nb.engine.receipt import Receipt
from mistral_nb.engine.request_record import Operation
from mistral_nb.engine.retirement import warn_of_retirement
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.engine.row_questions import RowQuestions
from mistral_nb.engine.rows import DistinctTexts, RowTask, RunOptions
from mistral_nb.engine.rows_run import RowsRun
from mistral_nb.engine.structured import complete_as, structured_request
from mistral_nb.engine.telemetry import occasion_now
from mistral_nb.engine.text_groups import TextGroups
from mistral_nb.engine.tokens import TokenCounter
from mistral_nb.errors import InvalidOption
from mistral_nb.refusal import check_answered
from mistral_nb.setting_checks import checked_model_name
from mistral_nb.settings import DEFAULT_MODELS, Settings, current_settings, is_local

DEFAULT_EMBEDDING_MODELS = {"hosted": "mistral-embed", "embedded": "local-embed"}
DEFAULT_MODERATION_MODEL = "mistral-moderation-2603"
DEFAULT_FILL_IN_MIDDLE_MODELS = {"hosted": "codestral-latest", "embedded": "local-small"}

T = TypeVar("T")


class Session:
    """Asks models, keeps answers, and knows the price.

    Parameters
    ----------
    settings
        Key, endpoint, model and folders.
    retry
        How patient requests are.
    account
        What is known of the limits, and who is asking what; shared by sessions that use the same key at the same endpoint.
    is_shared
        Whether it is the one of all doors, so that who goes on with it after other settings were made is warned.

    Examples
    --------
    >>> import mistral_nb
    >>> with mistral_nb.Session(mistral_nb.configure()) as session:
    ...     answer = session.complete("Say hello.", max_tokens=5)
    ...     cost_usd = session.cost_usd(answer.model, answer.usage)
    >>> answer.model, cost_usd
    ('local-tiny', Decimal('0'))
    """

    def __init__(
        self,
        settings: Settings,
        *,
        retry: RetryPolicy | None = None,
        account: Account | None = None,
        is_shared: bool = False,
    ) -> None:
        self.settings = settings
        self.last_run: ColumnRun | None = None
        self.last_job: Any = None  # a door's own object
        self.account = account or Account()
        self._database = Database(settings.home / "mistral_nb.sqlite")
        self.cache = AnswerCache(
            self._database,
            max_age_days=settings.cache_days,
            max_bytes=round(settings.cache_megabytes * 1_000_000),
        )
        self._provider = Provider(settings, self.account, judge=self._judge)
        self.log_probabilities = LogProbabilities(
            self._database,
            max_age_days=settings.cache_days,
            endpoint_of=lambda model: self._provider.backend(model).endpoint,
            complete=self.complete,
        )
        self._retry = retry or RetryPolicy()
        self.books = Books(settings, self._database, self._provider)
        self._questions = Questions(self._provider, self.books, self._retry)
        self._calls = OpenCalls(self.close, is_outdated=lambda: is_shared and settings != current_settings())
        self.batches = Batches(
            settings,
            self._provider,
            store=BatchStore(self._database, max_age_days=settings.cache_days),
            cache=self.cache,
            retry=self._retry,
            ledger=self.ledger,
            report=self.books.tell_others,
            execute=self._run,
        )
        self._rows = RowQuestions(
            self._provider,
            self.account,
            self.books,
            cache=self.cache,
            batches=self.batches,
            retry=self._retry,
            calls=self._calls,
        )

    def complete(
        self,
        prompt: Messages,
        *,
        model: str | None = None,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        schema: Any = None,
        **options: Any,
    ) -> Completion:
        """Return the answer to a prompt.

        Parameters
        ----------
        prompt
            A text, or chat messages as the API takes them.
        model
            Name, alias or short name; default: the settings' model.
        system
            System message put before the prompt.
        temperature, max_tokens
            As in the API; left out, the model's own default holds.
        schema
            Form of the answer, which is then in the completion's `parsed`: a pydantic model, a TypedDict, a dataclass, an Enum,
            ``list[Model]``, ``Literal["a", "b"]``, or a JSON schema as a dict. An answer that does not fit is asked for again, at
            most twice, with what is wrong with it; `usage` counts all attempts.
        **options
            Further fields of the API's request, e.g. ``top_p=0.9``, ``response_format={"type": "json_object"}``,
            ``safe_prompt=True``, ``guardrails=[…]``.

        Raises
        ------
        EmptyPrompt
            There is no text in the prompt.
        InvalidAnswer
            The last answer does not fit the schema either.
        Refused
            A guardrail, the moderation model (`configure(moderate=…)`) or the model itself declined; `categories` and `scores` say
            why, where that is known.
        MistralNotebookError
            One subclass per cause, see `mistral_nb.errors`.

        Examples
        --------
        >>> import mistral_nb
        >>> answer = mistral_nb.session().complete("Say hello.", max_tokens=10)
        >>> answer.usage.completion_tokens <= 10
        True
        """
        request = self.request(
            prompt, model=model, system=system, temperature=temperature, max_tokens=max_tokens, **options
        )
        if schema is None:
            answer = self._complete(request)
            check_answered(answer)
            return answer
        form = answer_schema(schema)
        with self._calls.one():
            return complete_as(
                structured_request(request, form), form, self._complete, on_invalid=self.books.note_invalid
            )

    def stream(self, prompt: "Messages | CompletionRequest", **options: Any) -> Generator[Delta]:
        """Yield the answer piece by piece; prompt, options and errors as in `complete`, or a request made by `request`.

        Leaving the loop early (``break``, Ctrl-C) closes the connection, so that no further token is generated. The last delta
        has `finish_reason` and `usage`.
        """
        request = prompt if isinstance(prompt, CompletionRequest) else self.request(prompt, **options)
        pieces = background_loop.iterate(self._questions.stream(request))
        return self._warning_after(self._calls.one_while(pieces))

    def request(
        self,
        prompt: Messages,
        *,
        model: str | None = None,
        system: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        **options: Any,
    ) -> CompletionRequest:
        """Return the request that `complete` would send, without sending it."""
        return chat_request(
            prompt,
            model=self.model_name(model),
            system=system,
            temperature=temperature,
            max_tokens=max_tokens,
            **options,
        )

    def plan(
        self, task: RowTask, texts: DistinctTexts, *, model: str | None = None, options: RunOptions | None = None
    ) -> RowsPlan:
        """Return what a run of the task over the texts would have to ask; nothing is sent.

        Raises
        ------
        UnknownPrice
            There is a budget, and no price to keep it with.
        """
        return self._rows.plan(task, texts, model=self.model_name(model), options=options or RunOptions())

    def rows_per_request(self, plan: RowsPlan) -> int:
        """Return how many rows would share a request of what the plan is to ask."""
        return self._rows.rows_per_request(plan)

    def receipt(self, plan: RowsPlan) -> Receipt:
        """Return what the plan would send and cost; nothing is sent."""
        return self._rows.receipt(plan)

    def run(
        self,
        plan: RowsPlan,
        *,
        budget: Budget | None = None,
        occasion: Occasion | None = None,
        bill: Bill | None = None,
    ) -> RowsRun:
        """Return a run of the plan, not yet begun.

        Parameters
        ----------
        budget
            One that it shares with other runs; else it has its own.
        occasion
            What it is a part of; else what is going on now.
        bill
            One that has on it what was asked before, for the run; else it begins with an empty one.
        """
        return self._rows.run(plan, budget=budget, occasion=occasion, bill=bill)

    def fold(self, task: FoldTask, groups: TextGroups, *, model: str | None, options: RunOptions) -> FoldRun:
        """Return a run that makes one answer of each group's texts, not yet begun."""
        occasion = occasion_now(task.verb)
        return FoldRun(task, groups, model=self.model_name(model), options=options, occasion=occasion, session=self)

    def fill_in_middle(
        self, prompt: str, suffix: str = "", *, model: str | None = None, max_tokens: int | None = None
    ) -> Completion:
        """Return the code between `prompt` and `suffix`; default model: codestral-latest, embedded local-small."""
        name = self.model_name(model or DEFAULT_FILL_IN_MIDDLE_MODELS[self.settings.answered_by])
        backend = self._provider.backend(name)
        messages = tuple({"role": "user", "content": text} for text in (prompt, suffix))
        return self._ask(
            CompletionRequest(model=name, messages=messages, max_tokens=max_tokens),
            lambda asked: backend.fill_in_middle(prompt, suffix, model=name, max_tokens=asked.max_tokens),
            operation="fim",
            verb="fill_in_middle",
        )

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> Embeddings:
        """Return one vector per text, in order; default model: mistral-embed, embedded local-embed."""
        name = self.embedding_model(model)
        backend, several = self._provider.backend(name), _several(texts)
        request = InputsRequest(endpoint="embeddings", model=name, inputs=tuple(several))
        return self._ask(
            request, lambda asked: backend.embed(several, model=name), operation="embeddings", verb="embed"
        )

    def moderate(self, texts: Sequence[str], *, model: str | None = None) -> list[Moderation]:
        """Return the moderation model's claims and scores per text; only hosted models can."""
        return self._answer(self._moderating(_several(texts), self.moderation_model(model)))

    async def _moderating(self, texts: Sequence[str], model: str) -> list[Moderation]:
        backend = self._provider.backend(model)
        request = InputsRequest(endpoint="moderations", model=model, inputs=tuple(texts))
        return await self._questions.ask(
            request, lambda asked: backend.moderate(texts, model=model), operation="moderations", verb="moderate"
        )

    async def _judge(self, texts: Sequence[str]) -> list[Moderation]:
        """Return what the moderation model says of texts that pass through another door."""
        return await self._moderating(texts, DEFAULT_MODERATION_MODEL)

    def models(self, *, hosted: bool | None = None) -> list[ModelCard]:
        """Return the models that the endpoint offers, or with ``hosted=False`` this machine; by default, whichever answers."""
        name = self.settings.default_model if hosted is None else DEFAULT_MODELS["hosted" if hosted else "embedded"]
        return self._run(self._retry.attempt(self._provider.backend(name).models))

    def limits(self, model: str | None) -> tuple[int | None, int | None]:
        """Return the requests and the tokens a minute that are known for a model; None while they are not."""
        limiter = self._provider.limiter(self.model_name(model))
        return limiter.requests_per_minute, limiter.tokens_per_minute

    def cost_usd(self, model: str, usage: TokenUsage, *, is_batch: bool = False) -> Decimal | None:
        """Return what the tokens cost: 0 for an embedded model, None where no price is known; see `mistral_nb.prices`."""
        return self._provider.cost_usd(model, usage, is_batch=is_batch)

    def token_counter(self, model: str) -> TokenCounter:
        """Return what counts the tokens of a model that this session asks; it takes a second to load the first time."""
        return self._provider.token_counter(model)

    @property
    def ledger(self) -> Ledger:
        """Every request of every door, a line each."""
        return self.books.ledger

    def model_name(self, model: str | None) -> str:
        """Return the API's name of the model that answers when `model` (or, with None, no model) is named."""
        name = catalogue.full_name(checked_model_name(model or self.settings.default_model))
        if self.settings.is_mistrals_own:
            warn_of_retirement(name)
        return name

    def embedding_model(self, model: str | None, *, beside: str | None = None) -> str:
        """Return the name of the model that gives vectors when `model`, or no model, is named.

        Parameters
        ----------
        beside
            The model that reads the same texts: where it is an embedded one, no other is sent them.

        Raises
        ------
        NotSupported
            That model is known to give none.
        """
        is_embedded = is_local(beside or self.settings.default_model)
        default = DEFAULT_EMBEDDING_MODELS["embedded" if is_embedded else "hosted"]
        return checked_kind(self.model_name(model or default), "embed", "gives no vectors", default)

    def moderation_model(self, model: str | None) -> str:
        """Return the name of the model that moderates when `model`, or no model, is named; NotSupported as in `embedding_model`."""
        default = DEFAULT_MODERATION_MODEL
        if model is None and self.settings.answered_by == "embedded":
            model = self.settings.default_model
        return checked_kind(self.model_name(model or default), "moderation", "does not moderate", default)

    def close(self) -> None:
        """Stop runs in the background, close connections and files; the embedded server ends a little after its last client."""
        self._rows.cancel_all()
        self._provider.close()
        self.ledger.write()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def retire(self) -> None:
        """Close as soon as no call is under way: other settings hold from now on, but nothing already asked is cut."""
        self._calls.close_after_last()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with self._calls.one():
            return background_loop.run(coroutine)

    def _complete(self, request: CompletionRequest) -> Completion:
        backend = self._provider.backend(request.model)
        return self._ask(request, backend.complete, operation="chat", verb="complete")

    def _ask(
        self,
        request: RequestT,
        call: Callable[[RequestT], Awaitable[AnswerT]],
        *,
        operation: Operation,
        verb: str,
    ) -> AnswerT:
        return self._answer(self._questions.ask(request, call, operation=operation, verb=verb))

    def _answer(self, asking: Coroutine[Any, Any, AnswerT]) -> AnswerT:
        try:
            return self._run(asking)
        finally:  # that many fail is said, above all, where they fail
            self.books.alerts.warn()

    def _warning_after(self, pieces: Generator[Delta]) -> Generator[Delta]:
        try:
            yield from pieces
        finally:
            self.books.alerts.warn()

    def budgets_of(self, plan: RowsPlan, budget: Budget, *, is_batch: bool) -> Budgets:
        """Return all budgets that the requests of a plan have to fit into, asked now; `budget` is its own."""
        return self.books.budgets(plan.model, occasion_now(plan.task.verb), budget, is_batch=is_batch)


def _several(texts: Sequence[str]) -> Sequence[str]:
    """Return the texts; InvalidOption for a single one, whose letters would be taken for texts."""
    if isinstance(texts, str):
        raise InvalidOption(f"texts is the single text {shortened(texts)}.", "Give a list of texts, e.g. [text].")
    return texts
