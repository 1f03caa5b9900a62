"""One HTTP exchange through the official SDK, with what the SDK hides and without what it leaks.

Keeps to itself: the SDK's client and its traps. Results hide their headers; timeouts hold per socket read; a deprecation header
breaks streams; without a key of our own it would send the environment's key to whatever endpoint is set; and its exceptions carry
request and headers.
Promises: `SdkClient.call` and `.streaming` give the exchange's headers and raw body, within a total time, and raise only exceptions
of `mistral_nb.errors`. The key is in no repr, no exception and no traceback, even where a server sends it back.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mistral_nb.backends.connection_errors import CONNECT_TIMEOUT_SECONDS
from mistral_nb.backends.endpoint import DEPRECATION_HEADER, Endpoint
from mistral_nb.backends.network import proxy_for, tls_context, unusable_proxy
from mistral_nb.backends.sdk_errors import our_error, sdk_exceptions

if TYPE_CHECKING:
    import httpx2
    from mistralai.client import Mistral

# Read by the SDK when its client is made (mistralai 3.7.0): it then prints every request and answer.
DEBUG_VARIABLE = "MISTRAL_DEBUG"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """What came back over HTTP: headers by lower-case name, and the body unless it is still to be streamed."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_streaming: bool = False
    model: str | None = None
    seconds_left: float = 0.0
    response: "httpx2.Response | None" = None
    started: float = field(default_factory=time.monotonic)

    @property
    def correlation_id(self) -> str | None:
        return self.headers.get("mistral-correlation-id")

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self.started


# Concurrent calls share one client and its hooks: each task finds its own exchange here.
_current: ContextVar[Exchange | None] = ContextVar("mistral_nb_exchange", default=None)


