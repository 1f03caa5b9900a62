"""A page for tests: it hears what a panel tells, applies it as the front end does, and says what a reader clicks."""

import threading
from collections.abc import Callable
from typing import Any

from mistral_nb import ChatPanel

PATIENCE_SECONDS = 60.0


class Page:
    """One open page of a panel."""

    def __init__(self, panel: ChatPanel) -> None:
        self.panel = panel
        self.turns: dict[int, dict[str, Any]] = {}
        self.facts: dict[str, Any] = {}
        self.received: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self.heard = 0
        self._said = 0
        panel.send = self._receive
        self.hello()

    def hello(self, *drafts: str) -> None:
        """Ask for everything, and for what became of these questions."""
        self.arrives({"kind": "hello", "drafts": list(drafts)})

    def says(self, kind: str, *, buffers: tuple[bytes, ...] = (), **content: Any) -> None:
        """Send a message to the panel, as a click does."""
        self._said += 1
        self.arrives({"kind": kind, **content, "page": "a", "number": self._said}, buffers)

    def arrives(self, message: dict[str, Any], buffers: tuple[bytes, ...] = ()) -> None:
        """Let a message come to the panel as it is."""
        self.panel._handle_custom_msg(message, [memoryview(buffer) for buffer in buffers])

    def asks(self, text: str, *, draft: str = "1", images: dict[str, bytes] | None = None) -> None:
        files = images or {}
        self.says("ask", text=text, draft=draft, images=list(files), buffers=tuple(files.values()))

    def until(self, is_so: Callable[[], Any]) -> Any:
        """Wait until it is so, looking again whenever a message comes."""
        with self._changed:
            assert self._changed.wait_for(is_so, PATIENCE_SECONDS), self.received[-5:]
            return is_so()

    def ended(self, turn_id: int) -> dict[str, Any]:
        """Wait for the end of a turn, and return it."""
        self.until(lambda: self.turns.get(turn_id, {}).get("state") in ("done", "stopped", "failed"))
        return self.turns[turn_id]

    def text(self, turn_id: int) -> str:
        parts = self.turns.get(turn_id, {}).get("parts", [])
        return "".join(part["text"] for part in parts if part["kind"] == "text")

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["kind"] == kind]

    def _receive(self, message: dict[str, Any]) -> None:
        if message["kind"] == "heard":
            self.heard = message["upTo"]
            return
        with self._changed:
            self.received.append(message)
            apply(message, self.turns)
            self.facts = message.get("facts", self.facts)
            self._changed.notify_all()


def apply(message: dict[str, Any], turns: dict[int, dict[str, Any]]) -> None:
    """Apply a numbered message to the turns, as the front end does."""
    match message:
        case {"kind": "snapshot", "turns": told}:
            turns.clear()
            turns.update({turn["id"]: turn for turn in told})
        case {"kind": "turn", "turn": turn}:
            turns[turn["id"]] = turn
        case {"kind": "piece", "turn": turn_id, "part": part, "type": kind, "at": at, "text": text}:
            parts = list(turns[turn_id]["parts"])
            if part == len(parts):
                parts.append({"kind": kind, "text": ""})
            assert len(parts[part]["text"]) == at
            parts[part] = {"kind": kind, "text": parts[part]["text"] + text}
            turns[turn_id] = {**turns[turn_id], "parts": parts}
        case {"kind": "dropped", "ids": ids}:
            for turn_id in ids:
                del turns[turn_id]
