"""The records every layer speaks: what is asked, what came back, what it used.

Keeps to itself: how a request becomes the JSON body of the API.
Promises: frozen records with the API's own field names; nothing here imports the SDK, pandas or IPython.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from mistral_nb.rate_limits import RateLimits

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChoice:
    """The same question as its request's messages, as a choice: which of `labels` fits `text`?

    A backend that can score labels (the embedded one) may answer from this; any other answers the messages. Either way the
    completion's text has the form that the request's `response_format` asks for: an object whose "label" is one of `answers`, or
    whose "labels" are some of them.

    Attributes
    ----------
    labels
        What each label is called.
    answers
        What stands for each label in the answer; empty where the labels stand for themselves.
    hints
        For each label, texts that say more of it: a description, examples; empty where there are none.
    other
        The one of the labels for texts that none of the others fits; None where each text gets one of the others.
    instructions
        What else to mind, in words. Scores don't heed it: small models that read it judged worse.
    are_instructions_hints
        Whether part of the instructions is among the hints, which scores do heed.
    is_several
        Whether any number of the labels may apply, also none.
    """

    text: str
    labels: tuple[str, ...]
    answers: tuple[str, ...] = ()
    hints: tuple[tuple[str, ...], ...] = ()
    other: str | None = None
    instructions: str = ""
    are_instructions_hints: bool = False
    is_several: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One question to one model, with the field names of ``POST /v1/chat/completions``.

    Parameters
    ----------
    model
        Model name as the API (or the embedded server) knows it.
    messages
        Chat messages, oldest first, each ``{"role": …, "content": …}``.
    temperature, top_p, max_tokens, stop, random_seed, response_format, tools, tool_choice
        As in the API; None (or empty) leaves the field out, so that the model's own default holds.
    options
        Further API fields by name, e.g. ``{"safe_prompt": True}``.
    choice
        The question as a choice between labels, for backends that can score labels.

    Examples
    --------
    >>> import mistral_nb
    >>> question = mistral_nb.session().request("Say hello.", system="Be brief.", max_tokens=5)
    >>> [message["role"] for message in question.messages], question.body()["max_tokens"]
    (['system', 'user'], 5)
    """

    model: str
    messages: tuple[JsonObject, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    random_seed: int | None = None
    response_format: JsonObject | None = None
    tools: tuple[JsonObject, ...] = ()
    tool_choice: str | JsonObject | None = None
    options: JsonObject = field(default_factory=dict)
    choice: LabelChoice | None = None

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the API request; fields that were not set are left out."""
        body: dict[str, Any] = {"model": self.model, "messages": [dict(message) for message in self.messages]}
        optional = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "stop": list(self.stop) or None,
            "random_seed": self.random_seed,
            "response_format": self.response_format,
            "tools": list(self.tools) or None,
            "tool_choice": self.tool_choice,
        }
        body.update({name: value for name, value in optional.items() if value is not None})
        body.update(self.options)
        return body

    @property
    def most_completion_tokens(self) -> int | None:
        """The most tokens that all choices together can have; None where they have no bound."""
        return None if self.max_tokens is None else self.max_tokens * int(self.options.get("n") or 1)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the messages; images and the like have none."""
        return tuple(_text_of(message.get("content")) for message in self.messages)


def _text_of(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return "\n".join(_text_of(chunk.get("text") or chunk.get("thinking")) for chunk in content)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsRequest:
    """Texts for a model that looks at each by itself, with the field names of ``POST /v1/embeddings`` and ``/v1/moderations``.

    Attributes
    ----------
    endpoint
        Which of the two.
    inputs
        At least one text; each gets a result of its own, whatever the others are.
    max_tokens, most_completion_tokens
        Such a model writes nothing.
    """

    endpoint: Literal["embeddings", "moderations"]
    model: str
    inputs: tuple[str, ...]
    choice: ClassVar[None] = None
    max_tokens: ClassVar[int] = 0
    most_completion_tokens: ClassVar[int] = 0

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the API request."""
        return {"model": self.model, "input": list(self.inputs)}

    @property
    def texts(self) -> tuple[str, ...]:
        """The inputs."""
        return self.inputs


RowRequest = CompletionRequest | InputsRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one or more requests; usages add up with ``+``.

    `cached_tokens` are the part of `prompt_tokens` that the API served from its own prompt cache (and bills at a tenth).
    `is_priority` says that a request was processed at the priority tier, which costs more; together with others, all of them count
    as such.

    Examples
    --------
    >>> import mistral_nb
    >>> first, second = (mistral_nb.session().complete("Say hello.", max_tokens=limit).usage for limit in (1, 2))
    >>> (first + second).total_tokens == first.total_tokens + second.total_tokens
    True
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    is_priority: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "TokenUsage") -> "TokenUsage":
        return TokenUsage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            is_priority=self.is_priority or other.is_priority,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call the model asks for; `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str

    def parsed_arguments(self) -> dict[str, Any]:
        """Return the arguments as a dict; ValueError when the model did not write a JSON object."""
        value = json.loads(self.arguments or "{}")
        if not isinstance(value, dict):
            raise ValueError(f"The arguments of {self.name} are not a JSON object: {self.arguments!r}")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The next piece of a streamed answer; fields that the piece does not carry are empty or None.

    `tool_calls` are complete calls: the backend joins fragments and hands each call over once, in the last delta.
    `elapsed_seconds` is the wall time since the request was sent; `correlation_id` the API's header of that name.

    Examples
    --------
    >>> import mistral_nb
    >>> pieces = list(mistral_nb.session().stream("Say hello.", max_tokens=5))
    >>> "".join(piece.text for piece in pieces) != "", pieces[-1].usage.completion_tokens <= 5
    (True, True)
    """

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: TokenUsage | None = None
    model: str | None = None
    response_id: str | None = None
    correlation_id: str | None = None
    elapsed_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogProbability:
    """One token of an answer: its log-probability, and those of the tokens that were likeliest at its place, itself included."""

    token: str
    log_probability: float
    likeliest: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer.

    Attributes
    ----------
    text
        The answer; list contents are flattened, thinking is kept apart in `thinking`.
    finish_reason
        As the API sent it: "stop", "length", "model_length", "tool_calls", "error" or an unknown string, kept as it is.
    model
        The model that answered, as the response names it (the API echoes the alias that was asked for).
    latency_seconds, first_token_seconds
        Wall time from sending to the whole answer, and to its first piece (None when the answer was not streamed).
    correlation_id
        The API's `mistral-correlation-id` header, to quote to Mistral's support; None where the server sends none.
    rate_limits
        What the response's headers say of the account's limits; None where they say nothing, as with streams.
    other_choices
        The further answers to a request for several (``options={"n": …}``); their tokens are in this one's `usage`.
    token_log_probabilities
        One for each token of `text`, where they were asked for and the model gives them.
    label_probabilities
        The probability of each label of the request's `choice`, where the backend scored them.
    parsed
        The answer as the schema that was asked for gives it, e.g. an instance of a pydantic model; None without a schema.
        It says what `text` says, so answers are compared and shown without it.

    Examples
    --------
    >>> import mistral_nb
    >>> answer = mistral_nb.session().complete("Say hello.", max_tokens=1)
    >>> answer.model, answer.usage.completion_tokens, answer.finish_reason, answer.is_truncated
    ('local-tiny', 1, 'length', True)
    """

    text: str
    model: str
    finish_reason: str = "stop"
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: TokenUsage = TokenUsage()
    response_id: str | None = None
    correlation_id: str | None = None
    latency_seconds: float = 0.0
    first_token_seconds: float | None = None
    rate_limits: RateLimits | None = None
    other_choices: tuple["Completion", ...] = ()
    token_log_probabilities: tuple[TokenLogProbability, ...] = ()
    label_probabilities: Mapping[str, float] | None = None
    parsed: Any = field(default=None, compare=False, repr=False)

    @property
    def is_truncated(self) -> bool:
        """Whether the answer ended at `max_tokens` or at the model's window rather than by itself."""
        return self.finish_reason in {"length", "model_length"}

    def __str__(self) -> str:
        return self.text

    def extended_by(self, delta: Delta) -> "Completion":
        """Return this answer with the next streamed piece appended."""
        first_token_seconds = self.first_token_seconds
        if first_token_seconds is None and (delta.text or delta.thinking or delta.tool_calls):
            first_token_seconds = delta.elapsed_seconds
        return replace(
            self,
            text=self.text + delta.text,
            thinking=self.thinking + delta.thinking,
            tool_calls=self.tool_calls + delta.tool_calls,
            finish_reason=delta.finish_reason or self.finish_reason,
            usage=delta.usage or self.usage,
            model=delta.model or self.model,
            response_id=delta.response_id or self.response_id,
            correlation_id=delta.correlation_id or self.correlation_id,
            latency_seconds=delta.elapsed_seconds or self.latency_seconds,
            first_token_seconds=first_token_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Vectors in the order of the texts, one list of floats per text."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    usage: TokenUsage = TokenUsage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderation:
    """What the moderation model says of one text: a claim and a score in [0, 1] for each category the API names."""

    flagged: Mapping[str, bool]
    scores: Mapping[str, float]
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InputsAnswer:
    """What came back for an `InputsRequest`.

    Attributes
    ----------
    results
        One per input, in their order: a vector (tuple of floats), or a `Moderation`.
    latency_seconds, rate_limits
        As in `Completion`.
    """

    results: tuple[Any, ...]
    model: str
    usage: TokenUsage = TokenUsage()
    response_id: str | None = None
    latency_seconds: float = 0.0
    rate_limits: RateLimits | None = None
    finish_reason: ClassVar[str] = "stop"


RowAnswer = Completion | InputsAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model that the endpoint offers, as ``GET /v1/models`` describes it.

    `deprecation` is the time of its end, where that is set, and `replacement` the model to ask then.
    """

    id: str
    aliases: tuple[str, ...] = ()
    max_context_length: int | None = None
    capabilities: Mapping[str, bool] = field(default_factory=dict)
    deprecation: str | None = None
    replacement: str | None = None
