"""A streamed answer: from the bytes of the connection to deltas.

Keeps to itself: the format of server-sent events, and the joining of tool-call fragments.
Promises: two pure objects, the same result however the bytes are cut: `EventDecoder` (bytes to events) and `StreamedAnswer`
(events to deltas, the last one whole).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mistral_nb.api_errors import error_from_frame
from mistral_nb.backends.answers import arguments_text, message_text, usage_from
from mistral_nb.completion import Delta, TokenUsage, ToolCall
from mistral_nb.errors import ConnectionLost, InvalidAnswer

DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `name` is empty unless the server gave one."""

    data: str
    name: str = ""


class EventDecoder:
    """Server-sent events from bytes in pieces of any size.

    Lines are split as bytes, at line feeds and carriage returns only: `str.splitlines` would also split at U+2028 and others,
    which JSON text may hold unescaped.
    """

    def __init__(self) -> None:
        self._unread = b""
        self._data: list[str] = []
        self._name = ""
        self._at_start = True

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Yield the events that are complete with this piece."""
        lines = (self._unread + piece).splitlines(keepends=True)
        # A final carriage return may be half of a line end: it waits for the next piece.
        self._unread = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        yield from self._read(lines)

    def end(self) -> Iterator[Event]:
        """Yield the event that the end of the bytes completes, if there is one."""
        rest, self._unread = self._unread, b""
        yield from self._read([rest, b"\n"] if rest else [b"\n"])

    def _read(self, lines: list[bytes]) -> Iterator[Event]:
        for raw in lines:
            line = raw.rstrip(b"\r\n").decode("utf-8", "replace")
            if self._at_start:
                line, self._at_start = line.removeprefix("\ufeff"), False
            if line:
                self._note(line)
                continue
            if self._data:
                yield Event(data="\n".join(self._data), name=self._name)
            self._data, self._name = [], ""

    def _note(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value


@dataclass(slots=True)
class _Call:
    """A tool call in the making."""

    id: str
    name: str
    arguments: str = ""


class StreamedAnswer:
    """The deltas of one streamed answer, from its events.

    `receive` gives the text as it comes; finish_reason, usage and whole tool calls are kept for `last`: servers differ in the
    order and in the number of chunks in which they send these. Of several choices (`n` > 1) only the first is read, and fields it
    does not know, such as the padding `p`, are ignored.
    """

    def __init__(self, *, model: str) -> None:
        self._asked = model
        self._model: str | None = None
        self._response_id: str | None = None
        self._finish_reason: str | None = None
        self._usage: TokenUsage | None = None
        self._calls: list[_Call] = []
        self._call_at: dict[object, _Call] = {}
        self.is_done = False

    def receive(self, event: Event) -> Delta | None:
        """Return the delta that an event brings, None when it brings neither text nor thinking."""
        if event.data.strip() == DONE:
            self.is_done = True
            return None
        data = self._chunk(event)
        self._model = str(data["model"]) if data.get("model") else self._model
        self._response_id = str(data["id"]) if data.get("id") else self._response_id
        if data.get("usage"):
            self._usage = usage_from(data["usage"])
        choice = next((item for item in _objects(data.get("choices")) if not item.get("index")), {})
        if choice.get("finish_reason"):
            self._finish_reason = str(choice["finish_reason"])
        delta = next(_objects([choice.get("delta"), choice.get("message")]), {})
        for fragment in _objects(delta.get("tool_calls")):
            self._join(fragment)
        text, thinking = message_text(delta)
        if not text and not thinking:
            return None
        return Delta(text=text, thinking=thinking, model=self._model, response_id=self._response_id)

    def last(self) -> Delta:
        """Return the delta that ends the answer; ConnectionLost when the answer has not come to its end."""
        if self._finish_reason is None and not self.is_done:
            raise ConnectionLost("The stream ended in the middle of the answer.", "Send it again.")
        calls = tuple(ToolCall(id=call.id, name=call.name, arguments=call.arguments) for call in self._calls)
        return Delta(
            tool_calls=calls,
            finish_reason=self._finish_reason or ("tool_calls" if calls else "stop"),
            usage=self._usage or TokenUsage(),
            model=self._model,
            response_id=self._response_id,
        )

    def _chunk(self, event: Event) -> dict[str, Any]:
        """Return the event's JSON object, or raise the error that the event is."""
        try:
            data = json.loads(event.data)
        except ValueError:
            data = None
        if event.name == "error" or (isinstance(data, dict) and _is_error(data)):
            raise error_from_frame(data if isinstance(data, dict) else {"message": event.data}, model=self._asked)
        if not isinstance(data, dict):
            raise InvalidAnswer(
                f"The stream holds something that is no JSON object: {event.data[:200]!r}", "Send it again."
            )
        return data

    def _join(self, fragment: Mapping[str, Any]) -> None:
        """Add a fragment to the call it belongs to: the one at its index, else the one with its id, else the latest.

        A new id with a name begins a new call even at an index that is taken: some servers give every whole call the index 0.
        """
        function = next(_objects([fragment.get("function")]), {})
        call_id, name = str(fragment.get("id") or ""), str(function.get("name") or "")
        place = fragment.get("index")
        key = place if isinstance(place, int) else (call_id or None)
        call = self._call_at.get(key) if key is not None else (self._calls[-1] if self._calls else None)
        if call is None or (call_id and name and call_id != call.id):
            call = _Call(id=call_id, name=name)
            self._calls.append(call)
            self._call_at[key] = call
        call.id = call.id or call_id
        call.name = call.name or name
        call.arguments += arguments_text(function.get("arguments"))


def _objects(items: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in items if isinstance(item, Mapping)) if isinstance(items, list) else iter(())


def _is_error(data: Mapping[str, Any]) -> bool:
    return data.get("object") == "error" or (
        "choices" not in data and bool({"error", "detail", "message"} & data.keys())
    )
