"""What tests of the row engine ask, and what the server says it was asked.

Keeps to itself: how a packed request is told from one row's. Promises: `Gate` holds answers back until it is opened, without time.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tests.fake_api import FakeApi, SeenRequest
from tests.fake_api.recorder import text_of
from tests.fake_api.schema_rules import rows_in

LABELS = ["billing", "delivery", "bug"]
_DEADLINE_SECONDS = 60.0


def texts(count: int, start: int = 0) -> list[str]:
    """Return so many distinct texts, of which number n should get the label ``LABELS[n % 3]``."""
    return [f"{LABELS[number % 3]} no {number}" for number in range(start, start + count)]


def labels_of(rows: list[Any]) -> list[Any]:
    """Return the label that each of `texts` should get; None for anything that holds none."""
    return [next((label for label in LABELS if isinstance(row, str) and label in row), None) for row in rows]


def is_pack(request: SeenRequest) -> bool:
    schema = ((request.body or {}).get("response_format") or {}).get("json_schema") or {}
    return schema.get("name") == "rows"


def texts_in(request: SeenRequest) -> list[str]:
    """Return the texts that a request asks for."""
    return [row.text for row in rows_in(request.text)] if is_pack(request) else [request.text]


def asked(api: FakeApi) -> list[list[str]]:
    """Return the texts of each request so far."""
    return [texts_in(request) for request in api.requests]


def pack_sizes(api: FakeApi) -> list[int]:
    return [len(texts_in(request)) for request in api.requests if is_pack(request)]


def times_asked(api: FakeApi) -> Counter[str]:
    """Return how often each text was asked for."""
    return Counter(text for together in asked(api) for text in together)


def times_asked_alone(api: FakeApi) -> Counter[str]:
    return Counter(request.text for request in api.requests if not is_pack(request))


def until(condition: Callable[[], Any]) -> None:
    """Return when the condition holds, which another thread sees to."""
    waiter = threading.Event()
    for _ in range(int(_DEADLINE_SECONDS / 0.002)):
        if condition():
            return
        waiter.wait(0.002)
    raise AssertionError("It never came to that.")


class Gate:
    """Holds back the server's answers (to the texts that `holds` says; by default all) until it is opened."""

    def __init__(self, api: FakeApi) -> None:
        self.holds: Callable[[str], bool] = lambda text: True
        self._is_open = False
        self._held: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        api.settings.latency_hook = self._latency
        api.settings.sleep = self._wait

    @property
    def held(self) -> int:
        """How many requests are held back, or were until their client left."""
        return len(self._held)

    def wait_for(self, count: int) -> None:
        """Return when so many requests are held back."""
        until(lambda: self.held >= count)

    def open_latest(self, count: int) -> None:
        """Let go those that came last."""
        for loop, future in self._held[-count:]:
            loop.call_soon_threadsafe(_let_go, future)

    def open(self) -> None:
        """Let all go, those that come later too."""
        self._is_open = True
        for loop, future in self._held:
            loop.call_soon_threadsafe(_let_go, future)

    def _latency(self, body: Mapping[str, Any]) -> float:
        return 1.0 if self.holds(text_of(body)) else 0.0

    async def _wait(self, seconds: float) -> None:
        if not self._is_open:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            self._held.append((loop, future))
            await future


def _let_go(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
