"""What is put onto the scheduler and the workers of a cluster.

Keeps to itself: how the coordinator is reached, and how a worker hears that a task is not wanted any more.
Promises: a plugin's pickle holds nothing but its class. A key that is handed over is in the memory of scheduler and workers only:
the scheduler keeps it packed as it came, and no message that is logged shows it.
"""

import inspect
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin

from mistral_nb.dask.coordinator import Coordinator

PLUGIN = "mistral_nb"
_METHODS = ("leave", "end", "lend", "pay_back", "announce", "finish", "news")


class HandedKey:
    """A key on its way from a client to the workers; its repr does not show it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def reveal(self) -> str:
        return self._key

    def __repr__(self) -> str:
        return "HandedKey('…')"


class ClusterPlugin(SchedulerPlugin):
    """The coordinator, on the scheduler."""

    name = PLUGIN
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        self._coordinator = Coordinator()
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        scheduler.handlers[PLUGIN] = self.called

    async def called(self, *, what: str, worker: str, address: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a method of the coordinator gives to a worker at this address."""
        if what not in _METHODS:
            raise ValueError(f"The coordinator does nothing called {what!r}.")
        self._names[address].add(worker)
        given = getattr(self._coordinator, what)(worker, **arguments)
        answer: Mapping[str, Any] = await given if inspect.isawaitable(given) else given
        return answer

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        for name in self._names.pop(worker, set()):
            self._coordinator.forget(name)


class KeyPlugin(SchedulerPlugin):
    """The keys that clients have handed over, on the scheduler."""

    name = f"{PLUGIN}_keys"
    idempotent = True

    async def start(self, scheduler: Scheduler) -> None:
        self._keys: dict[str, tuple[str, Any]] = {}
        scheduler.handlers[self.name] = self.called

    async def called(self, *, caller: str, key: Any = None, known: str = "") -> dict[str, Any]:
        """Keep the key of a calling process, or return it with its version, unless that is known."""
        if key is not None:
            self._keys[caller] = uuid.uuid4().hex, key
            return {}
        version, kept = self._keys.get(caller, ("", None))
        return {"version": version, "key": None if version == known else kept}


class TaskWatch(WorkerPlugin):
    """Tells tasks that run on a worker when nobody wants them any more."""

    name = PLUGIN

    def __init__(self) -> None:
        self._ends: defaultdict[Any, set[threading.Event]] = defaultdict(set)
        self._lock = threading.Lock()

    @contextmanager
    def end_of(self, task: Any) -> Iterator[threading.Event]:
        """Yield an event that is set when the task is cancelled."""
        event = threading.Event()
        with self._lock:
            self._ends[task].add(event)
        try:
            yield event
        finally:
            with self._lock:
                self._ends[task].discard(event)
                if not self._ends[task]:
                    del self._ends[task]

    def transition(self, key: Any, start: Any, finish: Any, **_: Any) -> None:
        if start in ("executing", "long-running") and finish in ("released", "cancelled", "forgotten"):
            with self._lock:
                for event in self._ends.get(key, ()):
                    event.set()
