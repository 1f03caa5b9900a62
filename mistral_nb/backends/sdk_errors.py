"""What the SDK and the transport raise, as our exceptions.

Keeps to itself: which class of mistralai, httpx2, ssl, asyncio and pydantic means what.
Promises: `sdk_exceptions` names everything that a call through the SDK may raise by the world's fault or the caller's, `our_error`
gives the exception to raise in its place. Neither text nor key of the request gets into it.
"""

import ssl
from typing import TYPE_CHECKING, Any

from mistral_nb.backends.connection_errors import (
    cannot_connect,
    connection_lost,
    no_address,
    redirects_in_circle,
    timed_out,
    unsendable,
)
from mistral_nb.backends.endpoint import Endpoint
from mistral_nb.errors import (
    InvalidKey,
    InvalidOption,
    MistralNotebookError,
    RequestTimedOut,
)

if TYPE_CHECKING:
    from pydantic import ValidationError


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
    error: Exception, *, endpoint: Endpoint, timeout_seconds: float, model: str | None
) -> MistralNotebookError:
    """Return our exception for what a call of the SDK to this server raised."""
    import httpx2
    from mistralai.client.errors import MistralError
    from mistralai.extra.exceptions import MistralClientException
    from mistralai.extra.observability.telemetry import TelemetryConfigurationError
    from pydantic import ValidationError

    address, scrubbed = endpoint.address, endpoint.scrubbed
    if isinstance(error, MistralError):
        return endpoint.error(error.status_code, error.body, error.headers.items(), model=model)
    if isinstance(error, httpx2.HTTPStatusError):
        response = error.response
        return endpoint.error(response.status_code, response.text, response.headers.items(), model=model)
    if isinstance(error, httpx2.PoolTimeout):
        return RequestTimedOut(
            f"No connection to {address} came free within {timeout_seconds:g} s.", "Send fewer requests at once."
        )
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError, ssl.SSLError)):
        return cannot_connect(
            error,
            endpoint=address,
            scrubbed=scrubbed,
            is_proxys=isinstance(error, httpx2.ProxyError),
            is_timeout=isinstance(error, httpx2.ConnectTimeout),
        )
    if isinstance(error, (httpx2.TimeoutException, TimeoutError)):
        return timed_out(address, timeout_seconds)
    if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
        return no_address(address)
    if isinstance(error, httpx2.TooManyRedirects):
        return redirects_in_circle(address)
    if isinstance(error, httpx2.LocalProtocolError) and "header" in str(error).lower():
        return InvalidKey(
            "The key can't be sent in a header: it holds a character that no key has.",
            "Copy it again, letters and digits only.",
        )
    if isinstance(error, ValidationError):
        return _invalid_field(error)
    if isinstance(error, (TypeError, ValueError)):
        return unsendable(error)
    if isinstance(error, (MistralClientException, TelemetryConfigurationError)):
        words = scrubbed(str(error).strip())[:200]
        return InvalidOption(f"The SDK is not set up to send: {words}", "Correct or unset that environment variable.")
    return connection_lost(error, endpoint=address, scrubbed=scrubbed)


def _invalid_field(error: "ValidationError") -> InvalidOption:
    """Return our exception for a field that the SDK refuses; it does not repeat the value, which may be long or private."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return InvalidOption(
        f"The request can't be sent: {found['msg'].replace(' using <lambda>()', '')} (at {_place(found['loc'])}).",
        "Correct that field; https://docs.mistral.ai/api lists the fields and their values.",
    )


def _place(location: tuple[Any, ...]) -> str:
    """Return the part of a validation error's location that the caller wrote: pydantic and the SDK add names of their own."""
    parts = [str(part) for part in location if isinstance(part, int) or (part.islower() and part.isidentifier())]
    return ".".join(part for part in parts if part != "body") or "the request"
