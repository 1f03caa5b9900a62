"""Files fetched with the standard library alone.

Keeps to itself: proxies, credentials inside addresses, redirects, ranges, and how long an unreachable network is waited for.
Promises: a network that drops packets is given up after `CONNECT_SECONDS` whatever the number of its addresses, a cut
download goes on where it stopped, and every failure is a `DownloadFailed` that shows no credentials.
"""

import base64
import contextlib
import errno
import http.client
import os
import selectors
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from mistral_nb.errors import DownloadFailed

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 30.0
BLOCK_BYTES = 1 << 18
MOST_CUTS = 20
# What a connection that has only begun is called, on Windows too (10035).
UNDER_WAY = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, 10035}


def append_from(url: str, part: Path, *, on_bytes: Callable[[int], None]) -> None:
    """Make `part`, which may hold the beginning already, the whole file that is at `url`.

    Parameters
    ----------
    url
        An http or https address.
    on_bytes
        Called with the size that `part` has reached.

    Raises
    ------
    DownloadFailed
        The server was not reached, refused, or cut the connection too often. What came stays in `part`.
    """
    for _ in range(MOST_CUTS):
        before = _size(part)
        is_whole = _append_once(url, part, on_bytes)
        if is_whole:
            return
        if _size(part) <= before:
            break
    raise DownloadFailed(f"{without_credentials(url)}: the connection ended after {_size(part):,} bytes.")


def without_credentials(url: str) -> str:
    """Return the address without user name, password, query or fragment."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "an address that can't be read"
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _append_once(url: str, part: Path, on_bytes: Callable[[int], None]) -> bool:
    """Append what one connection gives; return whether the file is complete now."""
    have = _size(part)
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with _failures_named(url):
            response = _opened(url, headers)
    except _PastTheEnd as error:
        if error.whole_bytes == have:
            return True
        part.unlink()
        return _append_once(url, part, on_bytes)
    with contextlib.closing(response), part.open("r+b" if part.exists() else "wb") as file:
        starts_at = _start_of_range(response)
        if response.headers.get_content_type() == "text/html":
            raise DownloadFailed(
                f"{without_credentials(url)}: a web page came instead of the file (a login page of the network?)."
            )
        if starts_at not in {0, have}:
            raise DownloadFailed(f"{without_credentials(url)}: another piece of the file came than was asked for.")
        # A server that ignores the range sends everything again.
        file.truncate(starts_at)
        file.seek(starts_at)
        expected = response.headers.get("Content-Length")
        return _copy(response, file, starts_at + int(expected) if expected is not None else None, on_bytes)


def _copy(response: Any, file: BinaryIO, whole_bytes: int | None, on_bytes: Callable[[int], None]) -> bool:
    """Write what comes; return whether it was all. Reading may fail, which is a cut; writing may not."""
    while True:
        try:
            block = response.read(BLOCK_BYTES)
        except (OSError, http.client.HTTPException):
            return False
        if not block:
            return whole_bytes is None or file.tell() >= whole_bytes
        file.write(block)
        on_bytes(file.tell())


def _start_of_range(response: Any) -> int:
    if response.status != 206:
        return 0
    _, _, bounds = response.headers.get("Content-Range", "").partition("bytes ")
    first = bounds.partition("-")[0]
    return int(first) if first.isdigit() else -1


class _PastTheEnd(DownloadFailed):
    """HTTP 416: the range that was asked for begins at or after the end."""

    def __init__(self, problem: str, *, whole_bytes: int | None) -> None:
        super().__init__(problem, status_code=416)
        self.whole_bytes = whole_bytes


@contextlib.contextmanager
def _failures_named(url: str) -> Iterator[None]:
    """Turn what the standard library raises into one sentence with the address."""
    shown = without_credentials(url)
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            whole = error.headers.get("Content-Range", "").rpartition("/")[2]
            raise _PastTheEnd(f"{shown}: HTTP 416.", whole_bytes=int(whole) if whole.isdigit() else None) from None
        raise DownloadFailed(f"{shown}: HTTP {error.code} {error.reason}.", status_code=error.code) from None
    except urllib.error.URLError as error:
        raise DownloadFailed(f"{shown}: {_reason(error.reason)}.") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadFailed(f"{shown}: {_reason(error)}.") from None


def _reason(error: object) -> str:
    if isinstance(error, socket.gaierror):
        return "the name can't be resolved (no internet, or no DNS)"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__).rstrip(".")


def _opened(url: str, headers: Mapping[str, str]) -> Any:
    """Open an address; user name and password in it become a header that no redirect carries elsewhere."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"not an http or https address: {parts.scheme or 'no scheme'}")
    bare = urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    request = urllib.request.Request(bare, headers={"User-Agent": "mistral_nb", **headers})  # noqa: S310 - checked above
    if parts.username is not None:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    return urllib.request.build_opener(_HttpHandler, _HttpsHandler).open(request, timeout=SILENCE_SECONDS)


class _Connection(http.client.HTTPConnection):
    """Waits `CONNECT_SECONDS` for a connection, and `SILENCE_SECONDS` for each piece of an answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The standard library tries addresses one after the other, each for the whole timeout: a host with eight of them
        # behind a silent firewall would hold the next source up for minutes.
        self._create_connection = _connect_to_any


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = _connect_to_any


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


def _connect_to_any(address: tuple[str, int], timeout: float | None = None, *_: Any) -> socket.socket:
    """Return a connection to the first of a host's addresses that answers, all of them being tried at once."""
    failure: OSError = TimeoutError("no answer in time")
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as losers:
        for family, kind, protocol, _name, target in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
            candidate = losers.enter_context(contextlib.closing(socket.socket(family, kind, protocol)))
            candidate.setblocking(False)
            code = candidate.connect_ex(target)
            if code in UNDER_WAY:
                waiting.register(candidate, selectors.EVENT_WRITE)
            else:
                failure = OSError(code, os.strerror(code))
        give_up_at = time.monotonic() + CONNECT_SECONDS
        while waiting.get_map() and (left := give_up_at - time.monotonic()) > 0:
            for ready, _events in waiting.select(left):
                assert isinstance(ready.fileobj, socket.socket)
                candidate = ready.fileobj
                waiting.unregister(candidate)
                code = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0:
                    winner = candidate.dup()
                    winner.settimeout(timeout)
                    return winner
                failure = OSError(code, os.strerror(code))
    raise failure


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
