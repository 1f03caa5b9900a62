"""The server as a test sees it: a context manager with a URL, a key, a log and a script of faults.

Keeps to itself: the thread, its event loop, the sockets, and the control paths under /_fake/.
Promises: when `FakeApi(...)` is entered it answers on loopback, when it is left nothing of it runs any more, and no
request, however broken, keeps it from stopping.
"""

import asyncio
import email
import email.policy
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fake_api import delivery, errors, rules, wire
from tests.fake_api.endpoints import Endpoints
from tests.fake_api.errors import Rejection
from tests.fake_api.faults import Fault, FaultScript
from tests.fake_api.recorder import Recorder, SeenRequest, Stats
from tests.fake_api.settings import Settings
from tests.fake_api.wire import Reply

_BACKLOG = 1024
# Python 3.11 loses a connection (and warns of it later) that is accepted but not yet set up when its server closes. So
# the server stops accepting first, and gives what it has accepted these turns of the loop to become known.
_ACCEPT_TURNS = 5


class FakeApi:
    """An HTTP server that answers like api.mistral.ai.

    Parameters
    ----------
    host, port
        Where to listen; port 0 is any free one.
    **settings
        The fields of `Settings`, which lists them.

    Examples
    --------
    >>> with FakeApi(limit_requests_per_minute=60) as server:  # doctest: +SKIP
    ...     server.play(Fault(status=503, times=2))
    ...     client = Mistral(api_key=server.api_key, server_url=server.url)
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self.port = port
        self._host = host
        self._recorder = Recorder(self.settings.log_limit)
        self._endpoints = Endpoints(self.settings, self._recorder)
        self._faults = FaultScript()
        self._controls: dict[tuple[str, str], Callable[[bytes], Any]] = {
            ("GET", "/_fake/stats"): lambda raw: asdict(self._recorder.stats()),
            ("GET", "/_fake/requests"): lambda raw: [asdict(seen) for seen in self._recorder.requests()],
            ("POST", "/_fake/reset"): lambda raw: self._reset_now(),
            ("POST", "/_fake/faults"): self._play_json,
        }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The `server_url` for the SDK: no path, no final slash."""
        return f"http://{self._host}:{self.port}"

    @property
    def api_key(self) -> str:
        return self.settings.api_key

    @property
    def requests(self) -> list[SeenRequest]:
        """The requests so far, oldest first; a copy."""
        return self._recorder.requests()

    @property
    def stats(self) -> Stats:
        """The counters so far; a snapshot."""
        return self._recorder.stats()

    def play(self, *faults: Fault) -> None:
        """Add faults to the end of the script."""
        self._faults.add(*faults)

    def reset(self) -> None:
        """Forget requests, counters, faults, used limits and cached prompts; take changed models and limits over."""
        if self._loop is None:
            self._reset_now()
        else:
            asyncio.run_coroutine_threadsafe(self._reset_soon(), self._loop).result()

    def __enter__(self) -> Self:
        started = _Started()
        self._thread = threading.Thread(target=self._run, args=(started,), name="fake-api", daemon=True)
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop = self._thread = None

    def _run(self, started: "_Started") -> None:
        try:
            asyncio.run(self._serve(started))
        except Exception as error:
            if not started.failed(error):
                raise

    async def _serve(self, started: "_Started") -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # A handler is cancelled when its client hangs up: the log of a test about cancelling shows it.
        runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True, access_log=None), shutdown_timeout=0.1
        )
        await runner.setup()
        try:
            listener = socket.create_server((self._host, self.port), backlog=_BACKLOG)
            await web.SockSite(runner, listener).start()
            self.port = listener.getsockname()[1]
            started.set()
            await self._stop.wait()
            self._loop.remove_reader(listener)
            for _ in range(_ACCEPT_TURNS):
                await asyncio.sleep(0)
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        method, path = request.method, request.path
        raw = await request.content.read()
        if path.startswith("/_fake/"):
            return await self._control(request, raw)
        seen = self._recorder.arrived(method, path, request.headers)
        seen.query = dict(request.query)
        seen.body = _form(request, raw) if request.content_type == "multipart/form-data" else _object_or_none(raw)
        with self._recorder.in_flight():
            try:
                return await self._answer(request, seen)
            except (asyncio.CancelledError, ConnectionError):
                self._recorder.client_left()
                raise

    async def _answer(self, request: web.BaseRequest, seen: SeenRequest) -> web.StreamResponse:
        settings = self.settings
        fault = self._faults.take(seen)
        wait_seconds = fault.delay_seconds + self._latency_seconds(seen)
        if wait_seconds:
            await settings.sleep(wait_seconds)
        if fault.reset:
            self._recorder.was_reset()
            return delivery.reset(request)
        reply = self._reply(seen, request.headers.get("Authorization"), fault)
        self._recorder.decided(seen, reply.status)
        return await delivery.deliver(
            request, reply, fault, interval_seconds=settings.stream_interval_seconds, sleep=settings.sleep
        )

    def _reply(self, seen: SeenRequest, authorization: str | None, fault: Fault) -> Reply:
        if fault.is_answer:
            return _fault_reply(fault)
        try:
            return self._endpoints.reply(seen, authorization, fault)
        except Rejection as rejection:
            return rejection.reply()

    def _latency_seconds(self, seen: SeenRequest) -> float:
        settings = self.settings
        wait_seconds = settings.latency_seconds
        if seen.body is not None and settings.latency_per_row_seconds:
            wait_seconds += settings.latency_per_row_seconds * rules.row_count(seen.body)
        if seen.body is not None and settings.latency_hook is not None:
            wait_seconds += settings.latency_hook(seen.body)
        return wait_seconds

    async def _control(self, request: web.BaseRequest, raw: bytes) -> web.StreamResponse:
        control = self._controls.get((request.method, request.path))
        if control is None:
            return web.Response(status=404, text="There are: " + ", ".join(" ".join(key) for key in self._controls))
        try:
            body = control(raw)
        except (TypeError, ValueError) as error:
            return web.Response(status=400, text=str(error))
        return web.Response(body=wire.to_json(body), content_type=wire.JSON_TYPE)

    def _play_json(self, raw: bytes) -> dict[str, int]:
        wanted = json.loads(raw)
        self.play(*(Fault.from_json(fault) for fault in (wanted if isinstance(wanted, list) else [wanted])))
        return {"pending": len(self._faults.pending())}

    async def _reset_soon(self) -> None:
        self._reset_now()

    def _reset_now(self) -> dict[str, bool]:
        self._faults.clear()
        self._recorder.reset()
        self._endpoints.reset()
        return {"reset": True}


class _Started:
    """Whether the thread listens, or why it does not."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._error: Exception | None = None

    def set(self) -> None:
        self._event.set()

    def failed(self, error: Exception) -> bool:
        """Hand the error to who waits; False if nobody does any more."""
        if self._event.is_set():
            return False
        self._error = error
        self._event.set()
        return True

    def wait(self) -> None:
        self._event.wait()
        if self._error is not None:
            raise RuntimeError(f"The fake API could not start: {self._error}") from self._error


def _fault_reply(fault: Fault) -> Reply:
    status = 200 if fault.status is None else fault.status
    if fault.body is None:
        return errors.for_status(status).reply()
    if isinstance(fault.body, str):
        return Reply(status, wire.correlation_headers("text/plain; charset=utf-8"), (fault.body.encode(),))
    return wire.json_reply(fault.body, status=status)


def _form(request: web.BaseRequest, raw: bytes) -> dict[str, str]:
    """Return the fields of a form, a file by its content."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + raw, policy=email.policy.HTTP).iter_parts()
    return {part["Content-Disposition"].params["name"]: part.get_payload(decode=True).decode() for part in parts}


def _object_or_none(raw: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
