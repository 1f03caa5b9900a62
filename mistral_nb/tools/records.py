"""What happens while a model uses tools: calls, steps, events, and the answer.

Promises: frozen records; what a model wrote is shown without characters that a terminal would obey.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mistral_nb.completion import Completion, Delta, JsonObject, TokenUsage
from mistral_nb.counted import counted
from mistral_nb.terminal_table import plain_text

_SHOWN_CHARACTERS = 100
_SHOWN_SECONDS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that the model asks for; `arguments` is the text it wrote where that is no JSON object."""

    id: str
    name: str
    arguments: Mapping[str, Any] | str
    round: int

    def __str__(self) -> str:
        return shown_call(self.name, self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStep:
    """One call, and what came of it.

    Attributes
    ----------
    id
        The call's id in the conversation.
    name
        Of the tool, as the model wrote it.
    arguments
        What the model gave, by parameter; the text it wrote where that is no JSON object.
    result
        The text that the model was given.
    value
        What the function returned.
    seconds
        How long the function took.
    error
        Class and message of what went wrong: "KeyError: '43'"; None when the function returned.
    exception
        The exception itself, with its traceback; None where the function was not called or returned.
    was_denied
        Whether a person (or there being none to ask) kept the call from being made.
    round
        In which answer of the model the call was, from 1 up.

    Examples
    --------
    >>> import mistral_nb
    >>> @mistral_nb.tool
    ... def lookup_owner(id: str) -> str:
    ...     '''Return the account owner.'''
    ...     return "Ada Lovelace"
    >>> answer = mistral_nb.chat_with_tools("Who owns account 42?", tools=[lookup_owner], tool_choice="any", max_tokens=60)
    >>> step = answer.steps[0]
    >>> step.name, step.result, step.error, step.round
    ('lookup_owner', 'Ada Lovelace', None, 1)
    """

    id: str
    name: str
    arguments: Mapping[str, Any] | str
    result: str
    round: int
    value: Any = field(default=None, repr=False)
    seconds: float = 0.0
    error: str | None = None
    exception: BaseException | None = field(default=None, repr=False, compare=False)
    was_denied: bool = False

    def __str__(self) -> str:
        took = f" ({self.seconds:.2f} s)" if self.seconds >= _SHOWN_SECONDS else ""
        return f"{shown_call(self.name, self.arguments)} → {_shortened(self.result)}{took}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ToolAnswer:
    """The answer of a model that could use tools.

    Attributes
    ----------
    text
        The answer.
    steps
        Every call, in the order in which the model asked for them.
    messages
        The whole conversation as the API takes it; `chat_with_tools` goes on from it with ``messages=answer.messages``.
    completions
        Every answer of the model, the last one included.
    cost_usd
        What all of them cost; None where the price is not known.
    reached_max_rounds
        Whether the model was kept from calling more.

    Examples
    --------
    >>> import mistral_nb
    >>> @mistral_nb.tool
    ... def lookup_owner(id: str) -> str:
    ...     '''Return the account owner.'''
    ...     return "Ada Lovelace"
    >>> answer = mistral_nb.chat_with_tools("Who owns account 42?", tools=[lookup_owner], tool_choice="any", max_tokens=60)
    >>> answer.steps[0].name, answer.rounds == len(answer.completions), answer.cost_usd
    ('lookup_owner', True, Decimal('0'))
    """

    text: str
    steps: tuple[ToolStep, ...]
    messages: tuple[JsonObject, ...]
    completions: tuple[Completion, ...]
    cost_usd: Decimal | None
    reached_max_rounds: bool = False

    @property
    def usage(self) -> TokenUsage:
        """Tokens of all completions."""
        return sum((completion.usage for completion in self.completions), TokenUsage())

    @property
    def rounds(self) -> int:
        """How many requests it took."""
        return len(self.completions)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = "\n".join(plain_text(line) for line in self.text.splitlines())
        return "\n".join([*(f"{number}. {step}" for number, step in enumerate(self.steps, start=1)), text])


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPiece:
    """The next piece of what the model says; the last one of a round has its usage."""

    delta: Delta
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted:
    """The model asked for a call. All calls of a round are told before the first is made."""

    call: Call


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    """A call came to its end, whichever. Calls of a round finish in any order."""

    step: ToolStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last event."""

    answer: ToolAnswer


ToolEvent = AnswerPiece | CallStarted | CallFinished | Finished


def shown_call(name: str, arguments: Mapping[str, Any] | str, *, characters: int = _SHOWN_CHARACTERS) -> str:
    """Return a call in one line, as Python would write it."""
    if isinstance(arguments, str):
        return f"{plain_text(name)}({_shortened(arguments, characters)})"
    given = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
    return f"{plain_text(name)}({_shortened(given, characters)})"


def _shortened(text: str, characters: int = _SHOWN_CHARACTERS) -> str:
    shown = plain_text(text)
    if len(shown) <= characters:
        return shown
    return f"{shown[:characters]}… {counted(len(shown) - characters, 'more character')}"
