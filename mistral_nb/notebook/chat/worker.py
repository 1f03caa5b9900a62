"""One answer after the other, off the kernel's main thread.

Keeps to itself: the threads, and what is told between them.
Promises: a question that comes while another is answered waits; stopping works from any thread, also while a cell runs; no thread
is left when there is nothing to do.
"""

import threading
from collections import deque
from collections.abc import Callable

from mistral_nb.engine.background_loop import STOP_POLL_SECONDS, raise_if_stopped, stopped_by
from mistral_nb.tools.confirm import ask_person
from mistral_nb.tools.records import Call


class Worker:
    """Does one piece of work at a time, each known by the id of a turn.

    Parameters
    ----------
    work
        Answers a turn; its waiting is what `stop` ends, and nothing escapes from it.
    """

    def __init__(self, work: Callable[[int], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._waiting: deque[int] = deque()
        self._running: tuple[int, threading.Event] | None = None
        self._thread: threading.Thread | None = None
        self._ended: dict[int, threading.Event] = {}

    def add(self, turn_id: int) -> None:
        """Answer the turn when those before it are done."""
        with self._lock:
            self._waiting.append(turn_id)
            self._ended[turn_id] = threading.Event()
            if self._thread is None:
                # A daemon: a tool that never returns must not keep the kernel from ending.
                self._thread = threading.Thread(target=self._run, name="mistral_nb panel", daemon=True)
                self._thread.start()

    def stop(self, turn_id: int) -> bool:
        """Stop a turn that is being answered, or take it out of the line; whether it was in line."""
        with self._lock:
            if self._running is not None and self._running[0] == turn_id:
                self._running[1].set()
                return False
            if turn_id not in self._waiting:
                return False
            self._waiting.remove(turn_id)
            self._ended.pop(turn_id).set()
            return True

    def wait(self, turn_id: int, seconds: float | None = None) -> bool:
        """Wait until a turn has come to its end, at most so long; whether it has."""
        with self._lock:
            ended = self._ended.get(turn_id)
        return ended is None or ended.wait(seconds)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                turn_id, stop = self._waiting.popleft(), threading.Event()
                self._running = (turn_id, stop)
            try:
                with stopped_by(stop):
                    self._work(turn_id)
            finally:
                with self._lock:
                    self._running = None
                    self._ended.pop(turn_id).set()


class Consents:
    """Calls that wait for a person's yes or no.

    The worker asks and waits; the panel's buttons answer from whatever thread. A turn that was asked from a cell is answered below
    that cell by a prompt: while the cell runs, some kernels hear of no button.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, _Consent] = {}

    def ask(self, call: Call, *, by_prompt: bool) -> bool | str:
        """Wait for the answer and return it, as `Confirm` does; `Stopped` where the turn is stopped instead."""
        consent = _Consent(call, by_prompt=by_prompt)
        with self._lock:
            self._open[call.id] = consent
        try:
            while not consent.is_answered.wait(STOP_POLL_SECONDS):
                raise_if_stopped()
            return consent.answer
        finally:
            with self._lock:
                del self._open[call.id]

    def answer(self, call_id: str, answer: bool | str) -> None:
        """Answer a call; nothing happens where nobody waits for it any more."""
        with self._lock:
            consent = self._open.get(call_id)
        if consent is not None:
            consent.answer = answer
            consent.is_answered.set()

    def ask_by_prompt(self) -> None:
        """Ask the person at this thread's prompt for whatever waits for it."""
        with self._lock:
            waiting = [consent for consent in self._open.values() if consent.by_prompt]
        for consent in waiting:
            self.answer(consent.call.id, ask_person(consent.call))


class _Consent:
    def __init__(self, call: Call, *, by_prompt: bool) -> None:
        self.call = call
        self.by_prompt = by_prompt
        self.is_answered = threading.Event()
        self.answer: bool | str = False
