"""Functions called at the same time, off the caller's thread.

Keeps to itself: threads, and the event loop of the user's async functions. That is not the loop of the requests, which a function
that blocks would hold up; and it is the same one in every call, so that what an async function keeps (a client, a pool) goes on
working.
Promises: results come as they are ready; when the reader leaves early (an interrupt), waiting ends at once, async functions are
cancelled, what has not begun is not begun. A plain function that runs can't be stopped; its result is dropped.
"""

import atexit
import contextlib
import contextvars
import inspect
import os
import queue
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from mistral_nb.engine.background_loop import STOP_POLL_SECONDS, BackgroundLoop, Stopped, raise_if_stopped
from mistral_nb.errors import NotSupported

MAX_CALLS_AT_ONCE = 16

_PATIENCE_AT_EXIT_SECONDS = 1.0

T = TypeVar("T")
_loop = BackgroundLoop()
_is_used = threading.Event()
_this_thread = threading.local()


class Calls:
    """The calls of one round; made by `run_together`, given to each of its jobs."""

    def __init__(self) -> None:
        self.are_over = threading.Event()
        self._lock = threading.Lock()
        self._awaited: set[Future[Any]] = set()

    def result(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Return what a function returns, plain or async."""
        value = function(**arguments)
        return self._awaited_result(value) if inspect.isawaitable(value) else value

    def end(self) -> None:
        """Cancel what is awaited, and begin nothing more."""
        with self._lock:
            self.are_over.set()
            awaited = list(self._awaited)
        for future in awaited:
            future.cancel()

    def _awaited_result(self, value: Awaitable[T]) -> T:
        with self._lock:
            if self.are_over.is_set():
                if inspect.iscoroutine(value):
                    value.close()
                raise Stopped
            _is_used.set()
            future = _loop.submit(_wait_for(value))
            self._awaited.add(future)
        try:
            return future.result()
        except CancelledError:
            if self.are_over.is_set():
                raise Stopped from None
            raise
        finally:
            with self._lock:
                self._awaited.discard(future)


def run_together(jobs: Sequence[Callable[[Calls], T]]) -> Generator[T]:
    """Yield what the jobs return, as they are done; at most `MAX_CALLS_AT_ONCE` run at a time.

    Jobs may raise `Stopped` after the end, and nothing else.
    """
    if not jobs:
        return
    _refuse_to_wait_for_itself()
    calls = Calls()
    waiting: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()
    done: queue.SimpleQueue[T] = queue.SimpleQueue()
    for job in jobs:
        # In the caller's context: ipykernel shows what is printed there below the caller's cell.
        context = contextvars.copy_context()
        waiting.put(lambda job=job, context=context: context.run(job, calls))  # type: ignore[misc]

    def work() -> None:
        with contextlib.suppress(queue.Empty, Stopped):
            while not calls.are_over.is_set():
                done.put(waiting.get_nowait()())

    try:
        for _ in range(min(len(jobs), MAX_CALLS_AT_ONCE)):
            # A daemon: a function that never returns must not keep the kernel from ending.
            threading.Thread(target=work, name="mistral_nb tool", daemon=True).start()
        for _ in jobs:
            yield _next(done)
    finally:
        calls.end()


def _next(done: "queue.SimpleQueue[T]") -> T:
    while True:
        with contextlib.suppress(queue.Empty):
            return done.get(timeout=STOP_POLL_SECONDS)
        raise_if_stopped()


async def _wait_for(value: Awaitable[T]) -> T:
    _this_thread.is_the_loops = True
    return await value


def _refuse_to_wait_for_itself() -> None:
    """Refuse a plain call from inside an async function: it would block the loop that its own async functions need."""
    if getattr(_this_thread, "is_the_loops", False):
        raise NotSupported(
            "An async tool makes a plain call that calls tools itself.",
            "Use a plain function for that tool, or await asyncio.to_thread(mistral_nb.chat_with_tools, …).",
        )


async def _answer() -> None:
    """Return, if the loop can still run anything."""


def _forget() -> None:
    _loop.forget()
    _is_used.clear()


@atexit.register
def _close_at_exit() -> None:
    """End the loop, unless a function blocks it: that one would keep Python from ending."""
    if _is_used.is_set():
        with contextlib.suppress(TimeoutError):
            _loop.submit(_answer()).result(timeout=_PATIENCE_AT_EXIT_SECONDS)
            _loop.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
