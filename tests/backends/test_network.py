"""Proxies and certificates hold for the rows' wire as for the SDK's, and no proxy sees the key that is meant for a TLS server."""

import asyncio
import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.backends.network import is_http_proxy, proxy_for
from mistral_nb.completion import Completion
from mistral_nb.errors import CannotConnect
from tests.backends.hosting import KEY, chat_body, question
from tests.backends.loopback import Loopback, http_response, loopback

ANSWER = http_response(json.dumps(chat_body()).encode())
CALLS = ["complete_row", "complete"]
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def asked(endpoint: str, call: str, *, uses_proxy: bool = True) -> Completion:
    """Return the answer of one call on a loop of its own."""

    async def ask() -> Completion:
        return await answer(endpoint, call, uses_proxy=uses_proxy)

    return asyncio.run(ask())


async def answer(endpoint: str, call: str, *, uses_proxy: bool = True) -> Completion:
    backend = HostedBackend(endpoint=endpoint, api_key=KEY, uses_proxy=uses_proxy)
    try:
        completion: Completion = await getattr(backend, call)(question())
    finally:
        await backend.aclose()
    return completion


def through_proxy(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, call: str, *, says: bytes = ANSWER, user: str = ""
) -> tuple[Loopback, Exception | None]:
    """Return what a proxy saw of one call, and what the call raised."""

    async def ask() -> tuple[Loopback, Exception | None]:
        async with loopback(says) as proxy:
            monkeypatch.setenv("ALL_PROXY", f"http://{user}127.0.0.1:{proxy.port}")
            try:
                await answer(endpoint, call)
            except CannotConnect as error:
                return proxy, error
            return proxy, None

    return asyncio.run(ask())


@pytest.mark.parametrize("call", CALLS)
def test_a_request_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    proxy, error = through_proxy(monkeypatch, "http://api.invalid", call)

    assert error is None
    assert proxy.requests[0].startswith("POST http://api.invalid/v1/chat/completions ")


@pytest.mark.parametrize("call", CALLS)
def test_a_proxy_does_not_see_the_key_that_is_meant_for_a_tls_server(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    refusal = http_response(b"", status="407 Proxy Authentication Required")

    proxy, error = through_proxy(monkeypatch, "https://api.invalid", call, says=refusal, user="me:secret@")

    assert proxy.requests[0].startswith("CONNECT api.invalid:443 ")
    assert KEY not in proxy.requests[0]
    assert "proxy-authorization: basic bwu6c2vjcmv0" in proxy.requests[0].lower()
    assert "The proxy refused" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("call", CALLS)
def test_a_proxy_that_is_not_there_is_told_as_such(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:1")

    with pytest.raises(CannotConnect) as caught:
        asked("http://api.invalid", call)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_a_server_on_this_machine_is_reached_directly(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def ask() -> Completion:
        async with loopback(ANSWER) as server:
            return await answer(f"http://127.0.0.1:{server.port}", call, uses_proxy=False)

    assert asyncio.run(ask()).text == "Hello."


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("proxy", ["socks5://me:secret@127.0.0.1:1", "gopher://me:secret@127.0.0.1:1"])
def test_a_proxy_that_no_client_speaks_to_is_told_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, call: str, proxy: str
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", proxy)

    with pytest.raises(CannotConnect, match=r"127\.0\.0\.1:1") as caught:
        asked("https://api.invalid", call)

    assert "HTTPS_PROXY" in caught.value.remedy
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "address", "expected"),
    [
        ({}, "https://api.mistral.ai", None),
        ({"HTTPS_PROXY": "proxy:8080"}, "https://api.mistral.ai", "http://proxy:8080"),
        ({"HTTPS_PROXY": "http://proxy:8080"}, "http://localhost:8000", None),
        ({"ALL_PROXY": "http://proxy:8080"}, "http://localhost:8000", "http://proxy:8080"),
        ({"ALL_PROXY": "http://all", "HTTPS_PROXY": "http://tls"}, "https://api.mistral.ai", "http://tls"),
        ({"ALL_PROXY": "http://proxy", "NO_PROXY": "mistral.ai"}, "https://api.mistral.ai", None),
        ({"ALL_PROXY": "http://proxy", "NO_PROXY": "*"}, "https://api.mistral.ai", None),
        ({"ALL_PROXY": "http://proxy", "NO_PROXY": "10.0.0.0/8, example.org"}, "http://10.1.2.3:8000/v1", None),
        ({"ALL_PROXY": "http://proxy", "NO_PROXY": "10.0.0.0/8"}, "http://11.1.2.3:8000", "http://proxy"),
        ({"ALL_PROXY": "http://proxy", "NO_PROXY": "fd00::/8"}, "http://[fd00::1]:8000", None),
        ({"ALL_PROXY": "http://proxy"}, "http://[::1", None),
    ],
)
def test_the_proxy_is_the_one_of_the_scheme_unless_the_address_is_excepted(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str, expected: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert proxy_for(address) == expected


@pytest.mark.parametrize(("proxy", "expected"), [("http://p", True), ("https://p", True), ("socks5://p", False)])
def test_only_http_proxies_are_for_every_client(proxy: str, expected: bool) -> None:
    assert is_http_proxy(proxy) is expected


def make_certificate(file: Path) -> Path:
    """Make a certificate for 127.0.0.1 that nobody knows; its key is beside it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=loopback"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file.with_suffix(".key")), "-out", str(file)]
    subprocess.run([openssl, *made, *names], check=True, capture_output=True)
    return file


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path / "own.pem")


async def tls_answer(certificate: Path, call: str) -> Completion:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, certificate.with_suffix(".key"))
    async with loopback(ANSWER, tls=tls) as server:
        return await answer(f"https://127.0.0.1:{server.port}", call)


@pytest.mark.parametrize("call", CALLS)
def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path, call: str) -> None:
    with pytest.raises(CannotConnect, match="TLS failed"):
        asyncio.run(tls_answer(certificate, call))


@pytest.mark.parametrize("call", CALLS)
def test_a_certificate_that_the_environment_names_is_accepted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    assert asyncio.run(tls_answer(certificate, call)).text == "Hello."


def test_a_file_of_certificates_is_read_again_when_it_has_changed(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make_certificate(tmp_path / "company.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(CannotConnect, match="TLS failed"):
        asyncio.run(tls_answer(certificate, CALLS[0]))
    shutil.copy(certificate, file)

    assert asyncio.run(tls_answer(certificate, CALLS[0])).text == "Hello."


@pytest.mark.parametrize("call", CALLS)
def test_a_file_of_certificates_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/company-ca.pem")

    with pytest.raises(CannotConnect, match=r"/nowhere/company-ca\.pem"):
        asked("https://127.0.0.1:1", call)
