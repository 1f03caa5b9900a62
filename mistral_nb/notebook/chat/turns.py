"""A question and what came of it, as the panel keeps it.

Keeps to itself: how much of a tool's result is shown.
Promises: frozen records; what a front end is given is plain JSON, text as text and nothing of it as HTML.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from mistral_nb.completion import Completion, JsonObject
from mistral_nb.counted import counted
from mistral_nb.errors import MistralNotebookError
from mistral_nb.notebook.chat.images import ImageFile
from mistral_nb.notebook.conversations import Exchange
from mistral_nb.notebook.display import answer_bundle
from mistral_nb.tools.call_messages import NO_TEXT
from mistral_nb.tools.records import Call, ToolStep

TurnState = Literal["queued", "running", "done", "stopped", "failed"]
TextKind = Literal["text", "thinking"]
CallState = Literal["asking", "running", "done", "failed", "denied", "stopped"]

_MOST_SHOWN_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """A piece of what the model said or thought."""

    kind: TextKind
    text: str

    def as_json(self) -> JsonObject:
        return {"kind": self.kind, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPart:
    """A call of a tool: what the model asked for, and what has come of it so far."""

    id: str
    name: str
    arguments: str
    state: CallState
    result: str = ""
    seconds: float = 0.0

    @classmethod
    def of(cls, call: Call, *, state: CallState) -> "CallPart":
        """Return the part of a call that has no result yet."""
        return cls(id=call.id, name=call.name, arguments=_arguments_text(call.arguments), state=state)

    @classmethod
    def of_step(cls, step: ToolStep) -> "CallPart":
        """Return the part of a call that has come to its end."""
        state: CallState = "denied" if step.was_denied else "failed" if step.error is not None else "done"
        return cls(
            id=step.id,
            name=step.name,
            arguments=_arguments_text(step.arguments),
            state=state,
            result=_shown(step.error if step.error is not None else step.result),
            seconds=step.seconds,
        )

    def as_json(self) -> JsonObject:
        return {
            "kind": "call",
            "id": self.id,
            "name": self.name,
            "arguments": self.arguments,
            "state": self.state,
            "result": self.result,
            "seconds": round(self.seconds, 3),
        }


Part = TextPart | CallPart


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ChatTurn:
    """One question of a chat panel, and what came of it.

    Attributes
    ----------
    id
        Its number in the panel, from 1 up; never used again.
    question
        What was asked.
    images
        What was sent along.
    model
        Who is asked.
    state
        "queued", "running", "done", "stopped" (by a person; what had come is kept) or "failed".
    parts
        What the model thought, said and called, in that order.
    completion
        The answer, with tokens, finish_reason and seconds; None before its end, and where nothing came.
    steps
        Every call that came to its end.
    cost_usd
        What it cost, in USD; None where the price is not known.
    footer, note
        The lines below the answer: model, tokens, cost, seconds; and what the reader must know of how it ended.
    error
        Why it failed; None otherwise.
    left_out
        How many older turns were not sent along, since they did not fit into the model's window.
    is_pinned
        Whether it is always sent along.
    said
        The messages after the question, calls and results among them; empty where the answer broke off: then its text is sent
        along alone.

    Examples
    --------
    >>> import mistral_nb
    >>> turn = mistral_nb.ChatPanel(max_tokens=10).ask("Say hello.")
    >>> turn.state, turn.text == str(turn)
    ('done', True)
    """

    id: int
    question: str
    model: str
    images: tuple[ImageFile, ...] = ()
    state: TurnState = "queued"
    parts: tuple[Part, ...] = ()
    completion: Completion | None = None
    steps: tuple[ToolStep, ...] = ()
    cost_usd: Decimal | None = None
    footer: str = ""
    note: str = ""
    error: MistralNotebookError | None = None
    left_out: int = 0
    is_pinned: bool = False
    said: tuple[JsonObject, ...] = field(default=())

    @property
    def text(self) -> str:
        """The answer: with tools, what the model said after the last of them."""
        if self.completion is not None:
            return self.completion.text
        return next(
            (part.text for part in reversed(self.parts) if isinstance(part, TextPart) and part.kind == "text"), ""
        )

    @property
    def question_message(self) -> JsonObject:
        """The question as the API takes it."""
        if not self.images:
            return {"role": "user", "content": self.question}
        text = [{"type": "text", "text": self.question}] if self.question else []
        return {"role": "user", "content": [*text, *(image.chunk() for image in self.images)]}

    def exchange(self) -> Exchange | None:
        """Return what is sent along with later questions; None while there is no answer."""
        if self.said:
            answer = self.said
        elif self.text.strip() or self.steps:
            answer = ({"role": "assistant", "content": self.text or NO_TEXT},)
        else:
            return None
        return Exchange(messages=(self.question_message, *answer), is_pinned=self.is_pinned)

    def with_text(self, kind: TextKind, text: str) -> "ChatTurn":
        """Return the turn with a further piece of what the model says."""
        last = self.parts[-1] if self.parts else None
        if isinstance(last, TextPart) and last.kind == kind:
            return replace(self, parts=(*self.parts[:-1], TextPart(kind=kind, text=last.text + text)))
        return replace(self, parts=(*self.parts, TextPart(kind=kind, text=text)))

    def with_call(self, call: CallPart) -> "ChatTurn":
        """Return the turn with a call, in the place of the same call's earlier state."""
        ids = [part.id if isinstance(part, CallPart) else None for part in self.parts]
        if call.id not in ids:
            return replace(self, parts=(*self.parts, call))
        at = ids.index(call.id)
        return replace(self, parts=(*self.parts[:at], call, *self.parts[at + 1 :]))

    def as_json(self) -> JsonObject:
        """Return the turn as a front end is given it."""
        return {
            "id": self.id,
            "question": self.question,
            "images": [
                {"name": image.name, "type": image.media_type, "bytes": len(image.content)} for image in self.images
            ],
            "model": self.model,
            "state": self.state,
            "parts": [part.as_json() for part in self.parts],
            "footer": self.footer,
            "note": self.note,
            "error": None if self.error is None else error_json(self.error),
            "leftOut": self.left_out,
            "isPinned": self.is_pinned,
        }

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self._bundle()["text/plain"]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._bundle()

    def _bundle(self) -> dict[str, str]:
        error = "" if self.error is None else f"{type(self.error).__name__}: {self.error}"
        steps = [str(step) for step in self.steps]
        return answer_bundle(self.text, note=error or self.note, footer=self.footer, steps=steps)


def error_json(error: MistralNotebookError) -> JsonObject:
    """Return an error as a front end is given it."""
    return {"kind": type(error).__name__, "problem": error.problem, "remedy": error.remedy}


def _arguments_text(arguments: Mapping[str, Any] | str) -> str:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, indent=1)
    return _shown(text)


def _shown(text: str) -> str:
    if len(text) <= _MOST_SHOWN_CHARACTERS:
        return text
    return f"{text[:_MOST_SHOWN_CHARACTERS]}… [{counted(len(text) - _MOST_SHOWN_CHARACTERS, 'character')} more]"
