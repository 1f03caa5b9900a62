"""What the environment says of the way out: which proxy, and whose certificates.

Keeps to itself: that the system's settings count where there are no variables (macOS, Windows), and networks in NO_PROXY, which
the SDK's client understands and Python's own look-up does not.
Promises: decided once per client, not per request, and for the rows' own wire as the SDK's client decides.
"""

import functools
import ipaddress
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mistral_nb.errors import CannotConnect

if TYPE_CHECKING:
    import ssl


def proxy_for(address: str) -> str | None:
    """Return the proxy's address, with its scheme; None when the address is to be reached directly, or is none."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if (
        not proxy
        or _is_in_network(parts.hostname or "", proxies.get("no", ""))
        or proxy_bypass(parts.netloc.rpartition("@")[2])
    ):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def is_http_proxy(proxy: str) -> bool:
    """Whether it is a proxy that every client can speak to: SOCKS takes the SDK's client and a package of its own."""
    return urlsplit(proxy).scheme in {"http", "https"}


def unusable_proxy(proxy: str) -> CannotConnect:
    """Return our exception for a proxy that no client here can speak to; its user and password are not repeated."""
    shown = proxy.rpartition("@")[2].rpartition("//")[2]
    if urlsplit(proxy).scheme.startswith("socks"):
        return CannotConnect(
            f"The proxy {shown} is a SOCKS proxy, and the package that speaks to those is not installed.",
            "pip install socksio, or name an http:// proxy in HTTPS_PROXY.",
        )
    return CannotConnect(
        f"The environment names a proxy that is none: {shown or 'see HTTP_PROXY, HTTPS_PROXY and ALL_PROXY'}.",
        "Correct HTTPS_PROXY, e.g. HTTPS_PROXY=http://proxy.example.com:8080, or unset it.",
    )


def tls_context() -> "ssl.SSLContext":
    """Return what servers are verified with: SSL_CERT_FILE or SSL_CERT_DIR where set, else the system's own store.

    Clients share it until another file or folder is named or the file is changed: reading certificates takes as long as a short
    answer.

    Raises
    ------
    CannotConnect
        The file of certificates can't be read.
    """
    names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    try:
        return _tls_context(tuple((os.environ[name], _changed_ns(os.environ[name])) for name in names))
    except OSError as error:
        said = error.strerror or str(error)
    raise CannotConnect(
        f"The certificates of {' and '.join(f'{name}={os.environ[name]!r}' for name in names)} can't be read: {said}.",
        f"Correct or unset {' and '.join(names)}.",
    )


@functools.lru_cache(maxsize=1)
def _tls_context(certificates: tuple[tuple[str, int], ...]) -> "ssl.SSLContext":
    import httpx2

    context = httpx2.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _changed_ns(path: str) -> int:
    """Return when it was changed; 0 of what is not there, of which those who read it tell."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _is_in_network(host: str, no_proxy: str) -> bool:
    try:
        asked = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(asked in network for network in map(_network, no_proxy.split(",")) if network is not None)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip().strip("[]"), strict=False)
    except ValueError:
        return None
