"""Servers that can't be reached: how soon that is known, and how it is told."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mistral_nb.backends.embedded import web
from mistral_nb.errors import DownloadFailed
from tests.backends.embedded.file_server import FileServer


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port whose queue is full, so that no further connection is ever answered, as behind a firewall."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(contextlib.closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = held.enter_context(contextlib.closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def resolve_to(monkeypatch: pytest.MonkeyPatch, *ports: int, host: str = "127.0.0.1") -> None:
    """Let every name have these ports of one host for its addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def append(url: str, folder: Path) -> bytes:
    web.append_from(url, folder / "part", on_bytes=lambda _: None)
    return (folder / "part").read_bytes()


def test_a_name_that_cannot_be_resolved_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(DownloadFailed, match="the name can't be resolved"):
        append("http://hub.example/file", tmp_path)


def test_a_refused_connection_is_told(tmp_path: Path, closed_port: int) -> None:
    with pytest.raises(DownloadFailed, match=r"[Rr]efused"):
        append(f"http://127.0.0.1:{closed_port}/file", tmp_path)


def test_a_silent_network_is_given_up_once_for_all_its_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent_port: int
) -> None:
    waited_for: set[int] = set()

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            waited_for.add(len(self.get_map()))
            return super().select(timeout)

    resolve_to(monkeypatch, *[silent_port] * 8)
    monkeypatch.setattr(web, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(selectors, "DefaultSelector", Selector)

    with pytest.raises(DownloadFailed, match="no answer in time"):
        append("http://hub.example/file", tmp_path)
    assert waited_for == {8}


def test_the_address_that_answers_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent_port: int, closed_port: int
) -> None:
    with FileServer() as server:
        server.files["/file"] = b"content"
        resolve_to(monkeypatch, silent_port, closed_port, int(server.host.partition(":")[2]))

        assert append("http://hub.example/file", tmp_path) == b"content"


def test_an_address_without_a_way_to_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, 9, host="255.255.255.255")

    with pytest.raises(DownloadFailed, match=r"unreachable|denied"):
        append("http://hub.example/file", tmp_path)


def test_a_server_that_does_not_speak_tls_is_told(tmp_path: Path) -> None:
    with FileServer() as server, pytest.raises(DownloadFailed, match=r"https://127\.0\.0\.1"):
        append(f"https://{server.host}/file", tmp_path)


def test_an_answer_that_is_no_http_is_told(tmp_path: Path, serve_once: Callable[[bytes], int]) -> None:
    port = serve_once(b"220 this is mail\r\n\r\n")

    with pytest.raises(DownloadFailed, match="220 this is mail"):
        append(f"http://127.0.0.1:{port}/file", tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nxyz",
    ],
    ids=["nothing", "half a chunk"],
)
def test_an_answer_that_is_cut_before_its_first_piece_is_told(
    tmp_path: Path, serve_once: Callable[[bytes], int], answer: bytes
) -> None:
    port = serve_once(answer)

    with pytest.raises(DownloadFailed, match="the connection ended after 0 bytes"):
        append(f"http://127.0.0.1:{port}/file", tmp_path)


def test_a_range_that_was_not_asked_for_is_not_taken(tmp_path: Path, serve_once: Callable[[bytes], int]) -> None:
    port = serve_once(b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 7-9/10\r\nContent-Length: 3\r\n\r\nxyz")
    (tmp_path / "part").write_bytes(b"abc")

    with pytest.raises(DownloadFailed, match="another piece"):
        append(f"http://127.0.0.1:{port}/file", tmp_path)
    assert (tmp_path / "part").read_bytes() == b"abc"


def test_an_answer_without_a_length_ends_with_its_connection(
    tmp_path: Path, serve_once: Callable[[bytes], int]
) -> None:
    port = serve_once(b"HTTP/1.0 200 OK\r\n\r\ncontent")

    assert append(f"http://127.0.0.1:{port}/file", tmp_path) == b"content"


@pytest.mark.parametrize("url", ["file:///file", "ftp://hub.example/file", "hub.example/file", "http://[broken/file"])
def test_an_address_of_another_kind_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadFailed):
        append(url, tmp_path)


def test_an_address_is_told_without_what_may_be_secret() -> None:
    assert web.without_credentials("https://me:s3cret@hub.example:8/a?token=1#x") == "https://hub.example:8/a"


@pytest.fixture
def serve_once() -> Iterator[Callable[[bytes], int]]:
    """Return a function that opens a port where one connection gets these bytes."""
    with contextlib.ExitStack() as held:

        def serve(answer: bytes) -> int:
            listener = held.enter_context(contextlib.closing(socket.create_server(("127.0.0.1", 0))))

            def run() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            held.callback(thread.join)
            return int(listener.getsockname()[1])

        yield serve
