"""What Dask's own threads do when the computation that started them has ended early.

Keeps to itself: which partitions are being asked here, and how a graph is looked through for them.
Promises: Ctrl-C, and an error in one partition, stop the requests of the computation's other partitions, which nobody waits for any
more. Of several computations at the same time Dask tells of the first; the others' partitions go on to their end.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dask.callbacks import Callback
from dask.task_spec import Task

_lock = threading.Lock()
# By the identity of the call that is in the graph: threads share it.
_partitions: defaultdict[int, set[threading.Event]] = defaultdict(set)


class _Watch(Callback):
    """Hears of the ends of computations by Dask's local schedulers."""

    def _finish(self, graph: Mapping[Any, Any], state: Mapping[str, Any] | None, has_failed: bool) -> None:
        if not has_failed or not state or not _partitions:
            return
        running = [graph[key] for key in state["running"] if key in graph]
        with _lock:
            for call in _calls_in(running):
                for event in _partitions[call]:
                    event.set()


def watch_computations() -> None:
    """Hear of all computations from now on."""
    watch: Any = _Watch  # Dask's constructor has no types
    watch().register()


@contextmanager
def end_of_computation(call: object) -> Iterator[threading.Event]:
    """Yield an event that is set when the computation whose graph has this call, and that waits for this block, ends early."""
    event = threading.Event()
    with _lock:
        _partitions[id(call)].add(event)
    try:
        yield event
    finally:
        with _lock:
            _partitions[id(call)].discard(event)
            if not _partitions[id(call)]:
                del _partitions[id(call)]


def _calls_in(thing: Any) -> Iterator[int]:
    """Yield the identities of those calls in a part of a graph that are being asked."""
    if id(thing) in _partitions:
        yield id(thing)
    elif isinstance(thing, Task):
        yield from _calls_in([thing.func, thing.args, thing.kwargs])
    elif isinstance(thing, list | tuple | dict):
        for each in thing.values() if isinstance(thing, dict) else thing:
            yield from _calls_in(each)
