"""A worker process as a member of its cluster.

Keeps to itself: how the plugins get to where they are needed, and that a task on a worker may be cancelled.
Promises: the first partition that a worker computes makes it a member, without a call of the user's; from then on its sessions have
limits, budgets and questions in common with all other members, whichever client asks.
"""

import asyncio
import hashlib
import platform
import threading
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeVar

from distributed import Reschedule, Worker, get_worker
from distributed.protocol.pickle import dumps

from mistral_nb.api_key import SecretKey
from mistral_nb.dask.line import Line
from mistral_nb.dask.local_stop import end_of_computation
from mistral_nb.dask.plugins import PLUGIN, ClusterPlugin, HandedKey, KeyPlugin, TaskWatch
from mistral_nb.dask.shared_budget import SharedBudget
from mistral_nb.dask.shared_limits import SharedLimits
from mistral_nb.dask.shared_questions import SharedInFlight
from mistral_nb.engine.account import Account
from mistral_nb.engine.background_loop import Stopped, stopped_by
from mistral_nb.engine.current import share_accounts
from mistral_nb.engine.leave import LeaveToSend
from mistral_nb.errors import NotSupported
from mistral_nb.settings import Settings, is_local

T = TypeVar("T")

_lock = threading.Lock()
_member: "Member | None" = None


class SharedAccount(Account):
    """An account that all members of a cluster use."""

    def __init__(self, line: Line, settings: Settings) -> None:
        super().__init__()
        self.in_flight = SharedInFlight(line, scope=f"{platform.node()}:{settings.home}")
        self._line = line
        key = "" if settings.api_key is None else settings.api_key.reveal()
        # Tells one account from another, and nothing of the key.
        self._name = hashlib.sha256(f"mistral_nb {settings.server_url} {key}".encode()).hexdigest()[:16]

    def _made(self, **limits: Any) -> LeaveToSend:
        if is_local(limits["model"]):
            return super()._made(**limits)  # a machine's own
        return SharedLimits(self._line, {**limits, "account": self._name})


class Member:
    """This process, which has a worker.

    Parameters
    ----------
    worker
        Dask's worker.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._name = uuid.uuid4().hex
        self.line = Line(self._call)
        self._accounts: dict[tuple[Any, ...], SharedAccount] = {}
        self._budgets: dict[str, SharedBudget] = {}
        self._keys: dict[str, tuple[str, SecretKey]] = {}

    def account(self, settings: Settings) -> Account:
        """Return the account of these settings, made at first use."""
        same = (settings.server_url, settings.api_key, settings.home)
        if same not in self._accounts:
            self._accounts[same] = SharedAccount(self.line, settings)
        return self._accounts[same]

    def budget(self, name: str, limit_usd: Decimal, *, title: str, remedy: str) -> SharedBudget:
        """Return this worker's part of a budget, made at first use."""
        with _lock:
            if name not in self._budgets:
                self._budgets[name] = SharedBudget(self.line, name, limit_usd, title=title, remedy=remedy)
            return self._budgets[name]

    def handed_key(self, caller: str) -> SecretKey | None:
        """Return the key that a calling process has handed over; None where it has not."""
        version, key = self._keys.get(caller, ("", None))
        told = self._on_worker(self._worker.scheduler.mistral_nb_keys(caller=caller, known=version))
        handed = told["key"]
        if isinstance(handed, HandedKey):
            key = SecretKey(handed.reveal(), found_in="mistral_nb.dask.share_session")
            self._keys[caller] = told["version"], key
        return key

    def install(self) -> None:
        """Put the coordinator onto the scheduler, unless another member has.

        Raises
        ------
        NotSupported
            The scheduler can't import this package.
        """
        for plugin in (ClusterPlugin(), KeyPlugin()):
            try:
                self._on_worker(
                    self._worker.scheduler.register_scheduler_plugin(
                        plugin=dumps(plugin), name=plugin.name, idempotent=True
                    )
                )
            except ImportError as error:
                raise NotSupported(
                    f"The scheduler has no mistral_nb to keep the cluster's limits with: {error}",
                    'Install it where the scheduler runs, too: pip install "mistral_nb[dask]"',
                ) from None

    async def _call(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a method of the coordinator from the background loop; the worker's connections live on a loop of their own."""
        worker = self._worker
        calling = worker.scheduler.mistral_nb(what=what, worker=self._name, address=worker.address, arguments=arguments)
        answer: dict[str, Any] = await asyncio.wrap_future(_on_loop(worker, calling))
        return answer

    def _on_worker(self, calling: Any) -> Any:
        return _on_loop(self._worker, calling).result()


def _on_loop(worker: Worker, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
    """Start the coroutine on the worker's own event loop."""
    loop: Any = worker.loop
    return asyncio.run_coroutine_threadsafe(coroutine, loop.asyncio_loop)


def _worker_here() -> Worker | None:
    """Return the worker that runs this task; None where none does.

    Nothing goes on within the `except`: an error of the task would carry this one, which can't be pickled, to another process.
    """
    try:
        return get_worker()
    except ValueError:
        return None


def member() -> Member | None:
    """Return this process as a member of the cluster whose task it runs; None where it runs none of a cluster."""
    global _member  # noqa: PLW0603  # one of this process
    worker = _worker_here()
    if worker is None:
        return None
    with _lock:
        if _member is not None:
            return _member
        joined = Member(worker)
        joined.install()
        _member = joined
    share_accounts(joined.account)
    return joined


@contextmanager
def stopped_with_its_task(call: object) -> Iterator[None]:
    """End what the block waits for when the task that runs it is cancelled, or the computation of this process has ended early.

    Parameters
    ----------
    call
        What of the graph runs the block.

    Raises
    ------
    Reschedule
        The task was cancelled; should it be wanted again meanwhile, it begins anew.
    """
    worker = _worker_here()
    if worker is None:
        with end_of_computation(call) as event, stopped_by(event):
            yield
        return
    with _lock:
        watch = worker.plugins.get(PLUGIN)
        if not isinstance(watch, TaskWatch):
            watch = TaskWatch()
            _on_loop(worker, worker.plugin_add(plugin=watch, name=PLUGIN)).result()
    key = worker.get_current_task()
    with watch.end_of(key) as event, stopped_by(event):
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":  # before anybody listened
            event.set()
        try:
            yield
        except Stopped:
            raise Reschedule from None
