"""The wire for many rows: the API's own JSON over aiohttp, without the SDK.

Keeps to itself: aiohttp and its traps. When it trusts the environment it reads ~/.netrc in a thread at each request; it shows a
proxy the session's headers, follows redirects to anywhere, and warns of large bodies.
Promises: the same completions and exceptions as through the SDK, for a fraction of its CPU; one request per call, within a total
time; a call that is cancelled leaves no connection behind. The key is in no repr, no exception and no traceback.
"""

import asyncio
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mistral_nb.backends.answers import completion_from, inputs_answer_from, json_object
from mistral_nb.backends.connection_errors import (
    CONNECT_TIMEOUT_SECONDS,
    cannot_connect,
    connection_lost,
    no_address,
    redirects_in_circle,
    timed_out,
    unsendable,
)
from mistral_nb.backends.endpoint import Endpoint
from mistral_nb.backends.network import is_http_proxy, proxy_for, tls_context
from mistral_nb.completion import Completion, CompletionRequest, InputsAnswer, InputsRequest
from mistral_nb.errors import MistralNotebookError, WrongEndpoint
from mistral_nb.rate_limits import RateLimits

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

CHAT_PATH = "/v1/chat/completions"
# The SDK's client keeps them for 5 s, shorter than a run may wait for its rate limit; load balancers, for 60 s and more.
IDLE_SECONDS = 30.0
MAX_REDIRECTS = 5
# aiohttp warns of plain bytes that are more.
LARGE_BODY_BYTES = 2**20
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: headers by lower-case name, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_seconds: float = 0.0


