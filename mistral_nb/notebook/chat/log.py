"""The turns of a panel, and every change of them as a numbered message.

Keeps to itself: the lock, the numbers, and the text that is still to be sent.
Promises: whoever applies the messages in the order of their numbers to a snapshot has the same turns; a message that comes late,
twice, or after a gap is known by its number. Any thread may read and change.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mistral_nb.completion import JsonObject
from mistral_nb.notebook.chat.pace import Pace
from mistral_nb.notebook.chat.turns import ChatTurn, TextKind, TextPart

Send = Callable[[JsonObject], None]


class ChatLog:
    """What was said, and who is told of it.

    Parameters
    ----------
    send
        Called with each message, in order.
    clock
        Seconds, for tests.
    """

    def __init__(self, send: Send, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._lock = threading.RLock()
        self._turns: dict[int, ChatTurn] = {}
        self._facts: JsonObject = {}
        self._number = 0
        self._next_id = 1
        self._growing: _Growing | None = None

    @property
    def turns(self) -> tuple[ChatTurn, ...]:
        """All turns, oldest first."""
        with self._lock:
            return tuple(self._turns.values())

    def get(self, turn_id: int) -> ChatTurn | None:
        """Return a turn; None where it was dropped."""
        with self._lock:
            return self._turns.get(turn_id)

    def add(self, question: str, *, draft: str | None = None, **fields: Any) -> ChatTurn:
        """Append a turn; `draft` is the name under which a front end sent the question."""
        with self._lock:
            turn = ChatTurn(id=self._next_id, question=question, **fields)
            self._next_id += 1
            self._turns[turn.id] = turn
            self._tell("turn", turn=turn.as_json(), **({} if draft is None else {"draft": draft}))
            return turn

    def change(self, turn_id: int, update: Callable[[ChatTurn], ChatTurn]) -> ChatTurn | None:
        """Replace a turn by what `update` makes of it, and return that; None where it was dropped."""
        with self._lock:
            turn = self._turns.get(turn_id)
            if turn is None:
                return None
            changed = update(turn)
            if changed != turn:
                self._stop_growing(turn_id)
                self._turns[turn_id] = changed
                self._tell("turn", turn=changed.as_json())
            return changed

    def grow(self, turn_id: int, kind: TextKind, text: str) -> None:
        """Append to what the model says; it is sent by `flush`."""
        with self._lock:
            turn = self._turns.get(turn_id)
            if turn is None or not text:
                return
            turn = turn.with_text(kind, text)
            part = len(turn.parts) - 1
            growing = self._growing
            if growing is None or (growing.turn_id, growing.part) != (turn_id, part):
                self._flush_now()
                is_same = growing is not None and growing.turn_id == turn_id
                pace = growing.pace if growing is not None and is_same else Pace(self._clock)
                sent = len(_text_of(turn, part)) - len(text)
                self._growing = _Growing(turn_id=turn_id, part=part, kind=kind, sent=sent, pace=pace)
            self._turns[turn_id] = turn

    def flush(self) -> None:
        """Send what has been said since, if it is time to."""
        with self._lock:
            growing = self._growing
            if growing is not None and growing.pace.is_due(len(self._pending(growing))):
                self._flush_now()

    def drop(self, turn_id: int | None = None) -> list[int]:
        """Drop a turn and what follows, or with None all; return their ids."""
        with self._lock:
            if turn_id is not None and turn_id not in self._turns:
                return []
            dropped = [known for known in self._turns if turn_id is None or known >= turn_id]
            for known in dropped:
                self._stop_growing(known)
                del self._turns[known]
            if dropped:
                self._tell("dropped", ids=dropped)
            return dropped

    def tell_facts(self, facts: JsonObject) -> None:
        """Set what the panel says of itself: model, cost, what is shared."""
        with self._lock:
            if facts != self._facts:
                self._facts = facts
                self._tell("facts", facts=facts)

    def tell_all(self, **content: Any) -> None:
        """Send a snapshot, and this with it, for a front end that begins or has missed something."""
        with self._lock:
            self._flush_now()
            turns = [turn.as_json() for turn in self._turns.values()]
            self._tell("snapshot", turns=turns, facts=self._facts, **content)

    def _pending(self, growing: "_Growing") -> str:
        return _text_of(self._turns[growing.turn_id], growing.part)[growing.sent :]

    def _flush_now(self) -> None:
        growing = self._growing
        text = "" if growing is None else self._pending(growing)
        if growing is not None and text:
            self._tell("piece", turn=growing.turn_id, part=growing.part, type=growing.kind, at=growing.sent, text=text)
            growing.pace.sent(len(text))
            growing.sent += len(text)

    def _stop_growing(self, turn_id: int) -> None:
        """Forget what was still to be sent of a turn that is sent as a whole, or dropped."""
        if self._growing is not None and self._growing.turn_id == turn_id:
            self._growing = None

    def _tell(self, kind: str, **content: Any) -> None:
        self._number += 1
        self._send({"kind": kind, "number": self._number, **content})


@dataclass(slots=True, kw_only=True)
class _Growing:
    """The part that grows, and how much of it was sent."""

    turn_id: int
    part: int
    kind: TextKind
    sent: int
    pace: Pace


def _text_of(turn: ChatTurn, part: int) -> str:
    growing = turn.parts[part]
    return growing.text if isinstance(growing, TextPart) else ""
