import asyncio
import contextvars
import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest

from mistral_nb.tools.calling import MAX_CALLS_AT_ONCE, Calls, Stopped, run_together


def jobs_of(*functions: Callable[[], Any]) -> list[Callable[[Calls], Any]]:
    return [lambda calls, function=function: calls.result(function, {}) for function in functions]  # type: ignore[misc]


def test_results_come_as_they_are_ready() -> None:
    first_is_read = threading.Event()

    def slow() -> str:
        assert first_is_read.wait(timeout=30)
        return "slow"

    with closing(run_together(jobs_of(slow, lambda: "quick"))) as results:
        read = [next(results)]
        first_is_read.set()
        read.append(next(results))

    assert read == ["quick", "slow"]


def test_no_jobs_are_no_results() -> None:
    assert list(run_together([])) == []


def test_more_jobs_than_threads_are_all_done() -> None:
    numbers = range(3 * MAX_CALLS_AT_ONCE)

    assert sorted(run_together([lambda calls, n=n: n for n in numbers])) == list(numbers)  # type: ignore[misc]


def test_no_more_run_at_once_than_they_may() -> None:
    lock, running, most = threading.Lock(), 0, 0
    everyone = threading.Barrier(MAX_CALLS_AT_ONCE, timeout=30)

    def count() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        everyone.wait()
        with lock:
            running -= 1

    list(run_together(jobs_of(*[count] * (2 * MAX_CALLS_AT_ONCE))))

    assert most == MAX_CALLS_AT_ONCE


def test_async_functions_run_off_the_callers_loop() -> None:
    async def loop() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def cell() -> bool:
        (found,) = run_together(jobs_of(loop))
        return found is not asyncio.get_running_loop()

    assert asyncio.run(cell())


def test_functions_see_the_callers_context() -> None:
    cell = contextvars.ContextVar("cell", default="none")
    cell.set("In[3]")

    async def later() -> str:
        return cell.get()

    assert list(run_together(jobs_of(cell.get))) + list(run_together(jobs_of(later))) == ["In[3]", "In[3]"]


def test_leaving_early_cancels_async_functions() -> None:
    began, cancelled = threading.Event(), threading.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def until_it_began() -> None:
        assert began.wait(timeout=30)

    with closing(run_together(jobs_of(wait, until_it_began))) as results:
        next(results)

    assert cancelled.wait(timeout=30)


def test_after_leaving_nothing_more_is_begun() -> None:
    goes_on, begun = threading.Event(), 0
    lock = threading.Lock()

    def hold() -> None:
        nonlocal begun
        with lock:
            begun += 1
        goes_on.wait(timeout=30)

    jobs = jobs_of(lambda: None, *[hold] * (3 * MAX_CALLS_AT_ONCE))
    with closing(run_together(jobs)) as results:
        next(results)
    goes_on.set()
    for thread in [thread for thread in threading.enumerate() if thread.name == "mistral_nb tool"]:
        thread.join(timeout=30)

    assert begun <= MAX_CALLS_AT_ONCE


def test_an_async_function_that_is_called_after_the_end_is_not_awaited() -> None:
    calls = Calls()
    calls.end()
    awaited: list[Awaitable[None]] = []

    async def late() -> None:
        awaited.append(asyncio.sleep(0))

    with pytest.raises(Stopped):
        calls.result(late, {})
    assert awaited == []


def ended_process(body: str) -> subprocess.CompletedProcess[str]:
    """Return a process that leaves calls early, and then ends."""
    script = f"""
import asyncio, os, threading, time, warnings
warnings.simplefilter("error")
from contextlib import closing
from mistral_nb.tools.calling import run_together

def results(*functions):
    return closing(run_together([lambda calls, f=f: calls.result(f, {{}}) for f in functions]))

{textwrap.dedent(body)}
print("the end")
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)


def test_python_ends_while_a_function_hangs() -> None:
    ended = ended_process("""
        with results(threading.Event().wait, lambda: None) as found:
            next(found)
    """)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the end\n", "")


def test_python_ends_while_an_async_function_waits() -> None:
    ended = ended_process("""
        async def wait():
            await asyncio.Event().wait()
        with results(wait, lambda: None) as found:
            next(found)
    """)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the end\n", "")


def test_python_ends_while_an_async_function_blocks_its_loop() -> None:
    ended = ended_process("""
        began = threading.Event()
        async def block():
            began.set()
            threading.Event().wait()
        with results(block, began.wait) as found:
            next(found)
    """)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the end\n", "")


def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    ended = ended_process("""
        async def three():
            return 3
        with results(three) as found:
            assert list(found) == [3]
        warnings.simplefilter("ignore")  # that threads and forks do not go well together
        child = os.fork()
        if child == 0:
            with results(three) as found:
                os._exit(0 if list(found) == [3] else 1)
        assert os.waitpid(child, 0)[1] == 0
    """)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the end\n", "")
