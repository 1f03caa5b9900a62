"""What the pages of a panel say: each message once and in order, though a message may be lost, doubled or overtaken on its way.

Keeps to itself: how far each page was heard, and what came too early.
Promises: a page that sends its numbered messages again until they are heard has each obeyed exactly once, in the order of their
numbers. Messages may come from any thread.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mistral_nb.completion import JsonObject

Message = tuple[Any, Sequence[memoryview]]


class Inbox:
    """Of one panel.

    Parameters
    ----------
    obey
        Called with each message (content and buffers), one at a time; a message counts as heard even where this raises.
    """

    def __init__(self, obey: Callable[[Message], None]) -> None:
        self._obey = obey
        self._lock = threading.RLock()
        self._pages: dict[str, _Page] = {}

    def take(self, page: str, number: int, message: Message) -> JsonObject:
        """Take a page's message of this number, from 1 up; return what the page is told of how far it was heard."""
        with self._lock:
            known = self._pages.setdefault(page, _Page())
            if number > known.heard:
                known.early[number] = message
            while known.heard + 1 in known.early:
                known.heard += 1
                self._obey(known.early.pop(known.heard))
            return _told(page, known, is_gap=bool(known.early))

    def progress(self, page: str) -> JsonObject:
        """Return what a page is told that asks how far it was heard: it says more, where it has said more."""
        with self._lock:
            return _told(page, self._pages.get(page, _Page()), is_gap=True)


@dataclass(slots=True)
class _Page:
    heard: int = 0
    early: dict[int, Message] = field(default_factory=dict)


def _told(page: str, known: _Page, *, is_gap: bool) -> JsonObject:
    return {"kind": "heard", "page": page, "upTo": known.heard, "isGap": is_gap}
