"""The one event loop of this process, on a daemon thread, and the only bridge from plain code to async code.

Keeps to itself: threads, futures, forks.
Promises: `run` and `iterate` work inside a notebook cell, where `asyncio.run` can't; Ctrl-C (a kernel interrupt) and the event of
`stopped_by` cancel what runs and wait until it has cleaned up; after a fork the child gets a loop of its own.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

# A wait without a time limit can't be interrupted on Windows; this one only bounds how late Ctrl-C is seen there.
_POLL_SECONDS = 0.2

# How late a thread that waits sees that it is to stop, and how often it does what it is to do meanwhile.
STOP_POLL_SECONDS = 0.05

_inherited: list[asyncio.AbstractEventLoop] = []
_stop: ContextVar[threading.Event | None] = ContextVar("mistral_nb_stop", default=None)


class Stopped(BaseException):
    """Another thread has ended what this one waited for: by the event of `stopped_by`, or the main thread, by ending itself."""


@contextmanager
def stopped_by(event: threading.Event) -> Iterator[None]:
    """Within the block, end what this thread waits for with `Stopped` once another thread sets the event."""
    token = _stop.set(event)
    try:
        yield
    finally:
        _stop.reset(token)


class _Meanwhile(threading.local):
    """What this thread does while it waits; not of the context, which a tool's thread gets a copy of."""

    work: Callable[[], None] | None = None


_meanwhile = _Meanwhile()


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Within the block, have this thread call `work` now and then while it waits; an exception of it ends what is waited for."""
    before, _meanwhile.work = _meanwhile.work, work
    try:
        yield
    finally:
        _meanwhile.work = before


def raise_if_stopped() -> None:
    """Raise `Stopped` if this thread is within a `stopped_by` whose event is set."""
    stop = _stop.get()
    if stop is not None and stop.is_set():
        raise Stopped


class BackgroundLoop:
    """An event loop on a daemon thread, started at first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._open_iterations: weakref.WeakSet[Generator[Any]] = weakref.WeakSet()

    def run(self, coroutine: Coroutine[Any, Any, T], *, is_stoppable: bool = True) -> T:
        """Return the coroutine's result; Ctrl-C cancels it, waits for its clean-up, and raises KeyboardInterrupt.

        So do, unless `is_stoppable` is False, the event of `stopped_by`, with `Stopped`, and an exception of what is done
        `meanwhile`.
        """
        future: Future[T] | None = None
        try:
            future = self.submit(coroutine)
            return _wait(future, is_stoppable=is_stoppable)
        finally:
            if future is None or not future.done():
                self.cancel(coroutine)

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Start the coroutine and return at once; `Stopped` where no loop can be started any more, as Python is ending."""
        try:
            loop = self._running_loop()
        except BaseException:
            coroutine.close()
            raise
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("Plain calls can't be made from inside the background loop; await the async form.")
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    def soon(self, callback: Callable[[], None]) -> None:
        """Have a short function called on the loop after what is due there already."""
        loop = self._running_loop()
        if threading.current_thread() is self._thread:
            loop.call_soon(callback)
        else:
            loop.call_soon_threadsafe(callback)

    def iterate(self, generator: AsyncGenerator[T]) -> Generator[T]:
        """Yield what the async generator yields; leaving early (break, Ctrl-C, an exception) closes it."""
        iteration = self._iterate(generator)
        self._open_iterations.add(iteration)
        return iteration

    def _iterate(self, generator: AsyncGenerator[T]) -> Generator[T]:
        try:
            while True:
                try:
                    yield self.run(anext(generator))
                except StopAsyncIteration:
                    return
        finally:
            self.run(generator.aclose(), is_stoppable=False)

    def close_iterations(self) -> None:
        """Close iterations that are still open, as leaving each early would."""
        for iteration in list(self._open_iterations):
            iteration.close()

    def close(self) -> None:
        """Close iterations that are still open, then stop the loop and its thread; a later call starts a new one.

        An iteration left to the end of the interpreter would be closed when no thread can be started any more, and hang.
        """
        self.close_iterations()
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None or not thread.is_alive():
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def forget(self) -> None:
        """Drop the loop without running it: after a fork its thread does not exist in the child."""
        self._lock = threading.Lock()
        if self._loop is not None:
            # The parent's selector is shared: a socket that is collected here would be unregistered there. So the child closes its
            # own handle of the selector, and keeps the rest from ever being collected.
            selector = getattr(self._loop, "_selector", None)
            if selector is not None:
                selector.close()
            _inherited.append(self._loop)
        self._loop = self._thread = None
        self._open_iterations = weakref.WeakSet()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_serve, args=(loop,), name="mistral_nb", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    loop.close()
                    if "interpreter shutdown" not in str(error):
                        raise
                    raise Stopped from None  # from Python 3.12 on, no thread is started once the main one has ended
                self._loop, self._thread = loop, thread
            return self._loop

    def cancel(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Cancel, then wait until the task has really ended, so that no connection or task stays behind.

        The task is found by its coroutine: the interrupt may come before `submit` has returned anything to cancel by.
        """
        with self._lock:
            loop = self._loop
        if loop is None or threading.current_thread() is self._thread:
            return
        done = threading.Event()

        async def settle() -> None:
            tasks = [task for task in asyncio.all_tasks() if task.get_coro() is coroutine]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            done.set()

        asyncio.run_coroutine_threadsafe(settle(), loop)
        while not done.wait(_POLL_SECONDS):
            pass


def _wait(future: "Future[T]", *, is_stoppable: bool) -> T:
    work = _meanwhile.work if is_stoppable else None
    is_busy = work is not None or (is_stoppable and _stop.get() is not None)
    while not future.done():
        if is_stoppable:
            raise_if_stopped()  # before the wait: the pieces of a quick answer each come within it
        still = wait([future], timeout=STOP_POLL_SECONDS if is_busy else _POLL_SECONDS).not_done
        if still and work is not None:
            work()
    return future.result()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(thread_name_prefix="mistral_nb helper")
    loop.set_default_executor(executor)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        # Not by the loop's own method: that starts a thread, which Python 3.12 refuses at the end of the interpreter.
        executor.shutdown()
        loop.close()


background_loop = BackgroundLoop()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=background_loop.forget)