class SdkClient:
    """The SDK's async client on one event loop, made at the first call."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        timeout_seconds: float,
        uses_proxy: bool,
        transport: "httpx2.AsyncBaseTransport | None",
    ) -> None:
        self.endpoint = endpoint
        self.timeout_seconds = timeout_seconds
        self._uses_proxy = uses_proxy
        self._transport = transport
        self._sdk: Mistral | None = None
        self._http: httpx2.AsyncClient | None = None

    async def call(self, send: "Callable[[Mistral], Awaitable[object]]", *, model: str | None = None) -> Exchange:
        """Return the exchange of one call, its body read to the end."""
        sdk = self._open()
        exchange = Exchange(model=model, seconds_left=self.timeout_seconds)
        await self._within_time(self._send(lambda: send(sdk), exchange), exchange)
        return exchange

    @asynccontextmanager
    async def streaming(self, send: "Callable[[Mistral], Awaitable[Any]]", *, model: str) -> AsyncGenerator[Exchange]:
        """Enter with the exchange of one call, its body still to come through `pieces`; leave with the connection closed.

        A server that does not stream leaves the whole answer in the exchange's `body`.
        """
        sdk = self._open()
        exchange = Exchange(model=model, seconds_left=self.timeout_seconds, is_streaming=True)
        try:
            events = await self._within_time(self._send(lambda: send(sdk), exchange), exchange)
            if events is not None:
                exchange.response = events.response
            yield exchange
        finally:
            # Also when the SDK was interrupted while it had the response in its hands.
            if exchange.response is not None:
                await exchange.response.aclose()

    async def pieces(self, exchange: Exchange) -> AsyncGenerator[bytes]:
        """Yield the bytes of a streaming exchange as they come; only the time spent waiting for them counts."""
        assert exchange.response is not None
        async with aclosing(exchange.response.aiter_bytes()) as pieces:
            while (piece := await self._within_time(anext(pieces, None), exchange)) is not None:
                yield self.endpoint.scrubbed_bytes(piece)

    async def aclose(self) -> None:
        """Close all connections; a later call opens new ones."""
        sdk, http = self._sdk, self._http
        self._sdk = self._http = None
        if sdk is not None and (idle := sdk.sdk_configuration.client) is not None:
            idle.close()  # the one in the place of the SDK's own
        if http is not None:
            await http.aclose()

    async def _send(self, send: Callable[[], Awaitable[Any]], exchange: Exchange) -> Any:
        """Return what the SDK made of the exchange; None where it could not read a successful answer: ours may still."""
        from mistralai.client.errors import MistralError

        token = _current.set(exchange)
        try:
            return await send()
        except MistralError as error:
            if error.status_code >= 300 or exchange.body is None:
                raise
            return None
        finally:
            _current.reset(token)

    async def _within_time(self, work: Awaitable[Any], exchange: Exchange) -> Any:
        """Return the work's result, or raise our exception for what went wrong in it."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(exchange.seconds_left):
                return await work
        except sdk_exceptions() as error:
            problem = our_error(
                error, endpoint=self.endpoint, timeout_seconds=self.timeout_seconds, model=exchange.model
            )
        finally:
            exchange.seconds_left -= time.monotonic() - began
        # Outside of the except block, so that the SDK's exception is not even its context: its frames hold headers and body.
        raise problem

    def _open(self) -> "Mistral":
        if self._sdk is not None:
            return self._sdk
        self.endpoint.check_key()
        import httpx2
        from mistralai.client import Mistral

        key = self.endpoint.key
        try:
            http = httpx2.AsyncClient(
                transport=self._transport,
                verify=tls_context() if self._transport is None else True,
                trust_env=self._uses_proxy,
                follow_redirects=True,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
                event_hooks={"request": [_limit_connect_time], "response": [self._note_response]},
            )
        except (ImportError, ValueError, httpx2.InvalidURL):
            http = None
        if http is None:
            raise unusable_proxy(proxy_for(self.endpoint.address) or "")
        self._http = http
        self._sdk = Mistral(
            # A function even when there is no key: for None the SDK would send the key of the environment.
            api_key=lambda: key.reveal() if key else None,
            server_url=self.endpoint.address,
            # In the place of one that the SDK would make, and read the certificates for, though nobody uses it.
            client=httpx2.Client(transport=httpx2.BaseTransport(), trust_env=False),
            async_client=self._http,
            debug_logger=_ScrubbedLogger(self.endpoint.scrubbed) if os.environ.get(DEBUG_VARIABLE) else None,
            timeout_ms=max(1, round(self.timeout_seconds * 1000)),
        )
        return self._sdk

    async def _note_response(self, response: "httpx2.Response") -> None:
        """Keep the headers and the body of each response, before the SDK sees it."""
        exchange = _current.get()
        if exchange is None or response.is_redirect:
            return
        exchange.headers = self.endpoint.scrubbed_headers(response.headers.items())
        self.endpoint.announce_deprecation(exchange.headers, model=exchange.model)
        # The SDK reads the body of a response with this header to warn; of a stream, of a model list or of an error it can't.
        response.headers.pop(DEPRECATION_HEADER, None)
        is_event_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        if exchange.is_streaming and is_event_stream and response.is_success:
            exchange.response = response
        else:
            exchange.body = self.endpoint.scrubbed_bytes(await response.aread())


class _ScrubbedLogger:
    """The SDK's own debug output, which repeats whatever a server sends, without the key."""

    def __init__(self, scrubbed: Callable[[str], str]) -> None:
        from mistralai.client.utils.logger import get_default_logger

        self._logger = get_default_logger()
        self._scrubbed = scrubbed

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        self._logger.debug("%s", self._scrubbed(msg % args if args else msg), **kwargs)


async def _limit_connect_time(request: "httpx2.Request") -> None:
    # The SDK gives each request one timeout for connecting, reading and writing alike.
    timeout = request.extensions["timeout"]
    request.extensions["timeout"] = {**timeout, "connect": min(timeout["connect"], CONNECT_TIMEOUT_SECONDS)}
