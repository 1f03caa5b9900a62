"""Trouble on order: what goes wrong, with which request, and how often.

Keeps to itself: the script and its lock (faults are added from other threads and other processes).
Promises: the first fault in the script that fits a request is the one it meets; each is used up after `times` requests.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tests.fake_api.recorder import SeenRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of trouble.

    Parameters
    ----------
    status, body, headers
        Answer with this instead. A dict or list body is JSON, a str is plain text; without a body, the one the API
        has for the status; without a status, 200. `headers` alone are added to the answer that would have been given.
    content, finish_reason
        Let the model say this: the answer is valid (streamed when asked), its text and reason are these. With the reason
        `tool_calls`, it says this before the calls that it would have made.
    delay_seconds
        Wait before the first byte.
    reset
        Reset the connection instead of answering.
    truncate_after_bytes
        Close the connection after so many bytes of the body.
    bytes_per_second
        Send the body no faster than this.
    rest_waits_for
        Send half of a stream's events, and the rest when this is set.
    error_frame_in_stream
        Break a stream after `frames_before_error` events with this body as an event; True takes a typical one.
        Such a fault waits for a request that asks for a stream.
    times
        With how many requests this happens; None is with all of them.
    when
        Which requests: a predicate on the request, or a text that must be in its last user message. None is any
        request.
    path
        Only requests to this path.
    """

    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: str | None = None
    finish_reason: str | None = None
    delay_seconds: float = 0.0
    reset: bool = False
    truncate_after_bytes: int | None = None
    bytes_per_second: float | None = None
    rest_waits_for: threading.Event | None = None
    error_frame_in_stream: Mapping[str, Any] | bool = False
    frames_before_error: int = 2
    times: int | None = 1
    when: Callable[[SeenRequest], bool] | str | None = None
    path: str | None = None

    @property
    def is_answer(self) -> bool:
        """Whether the fault brings its own status or body, so that the request is not even looked at."""
        return self.status is not None or self.body is not None

    def fits(self, request: SeenRequest) -> bool:
        if self.path is not None and request.path != self.path:
            return False
        if self.error_frame_in_stream and not request.is_stream:
            return False
        if self.when is None:
            return True
        return self.when in request.text if isinstance(self.when, str) else self.when(request)

    @classmethod
    def from_json(cls, wanted: Mapping[str, Any]) -> "Fault":
        """Return the fault that another process describes; `when` can only be a text there."""
        unknown = wanted.keys() - {entry.name for entry in fields(cls)}
        if unknown:
            raise ValueError(f"No fault field {sorted(unknown)}. There are: {[entry.name for entry in fields(cls)]}.")
        return cls(**wanted)


NO_FAULT = Fault()


class FaultScript:
    """The faults still to come, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[tuple[Fault, int | None]] = []

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._pending.extend((fault, fault.times) for fault in faults)

    def clear(self) -> None:
        with self._lock:
            self._pending.clear()

    def pending(self) -> list[Fault]:
        with self._lock:
            return [fault for fault, _ in self._pending]

    def take(self, request: SeenRequest) -> Fault:
        """Return the fault this request meets, or `NO_FAULT`."""
        if not self._pending:
            return NO_FAULT
        with self._lock:
            for position, (fault, left) in enumerate(self._pending):
                if fault.fits(request):
                    if left is not None and left <= 1:
                        del self._pending[position]
                    elif left is not None:
                        self._pending[position] = (fault, left - 1)
                    return fault
        return NO_FAULT
