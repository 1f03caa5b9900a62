"""One embedded server for the tests of this folder, and the official SDK to drive it."""

import asyncio
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mistral_nb.backends.embedded.backend import EmbeddedBackend
from mistral_nb.backends.embedded.process import ServerHandle, ensure_server
from mistral_nb.backends.embedded.weights import weights_path
from mistral_nb.errors import WeightsMissing


def wait_until(is_true: Callable[[], bool], *, seconds: float = 20.0, what: str = "it") -> None:
    """Return as soon as the condition holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


def is_process(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be noticed does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # it went in between, or this system shows processes elsewhere
        return not Path("/proc/self").exists()
    return state.rpartition(") ")[2][0] != "Z"


class RawClient:
    """The server without the SDK, which hides what it does not know."""

    def __init__(self, handle: ServerHandle) -> None:
        self.handle = handle

    def send(self, path: str, body: dict[str, Any] | bytes | None = None, *, key: str | None = None) -> tuple[int, Any]:
        """Return status and parsed body."""
        headers = {"Authorization": f"Bearer {key or self.handle.key}"}
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(self.handle.url + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def chat(self, content: Any = "Hi", **fields: Any) -> tuple[int, Any]:
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        body = {"model": "local-tiny", "messages": messages, "temperature": 0, "max_tokens": 8} | fields
        return self.send("/v1/chat/completions", body)


@pytest.fixture(scope="session")
def server(embedded_home: Path) -> Iterator[ServerHandle]:
    """Return the server that all tests share, and see it end before they do, so that what it ran is counted as covered."""
    yield ensure_server(embedded_home)
    handle = ensure_server(embedded_home)
    os.kill(handle.pid, signal.SIGTERM)
    wait_until(lambda: not is_process(handle.pid), what="the end of the server")


@pytest.fixture(scope="session")
def raw(server: ServerHandle) -> RawClient:
    return RawClient(server)


@pytest.fixture(scope="session")
def sdk(server: ServerHandle) -> Iterator[Any]:
    """Return the official client, pointed at the embedded server."""
    from mistralai.client import Mistral

    with Mistral(api_key=server.key, server_url=server.url) as client:
        yield client


@pytest.fixture(scope="session")
def small(embedded_home: Path) -> str:
    """Return the name of local-small, or skip where its weights are not."""
    try:
        weights_path("local-small", home=embedded_home)
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    return "local-small"


Ask = Callable[[Callable[[EmbeddedBackend], Awaitable[Any]]], Any]


@pytest.fixture
def ask(embedded_home: Path) -> Ask:
    """Return a function that runs one piece of async code against a backend of its own."""

    def run(work: Callable[[EmbeddedBackend], Awaitable[Any]]) -> Any:
        async def with_backend() -> Any:
            backend = EmbeddedBackend(embedded_home)
            try:
                return await work(backend)
            finally:
                await backend.aclose()

        return asyncio.run(with_backend())

    return run


async def collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]