class RowWire:
    """A pool of connections to one server, opened at the first request.

    Parameters
    ----------
    endpoint
        The server and its key.
    timeout_seconds
        How long one request may take in total, connecting included.
    uses_proxy
        Whether HTTPS_PROXY and its like hold; not for a server on this machine.
    """

    def __init__(self, *, endpoint: Endpoint, timeout_seconds: float, uses_proxy: bool = True) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._uses_proxy = uses_proxy
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._urls: dict[str, URL] = {}

    def __repr__(self) -> str:
        return f"RowWire({self._endpoint.address!r})"

    @property
    def has_foreign_proxy(self) -> bool:
        """Whether the way to the server leads through a proxy that aiohttp can't speak to."""
        return self._proxy is not None and not is_http_proxy(self._proxy)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return the answer to one request; with ``options={"n": …}`` the first of the choices."""
        reply = await self.post_json(CHAT_PATH, request.body(), model=request.model)
        return read_completion(
            reply.body, headers=reply.headers, elapsed_seconds=reply.elapsed_seconds, model=request.model
        )

    async def answer_inputs(self, request: InputsRequest) -> InputsAnswer:
        """Return the results for the texts of one request."""
        reply = await self.post_json(f"/v1/{request.endpoint}", request.body(), model=request.model)
        return read_inputs_answer(
            reply.body, headers=reply.headers, elapsed_seconds=reply.elapsed_seconds, request=request
        )

    async def post_json(self, path: str, body: Mapping[str, Any], *, model: str) -> Reply:
        """Return a successful reply; for any other, raise our exception."""
        self._endpoint.check_key()
        content = json_body(body)
        url = self._url(path)
        session = await self._open()
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                reply = await self._exchange(session, url, content)
            problem = None
        except _client_exceptions() as error:
            problem = self._problem(error)
        # Outside of the except block, so that the client's exception is not even its context: its frames hold the headers.
        if problem is not None:
            raise problem
        self._endpoint.announce_deprecation(reply.headers, model=model)
        if not 200 <= reply.status < 300:
            raise self._endpoint.error(reply.status, reply.body, reply.headers.items(), model=model)
        return replace(reply, elapsed_seconds=time.monotonic() - started)

    async def aclose(self) -> None:
        """Close all connections; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _exchange(self, session: "aiohttp.ClientSession", url: "URL", content: bytes) -> Reply:
        """Return the reply to a request, at the place where the server itself says that it moved."""
        for _ in range(MAX_REDIRECTS):
            reply = await self._send(session, url, content)
            location = reply.headers.get("location")
            if location is None or reply.status not in {301, 302, 303, 307, 308}:
                return reply
            url = self._redirected(url, location, reply.status)
        raise redirects_in_circle(self._endpoint.address)

    async def _send(self, session: "aiohttp.ClientSession", url: "URL", content: bytes) -> Reply:
        async with session.post(
            url,
            data=content if len(content) <= LARGE_BODY_BYTES else io.BytesIO(content),
            headers=self._headers(),  # not the session's: it would show those to the proxy
            allow_redirects=False,
            proxy=self._proxy,
        ) as response:
            return Reply(
                status=response.status,
                body=self._endpoint.scrubbed_bytes(await response.read()),
                headers=self._endpoint.scrubbed_headers(response.headers.items()),
            )

    @cached_property
    def _proxy(self) -> str | None:
        return proxy_for(self._endpoint.address) if self._uses_proxy else None

    def _redirected(self, url: "URL", location: str, status: int) -> "URL":
        """Return where the same request may go: neither key nor texts go to a server that the caller did not name."""
        try:
            target = url.join(type(url)(location))
            is_same_server = target.origin() == url.origin()
        except ValueError:
            is_same_server = False
        if is_same_server and status in {307, 308}:  # after the others, it would have to be a GET
            return target
        raise WrongEndpoint(
            f"The endpoint {self._endpoint.address} redirects to {location[:200]!r} (HTTP {status}).",
            "Give the address of the API itself: mistral_nb.configure(endpoint='https://…').",
            status_code=status,
        )

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "mistral_nb"}
        if self._endpoint.key is not None and not self._endpoint.has_user:
            headers["Authorization"] = f"Bearer {self._endpoint.key.reveal()}"
        return headers

    def _url(self, path: str) -> "URL":
        if path in self._urls:
            return self._urls[path]
        from yarl import URL

        try:
            url = URL(f"{self._endpoint.address}{path}")
            is_address = url.scheme in {"http", "https"} and bool(url.host)
        except ValueError:
            is_address = False
        if not is_address:
            raise no_address(self._endpoint.address)
        self._urls[path] = url
        return url

    async def _open(self) -> "aiohttp.ClientSession":
        """Return the session of the running loop: connections do not cross loops."""
        loop = asyncio.get_running_loop()
        if self._session is not None and self._loop is loop:
            return self._session
        await self.aclose()
        import aiohttp

        is_tls = self._endpoint.address.startswith("https://")
        self._loop = loop
        self._session = aiohttp.ClientSession(
            # No limit: the caller bounds what is in flight.
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=IDLE_SECONDS, ssl=tls_context() if is_tls else True
            ),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self._session

    def _problem(self, error: Exception) -> MistralNotebookError:
        """Return our exception for what the client raised."""
        import ssl

        import aiohttp

        endpoint, scrubbed = self._endpoint.address, self._endpoint.scrubbed
        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, ssl.SSLError)):
            is_proxys = isinstance(error, (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError))
            # What is behind it: aiohttp's own words have an "ssl" in them whatever happened.
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            return cannot_connect(cause, endpoint=endpoint, scrubbed=scrubbed, is_proxys=is_proxys)
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return cannot_connect(error, endpoint=endpoint, scrubbed=scrubbed, is_timeout=True)
        if isinstance(error, TimeoutError):
            return timed_out(endpoint, self._timeout_seconds)
        return connection_lost(error, endpoint=endpoint, scrubbed=scrubbed)


def json_body(body: Mapping[str, Any]) -> bytes:
    """Return the body as JSON.

    Raises
    ------
    InvalidInput
        A text holds half of a surrogate pair.
    InvalidOption
        A value is nothing that JSON has.
    """
    try:
        return _ENCODER.encode(body).encode()
    except (TypeError, ValueError, RecursionError) as error:
        problem = unsendable(error)
    raise problem


def read_completion(body: bytes, *, headers: Mapping[str, str], elapsed_seconds: float, model: str) -> Completion:
    """Return the completion of a successful response; `headers` by lower-case name."""
    return replace(
        completion_from(json_object(body), model=model),
        correlation_id=headers.get("mistral-correlation-id"),
        latency_seconds=elapsed_seconds,
        rate_limits=RateLimits.from_headers(headers),
    )


def read_inputs_answer(
    body: bytes, *, headers: Mapping[str, str], elapsed_seconds: float, request: InputsRequest
) -> InputsAnswer:
    """Return the results of a successful response; `headers` by lower-case name."""
    return replace(
        inputs_answer_from(json_object(body), request),
        latency_seconds=elapsed_seconds,
        rate_limits=RateLimits.from_headers(headers),
    )


def _client_exceptions() -> tuple[type[Exception], ...]:
    import aiohttp

    return (
        aiohttp.ClientError,
        OSError,  # sockets, TLS and, as TimeoutError, asyncio.timeout
        EOFError,
        ValueError,
        RuntimeError,  # the session was closed meanwhile, or Python is ending and starts no thread to look a name up
    )
