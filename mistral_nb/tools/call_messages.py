"""Calls and their results as messages that the API takes back.

Keeps to itself: what the API demands of a conversation with tools: ids of nine letters or digits, each once; names of a-z, A-Z,
0-9, _ and -; arguments that are JSON; an assistant that says something. (Recorded 2026-08; mistral-common's validator.)
Promises: pure but for the ids it makes up; whatever a model or another server wrote, the messages are accepted. What was right
is kept as it was.
"""

import json
import re
import secrets
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mistral_nb.completion import Completion, JsonObject, ToolCall
from mistral_nb.errors import InvalidOption
from mistral_nb.tools.records import Call

NO_TEXT = "(no answer)"

_ID = re.compile(r"[a-zA-Z0-9]{9}")
_ID_CHARACTERS = string.ascii_letters + string.digits
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_MOST_NAME_CHARACTERS = 64
_CHOICES = ("auto", "any", "none", "required")


def sound_calls(calls: Iterable[ToolCall], *, round_number: int) -> list[Call]:
    """Return the calls of one answer; a missing, doubled or otherwise unacceptable id is replaced."""
    sound: list[Call] = []
    for call in calls:
        taken = {earlier.id for earlier in sound}
        is_sound = _ID.fullmatch(call.id) is not None and call.id not in taken
        sound.append(
            Call(
                id=call.id if is_sound else _new_id(),
                name=call.name,
                arguments=_object(call.arguments),
                round=round_number,
            )
        )
    return sound


def assistant_message(completion: Completion, calls: Sequence[Call] = ()) -> dict[str, Any]:
    """Return an answer as a message: what the model thought, said and asked for.

    Calls go back with the arguments as they were written; text that is no JSON object, which servers refuse, goes back as ``{}``,
    and the call's result quotes it.
    """
    said = completion.text or ("" if calls else NO_TEXT)
    content: Any = said
    if completion.thinking:
        # Models that reason read their earlier thoughts back; recorded so.
        thoughts = [{"type": "text", "text": completion.thinking}]
        content = [{"type": "thinking", "thinking": thoughts}, *([{"type": "text", "text": said}] if said else [])]
    message = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [_called(call) for call in calls]
    return message


def tool_message(call_id: str, text: str) -> dict[str, Any]:
    """Return the result of a call as a message."""
    return {"role": "tool", "content": text, "tool_call_id": call_id}


def tool_choice_field(choice: Any, names: Iterable[str]) -> str | dict[str, Any] | None:
    """Return the request's `tool_choice` for a word of the API, or for a tool, a function or its name; None for "auto".

    Raises
    ------
    InvalidOption
        There is no such tool, or a call is demanded and there are no tools.
    """
    known = list(names)
    if choice in ("any", "required") and not known:
        raise InvalidOption(
            f"tool_choice is {choice!r} and there are no tools.", "Give some, e.g. tools=[lookup_owner]."
        )
    if choice is None or choice == "auto" or (choice == "none" and not known):
        return None
    if isinstance(choice, str) and choice in _CHOICES:
        return choice
    if isinstance(choice, Mapping):
        choice = (choice.get("function") or {}).get("name")
    name = choice if isinstance(choice, str) else getattr(choice, "name", getattr(choice, "__name__", None))
    if name not in known:
        raise InvalidOption(
            f"tool_choice names {name!r}, which is not among the tools.",
            f"Use one of: {', '.join([*_CHOICES, *known])}.",
        )
    return {"type": "function", "function": {"name": name}}


def joined_messages(
    earlier: Sequence[JsonObject], new: Sequence[JsonObject], *, system: str | None
) -> tuple[JsonObject, ...]:
    """Return a conversation and what is now said in it; `system` takes the place of the system message it began with."""
    messages = [*earlier, *new]
    if system:
        if messages and messages[0].get("role") == "system":
            del messages[0]
        messages.insert(0, {"role": "system", "content": system})
    return tuple(messages)


def _called(call: Call) -> dict[str, Any]:
    name = _NOT_IN_NAMES.sub("_", call.name)[:_MOST_NAME_CHARACTERS] or "unknown"
    arguments = "{}" if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _object(text: str) -> dict[str, Any] | str:
    """Return the JSON object that a text is, else the text."""
    try:
        value = json.loads(text.strip() or "{}")
        # Half of a surrogate pair and NaN can be read, but not sent.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def _new_id() -> str:
    return "".join(secrets.choice(_ID_CHARACTERS) for _ in range(9))
