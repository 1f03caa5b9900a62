"""What the SDK and the transport raise, as our exceptions.

Keeps to itself: which class of mistralai, httpx2, ssl, asyncio and pydantic means what, and the wording that tells a failed name
look-up from a refused connection.
Promises: `sdk_exceptions` names everything that a call through the SDK may raise by the world's fault or the caller's, `our_error`
gives the exception to raise in its place. Neither text nor key of the request gets into it.
"""

import ssl
from collections.abc import Callable, Iterator
from typing import Any

from mistral_nb.errors import (
    CannotConnect,
    ConnectionLost,
    InvalidInput,
    InvalidKey,
    InvalidOption,
    MistralNotebookError,
    RequestTimedOut,
    WrongEndpoint,
    error_from_response,
)

_SEND_AGAIN = "Send it again; if it keeps happening, check the network, the VPN and the proxy."


def sdk_exceptions() -> tuple[type[Exception], ...]:
    """Return the classes to catch around a call of the SDK."""
    import httpx2
    from mistralai.client import errors
    from mistralai.extra.exceptions import MistralClientException
    from mistralai.extra.observability.telemetry import TelemetryConfigurationError

    return (
        errors.MistralError,
        errors.NoResponseError,
        MistralClientException,
        TelemetryConfigurationError,
        httpx2.HTTPError,
        httpx2.StreamError,
        httpx2.CookieConflict,
        httpx2.InvalidURL,
        OSError,  # sockets, TLS and, as TimeoutError, asyncio.timeout
        EOFError,
        ValueError,  # JSON, Unicode, pydantic's validation of the request and its serialization
        TypeError,
    )


def our_error(
    error: Exception, *, endpoint: str, timeout_seconds: float, model: str | None, scrubbed: Callable[[str], str]
) -> MistralNotebookError:
    """Return our exception for what a call of the SDK raised; `scrubbed` takes the key out of text that a server sent."""
    import httpx2
    from mistralai.client.errors import MistralError
    from mistralai.extra.exceptions import MistralClientException
    from mistralai.extra.observability.telemetry import TelemetryConfigurationError

    if isinstance(error, MistralError):
        return error_from_response(error.status_code, scrubbed(error.body), error.headers, model=model)
    if isinstance(error, httpx2.HTTPStatusError):
        response = error.response
        return error_from_response(response.status_code, scrubbed(response.text), response.headers, model=model)
    if isinstance(error, httpx2.PoolTimeout):
        return RequestTimedOut(
            f"No connection to {endpoint} came free within {timeout_seconds:g} s.", "Send fewer requests at once."
        )
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, ssl.SSLError)):
        return _cannot_connect(error, endpoint, scrubbed)
    if isinstance(error, (httpx2.TimeoutException, TimeoutError)):
        return RequestTimedOut(
            f"No whole answer from {endpoint} within {timeout_seconds:g} s.",
            "Try again, ask for less (max_tokens=…), or allow more time (timeout_seconds=…).",
        )
    if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
        return InvalidOption(
            f"The endpoint {endpoint!r} is no http(s) address.",
            "Give the whole address, e.g. mistral_nb.configure(endpoint='https://api.mistral.ai').",
        )
    if isinstance(error, httpx2.TooManyRedirects):
        return WrongEndpoint(
            f"The endpoint {endpoint} redirects in a circle.",
            "Give the address of the API itself, with https where it has it.",
        )
    if isinstance(error, httpx2.LocalProtocolError) and "header" in str(error).lower():
        return InvalidKey(
            "The key can't be sent in a header: it holds a character that no key has.",
            "Copy it again, letters and digits only.",
        )
    if isinstance(error, (TypeError, ValueError)):
        return unsendable(error)
    words = scrubbed(str(error).strip())[:200]
    if isinstance(error, (MistralClientException, TelemetryConfigurationError)):
        return InvalidOption(f"The SDK is not set up to send: {words}", "Correct or unset that environment variable.")
    return ConnectionLost(f"The connection to {endpoint} was lost ({type(error).__name__}: {words}).", _SEND_AGAIN)


def _cannot_connect(error: Exception, endpoint: str, scrubbed: Callable[[str], str]) -> CannotConnect:
    """Tell name look-up, TLS, proxy, refusal and silence apart: each has its own remedy."""
    import httpx2

    words = " | ".join(dict.fromkeys(scrubbed(str(link).strip())[:200] for link in _chain(error)))
    lower = words.lower()
    if isinstance(error, httpx2.ProxyError):
        what, remedy = "The proxy refused", "Check HTTPS_PROXY and NO_PROXY, or ask who runs the proxy."
    elif any(isinstance(link, ssl.SSLError) for link in _chain(error)) or "certificate" in lower or "ssl" in lower:
        what = "TLS failed"
        remedy = (
            "Behind a company's proxy, name its certificates: "
            'import os; os.environ["SSL_CERT_FILE"] = "/path/to/company-ca.pem". For a server without TLS write http://.'
        )
    elif any(sign in lower for sign in ("getaddrinfo", "name or service", "name resolution", "nodename", "no address")):
        what, remedy = "The name was not found", "Check the spelling of the address and this machine's network."
    elif isinstance(error, httpx2.ConnectTimeout):
        what, remedy = "Nothing answered in time", "Check the network, the firewall and HTTPS_PROXY."
    else:
        what, remedy = "Nothing accepted the connection", "Start the server, or check address, port and firewall."
    return CannotConnect(f"No connection to {endpoint}. {what} ({words or type(error).__name__}).", remedy)


def unsendable(error: Exception) -> MistralNotebookError:
    """Return our exception for a request that can't be made; it does not repeat the value, which may be long or private."""
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return InvalidOption(
            f"The request can't be sent: {found['msg'].replace(' using <lambda>()', '')} (at {_place(found['loc'])}).",
            "Correct that field; https://docs.mistral.ai/api lists the fields and their values.",
        )
    if isinstance(error, UnicodeError):
        return InvalidInput(
            "The text can't be sent: it holds half of a surrogate pair, which is no character.",
            'Clean it first, e.g. text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").',
        )
    return InvalidOption(
        f"The request can't be sent as JSON: {error}.",
        "Use only text, finite numbers, True, False, None, lists and dicts as options.",
    )


def _place(location: tuple[Any, ...]) -> str:
    """Return the part of a validation error's location that the caller wrote: pydantic and the SDK add names of their own."""
    parts = [str(part) for part in location if isinstance(part, int) or (part.islower() and part.isidentifier())]
    return ".".join(part for part in parts if part != "body") or "the request"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what caused it; a group of connection attempts yields each attempt."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        if isinstance(link, BaseExceptionGroup):
            waiting.extend(link.exceptions)
        waiting.extend(cause for cause in (link.__cause__, link.__context__) if cause is not None)
