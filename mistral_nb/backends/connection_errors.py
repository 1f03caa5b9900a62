"""Our exceptions for what fails between a request and its answer, whichever client sends it.

Keeps to itself: the wording that tells a failed name look-up from a refused connection, and what can't be put into a request.
Promises: neither the key nor a proxy's password nor a text of the request gets into an exception.
"""

import re
import ssl
from collections.abc import Callable, Iterator

from mistral_nb.errors import (
    CannotConnect,
    ConnectionLost,
    InvalidInput,
    InvalidOption,
    MistralNotebookError,
    RequestTimedOut,
    WrongEndpoint,
)

CONNECT_TIMEOUT_SECONDS = 10.0

_Scrub = Callable[[str], str]


def cannot_connect(
    error: Exception, *, endpoint: str, scrubbed: _Scrub, is_proxys: bool = False, is_timeout: bool = False
) -> CannotConnect:
    """Tell name look-up, TLS, proxy, refusal and silence apart: each has its own remedy.

    Parameters
    ----------
    error
        What the client raised; its causes are looked at too.
    scrubbed
        Takes the key out of text.
    is_proxys, is_timeout
        Whether the client says that the proxy refused, or that nobody answered in time.
    """
    words = " | ".join(dict.fromkeys(_words(link, scrubbed) for link in _chain(error)))
    lower = words.lower()
    if is_proxys:
        what, remedy = "The proxy refused", "Check HTTPS_PROXY and NO_PROXY, or ask who runs the proxy."
    elif any(isinstance(link, ssl.SSLError) for link in _chain(error)) or "certificate" in lower or "ssl" in lower:
        what = "TLS failed"
        remedy = (
            "Behind a company's proxy, name its certificates: "
            'import os; os.environ["SSL_CERT_FILE"] = "/path/to/company-ca.pem". For a server without TLS write http://.'
        )
    elif any(sign in lower for sign in ("getaddrinfo", "name or service", "name resolution", "nodename", "no address")):
        what, remedy = "The name was not found", "Check the spelling of the address and this machine's network."
    elif is_timeout:
        what, remedy = "Nothing answered in time", "Check the network, the firewall and HTTPS_PROXY."
    else:
        what, remedy = "Nothing accepted the connection", "Start the server, or check address, port and firewall."
    return CannotConnect(f"No connection to {endpoint}. {what} ({words or type(error).__name__}).", remedy)


def timed_out(endpoint: str, timeout_seconds: float) -> RequestTimedOut:
    return RequestTimedOut(
        f"No whole answer from {endpoint} within {timeout_seconds:g} s.",
        "Try again, ask for less (max_tokens=…), or allow more time (timeout_seconds=…).",
    )


def connection_lost(error: Exception, *, endpoint: str, scrubbed: _Scrub) -> ConnectionLost:
    return ConnectionLost(
        f"The connection to {endpoint} was lost ({type(error).__name__}: {_words(error, scrubbed)}).",
        "Send it again; if it keeps happening, check the network, the VPN and the proxy.",
    )


def no_address(endpoint: str) -> InvalidOption:
    return InvalidOption(
        f"The endpoint {endpoint!r} is no http(s) address.",
        "Give the whole address, e.g. mistral_nb.configure(endpoint='https://api.mistral.ai').",
    )


def redirects_in_circle(endpoint: str) -> WrongEndpoint:
    return WrongEndpoint(
        f"The endpoint {endpoint} redirects in a circle.",
        "Give the address of the API itself, with https where it has it.",
    )


def unsendable(error: Exception) -> MistralNotebookError:
    """Return our exception for a request that JSON can't hold; it does not repeat the value, which may be long or private."""
    if isinstance(error, UnicodeError):
        return InvalidInput(
            "The text can't be sent: it holds half of a surrogate pair, which is no character.",
            'Clean it first, e.g. text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").',
        )
    return InvalidOption(
        f"The request can't be sent as JSON: {error}.",
        "Use only text, finite numbers, True, False, None, lists and dicts as options.",
    )


def _words(error: BaseException, scrubbed: _Scrub) -> str:
    """Return what an exception of the client says, without secrets and not at length."""
    return re.sub(r"//[^/@\s]*@", "//…@", scrubbed(str(error).strip()))[:200]


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
