"""One HTTP exchange through the official SDK, with what the SDK hides and without what it leaks.

Keeps to itself: the SDK's client and its traps. Results hide their headers; timeouts hold per socket read; a deprecation header
breaks streams; without a key of our own it would send the environment's key to whatever endpoint is set; and its exceptions carry
request and headers.
Promises: `SdkClient.call` and `.streaming` give the exchange's headers and raw body, within a total time, and raise only exceptions
of `mistral_nb.errors`. The key is in no repr, no exception and no traceback, even where a server sends it back.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mistral_nb.backends.sdk_errors import our_error, sdk_exceptions
from mistral_nb.errors import API_KEYS_PAGE, SET_KEY_LINE, InvalidKey, MissingKey
from mistral_nb.settings import SecretKey

if TYPE_CHECKING:
    import httpx2
    from mistralai.client import Mistral

CONNECT_TIMEOUT_SECONDS = 10.0
SHORTEST_KEY = 6  # a shorter one is no key, and would be found in ordinary words
_DEPRECATION_HEADER = "x-model-deprecation-timestamp"
_logger = logging.getLogger(__name__)


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
        endpoint: str,
        key: SecretKey | None,
        timeout_seconds: float,
        transport: "httpx2.AsyncBaseTransport | None",
    ) -> None:
        self.endpoint = endpoint
        self.timeout_seconds = timeout_seconds
        self._key = key
        self._transport = transport
        self._sdk: Mistral | None = None
        self._http: httpx2.AsyncClient | None = None
        self._announced_deprecations: set[str] = set()

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
                yield self._scrubbed_bytes(piece)

    async def aclose(self) -> None:
        """Close all connections; a later call opens new ones."""
        sdk, http = self._sdk, self._http
        self._sdk = self._http = None
        if sdk is not None and (idle := sdk.sdk_configuration.client) is not None:
            idle.close()  # the sync client that the SDK makes in any case
        if http is not None:
            await http.aclose()

    def scrubbed(self, text: str) -> str:
        """Return a server's text without the key, should it send it back."""
        key = self._key.reveal() if self._key else ""
        return text.replace(key, "…") if len(key) >= SHORTEST_KEY else text

    def _scrubbed_bytes(self, body: bytes) -> bytes:
        key = self._key.reveal().encode() if self._key else b""
        return body.replace(key, "…".encode()) if len(key) >= SHORTEST_KEY else body

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
                error,
                endpoint=self.endpoint,
                timeout_seconds=self.timeout_seconds,
                model=exchange.model,
                scrubbed=self.scrubbed,
            )
        finally:
            exchange.seconds_left -= time.monotonic() - began
        # Outside of the except block, so that the SDK's exception is not even its context: its frames hold headers and body.
        raise problem

    def _open(self) -> "Mistral":
        if self._sdk is not None:
            return self._sdk
        self._check_key()
        import httpx2
        from mistralai.client import Mistral

        key = self._key
        self._http = httpx2.AsyncClient(
            transport=self._transport,
            follow_redirects=True,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
            event_hooks={"request": [_limit_connect_time], "response": [self._note_response]},
        )
        self._sdk = Mistral(
            # A function even when there is no key: for None the SDK would send the key of the environment.
            api_key=lambda: key.reveal() if key else None,
            server_url=self.endpoint,
            async_client=self._http,
            timeout_ms=max(1, round(self.timeout_seconds * 1000)),
        )
        return self._sdk

    def _check_key(self) -> None:
        if self._key is None:
            host = urlsplit(self.endpoint).hostname or ""
            if host == "mistral.ai" or host.endswith(".mistral.ai"):
                raise MissingKey(
                    f"No API key, and {self.endpoint} asks for one.",
                    f"Get one at {API_KEYS_PAGE} and set it before the first cell:\n{SET_KEY_LINE}\n"
                    'or call mistral_nb.configure(api_key="…"). Without a key the embedded model answers: model="local-small".',
                )
        elif not (self._key.reveal().isascii() and self._key.reveal().isprintable()):
            raise InvalidKey(
                "The key holds a character that no key has, such as an accent, a line break or a typographic dash.",
                f"Copy it again from {API_KEYS_PAGE} and set it:\n{SET_KEY_LINE}",
            )

    async def _note_response(self, response: "httpx2.Response") -> None:
        """Keep the headers and the body of each response, before the SDK sees it."""
        exchange = _current.get()
        if exchange is None or response.is_redirect:
            return
        # The SDK reads the body of a response with this header to warn; of a stream, of a model list or of an error it can't.
        deprecation = response.headers.pop(_DEPRECATION_HEADER, None)
        if deprecation and exchange.model and exchange.model not in self._announced_deprecations:
            self._announced_deprecations.add(exchange.model)
            _logger.warning("The API will remove the model %s on %s.", exchange.model, deprecation)
        exchange.headers = {name.lower(): value for name, value in response.headers.items()}
        is_event_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        if exchange.is_streaming and is_event_stream and response.is_success:
            exchange.response = response
        else:
            exchange.body = self._scrubbed_bytes(await response.aread())


async def _limit_connect_time(request: "httpx2.Request") -> None:
    # The SDK gives each request one timeout for connecting, reading and writing alike.
    timeout = request.extensions["timeout"]
    request.extensions["timeout"] = {**timeout, "connect": min(timeout["connect"], CONNECT_TIMEOUT_SECONDS)}
