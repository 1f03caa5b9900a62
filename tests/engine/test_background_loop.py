import asyncio
import contextvars
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterator

import pytest

from mistral_nb.engine.background_loop import BackgroundLoop, Stopped, background_loop, meanwhile, stopped_by


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    loop = BackgroundLoop()
    yield loop
    loop.close()


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_a_result_comes_back_from_inside_a_running_loop(loop: BackgroundLoop) -> None:
    async def cell() -> int:
        return loop.run(asyncio.sleep(0, result=7))

    assert asyncio.run(cell()) == 7


def test_every_call_runs_on_the_same_loop(loop: BackgroundLoop) -> None:
    assert loop.run(running_loop()) is loop.run(running_loop())


def test_a_coroutines_exception_is_raised_to_the_caller(loop: BackgroundLoop) -> None:
    async def fail() -> None:
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutError, match="no answer"):
        loop.run(fail())


def test_ctrl_c_cancels_the_coroutine_and_waits_for_its_clean_up(loop: BackgroundLoop) -> None:
    events: list[str] = []

    async def long_call() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            events.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        loop.run(long_call())

    assert events == ["cleaned up"]


class TestMeanwhile:
    def test_it_is_done_while_a_call_lasts(self, loop: BackgroundLoop) -> None:
        may_end = asyncio.Event()

        def work() -> None:
            loop.soon(may_end.set)

        with meanwhile(work):
            assert loop.run(may_end.wait())

    def test_its_exception_cancels_the_call_and_waits_for_its_clean_up(self, loop: BackgroundLoop) -> None:
        events: list[str] = []

        async def pieces() -> AsyncGenerator[int]:
            try:
                yield 1
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0)
                events.append("cleaned up")

        def work() -> None:
            raise BrokenPipeError("nobody reads")

        with meanwhile(work), pytest.raises(BrokenPipeError, match="nobody reads"):
            list(loop.iterate(pieces()))

        assert events == ["cleaned up"]

    def test_another_thread_with_the_same_context_does_not_do_it(self, loop: BackgroundLoop) -> None:
        may_end = asyncio.Event()
        threads: list[threading.Thread] = []

        def work() -> None:
            threads.append(threading.current_thread())
            if len(threads) >= 3:  # by then, another thread would have come to it too
                loop.soon(may_end.set)

        with meanwhile(work):
            context = contextvars.copy_context()
            other = threading.Thread(target=lambda: context.run(loop.run, may_end.wait()))
            other.start()
            loop.run(may_end.wait())
            other.join()

        assert set(threads) == {threading.current_thread()}

    def test_it_is_over_with_the_block(self, loop: BackgroundLoop) -> None:
        may_end = asyncio.Event()
        done: set[str] = set()

        def work() -> None:
            done.add("of this block")
            loop.soon(may_end.set)

        with meanwhile(lambda: done.add("of the block before")):
            pass
        with meanwhile(work):
            loop.run(may_end.wait())

        assert done == {"of this block"}


class TestNoThreadCanBeStarted:
    @pytest.fixture
    def refuse(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
        """Have Python refuse new threads with these words."""

        def refuse_with(words: str) -> None:
            def start(thread: threading.Thread) -> None:
                raise RuntimeError(words)

            monkeypatch.setattr(threading.Thread, "start", start)

        yield refuse_with
        monkeypatch.undo()

    def test_as_python_ends_the_call_is_stopped(self, loop: BackgroundLoop, refuse: Callable[[str], None]) -> None:
        refuse("can't create new thread at interpreter shutdown")

        with pytest.raises(Stopped):
            loop.run(asyncio.sleep(0))

    def test_for_another_reason_that_is_said(self, loop: BackgroundLoop, refuse: Callable[[str], None]) -> None:
        refuse("can't start new thread")

        with pytest.raises(RuntimeError, match="can't start new thread"):
            loop.run(asyncio.sleep(0))

    def test_a_later_call_does_not_wait_for_the_loop_that_did_not_start(
        self, loop: BackgroundLoop, refuse: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refuse("can't start new thread")
        with pytest.raises(RuntimeError):
            loop.run(asyncio.sleep(0))
        monkeypatch.undo()

        assert loop.run(asyncio.sleep(0, result="now")) == "now"


def test_leaving_an_iteration_early_closes_the_generator(loop: BackgroundLoop) -> None:
    closed = threading.Event()

    async def numbers() -> AsyncGenerator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            closed.set()

    for number in loop.iterate(numbers()):
        if number == 3:
            break

    assert closed.is_set()


def test_an_iteration_gives_every_item_in_order(loop: BackgroundLoop) -> None:
    async def numbers() -> AsyncGenerator[int]:
        for number in range(5):
            yield number

    assert list(loop.iterate(numbers())) == [0, 1, 2, 3, 4]


def test_a_plain_call_from_inside_the_loop_is_refused_rather_than_blocked(loop: BackgroundLoop) -> None:
    async def nested() -> int:
        return loop.run(asyncio.sleep(0, result=1))

    with pytest.raises(RuntimeError, match="await the async form"):
        loop.run(nested())


def test_closing_cancels_what_still_runs(loop: BackgroundLoop) -> None:
    cancelled = threading.Event()
    started = threading.Event()

    async def forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    loop.submit(forever())
    started.wait()
    loop.close()

    assert cancelled.is_set()


def test_a_closed_loop_starts_again_at_the_next_call(loop: BackgroundLoop) -> None:
    loop.run(asyncio.sleep(0))
    loop.close()

    assert loop.run(asyncio.sleep(0, result="again")) == "again"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    background_loop.run(asyncio.sleep(0))

    child = os.fork()
    if child == 0:
        answer = background_loop.run(asyncio.sleep(0, result=42))
        os._exit(answer)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 42


def test_another_thread_can_stop_what_a_thread_waits_for() -> None:
    has_begun, stop = threading.Event(), threading.Event()
    is_closed = threading.Event()

    async def forever() -> None:
        has_begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            is_closed.set()

    def waits() -> None:
        with stopped_by(stop), pytest.raises(Stopped):
            background_loop.run(forever())

    thread = threading.Thread(target=waits)
    thread.start()
    has_begun.wait()
    stop.set()
    thread.join(60)

    assert is_closed.is_set()


def test_a_stop_closes_an_iteration_to_its_end() -> None:
    stop, closed = threading.Event(), []

    async def numbers() -> AsyncGenerator[int]:
        try:
            yield 1
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    iteration = background_loop.iterate(numbers())
    with stopped_by(stop):
        next(iteration)
        stop.set()
        with pytest.raises(Stopped):
            next(iteration)

    assert closed == [True]
