"""What the server saw: a log of requests and a few counters.

Keeps to itself: the bookkeeping, and that no key or cookie is ever kept.
Promises: a request is in the log, with its status, before the first byte of its answer leaves, so a test that has its
answer can look at once. The log is bounded; the counters are not.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_SECRET_HEADERS = frozenset({"authorization", "cookie", "x-api-key", "proxy-authorization"})


@dataclass(slots=True, kw_only=True)
class SeenRequest:
    """One request as it arrived. `body` is the parsed JSON or form, or None; `status` is None until it is decided."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None

    @property
    def text(self) -> str:
        """The last user message, the prompt, or the inputs: what a fault's `when` looks into."""
        return text_of(self.body or {})

    @property
    def is_stream(self) -> bool:
        return bool(self.body and self.body.get("stream"))


def text_of(body: Mapping[str, Any]) -> str:
    """Return the text a request is about."""
    messages = body.get("messages")
    if isinstance(messages, list):
        users = (message for message in reversed(messages) if isinstance(message, dict))
        return next((plain(message.get("content")) for message in users if message.get("role") == "user"), "")
    if "prompt" in body:
        return str(body["prompt"])
    return plain(body.get("input"))


def plain(content: Any) -> str:
    """Return the text of a message content, a chunk, or a list of them."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(plain, content)))
    if isinstance(content, Mapping):
        return plain(content.get("text") or content.get("content") or content.get("thinking"))
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot of the counters."""

    requests: int = 0
    statuses: Mapping[int, int] = field(default_factory=dict)
    paths: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0
    max_in_flight: int = 0
    faults_played: int = 0
    resets: int = 0
    disconnects: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Recorder:
    """The log and the counters. Written by the server's thread only; readers get copies."""

    def __init__(self, log_limit: int) -> None:
        self._log: deque[SeenRequest] = deque(maxlen=log_limit)
        self._in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything but the requests that are still being answered."""
        self._log.clear()
        self._statuses: Counter[int] = Counter()
        self._paths: Counter[str] = Counter()
        self._requests = self._faults_played = self._resets = self._disconnects = 0
        self._prompt_tokens = self._completion_tokens = 0
        self._max_in_flight = self._in_flight

    def arrived(self, method: str, path: str, headers: Mapping[str, str]) -> SeenRequest:
        self._requests += 1
        self._paths[path] += 1
        # Written out rather than through the case-insensitive mapping, which costs more than the rest of this method.
        kept = {name.lower(): value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}
        seen = SeenRequest(number=self._requests, method=method, path=path, headers=kept)
        self._log.append(seen)
        return seen

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        try:
            yield
        finally:
            self._in_flight -= 1

    def decided(self, seen: SeenRequest, status: int) -> None:
        seen.status = status
        self._statuses[status] += 1

    def used(self, prompt_tokens: int, completion_tokens: int) -> None:
        self._prompt_tokens += prompt_tokens
        self._completion_tokens += completion_tokens

    def fault_played(self) -> None:
        self._faults_played += 1

    def was_reset(self) -> None:
        self._resets += 1

    def client_left(self) -> None:
        self._disconnects += 1

    def requests(self) -> list[SeenRequest]:
        return list(self._log)

    def stats(self) -> Stats:
        return Stats(
            requests=self._requests,
            statuses=dict(self._statuses),
            paths=dict(self._paths),
            in_flight=self._in_flight,
            max_in_flight=self._max_in_flight,
            faults_played=self._faults_played,
            resets=self._resets,
            disconnects=self._disconnects,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
        )
