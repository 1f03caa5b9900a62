"""``mistral-nb serve``: the embedded models for any client, until Ctrl-C; and what no client can provoke."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

from mistral_nb.backends.embedded import run_files, tool_calls
from mistral_nb.backends.embedded.engine import EngineRefused
from mistral_nb.backends.embedded.loaded_models import LoadedModels
from mistral_nb.backends.embedded.process import ServerHandle
from mistral_nb.backends.embedded.server import EmbeddedApi, serve
from mistral_nb.errors import EmbeddedServerFailed, EngineMissing
from tests.backends.embedded.conftest import RawClient
from tests.backends.embedded.scripted_engine import ScriptedEngine

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys
from pathlib import Path
from mistral_nb.backends.embedded.server import serve
serve(
    Path(sys.argv[1]),
    port=0,
    api_key="the-key",
    model=sys.argv[2] if len(sys.argv) > 2 else None,
    on_ready=lambda url, key: print(url, key, flush=True),
)
print("ended")
"""


class Served:
    """``serve`` in a process."""

    def __init__(self, home: Path, *model: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(home), *model], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self.process.stdout is not None
        url, key = self.process.stdout.readline().split()
        self.raw = RawClient(ServerHandle(url=url, key=key, pid=self.process.pid))

    def interrupt(self) -> str:
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=30)[0]


@pytest.fixture
def served_file(embedded_home: Path) -> Iterator[tuple[Served, Path]]:
    (path,) = (embedded_home / "weights").glob("SmolLM2*.gguf")
    served = Served(embedded_home, str(path))
    yield served, path
    served.process.kill()
    served.process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="an interrupt is sent otherwise there")
def test_it_serves_the_file_it_was_given_until_it_is_interrupted(served_file: tuple[Served, Path]) -> None:
    served, path = served_file
    status, answer = served.raw.chat(model=str(path))

    assert (status, answer["model"]) == (200, str(path))
    assert str(path) in [card["id"] for card in served.raw.send("/v1/models")[1]["data"]]
    assert served.interrupt().strip() == "ended"


def test_no_other_file_can_be_named(served_file: tuple[Served, Path], tmp_path: Path) -> None:
    served, path = served_file
    other = tmp_path / "other.gguf"
    other.write_bytes(path.read_bytes()[:100])

    assert served.raw.chat(model=str(other))[0] == 400


def test_a_model_that_is_not_there_is_told_before_it_listens(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerFailed, match="download-model"):
        serve(tmp_path, model="local-tiny", port=0)


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(EmbeddedServerFailed, match=f"can't listen at 127.0.0.1:{port}"):
            serve(tmp_path, port=port)


def test_a_missing_engine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with pytest.raises(EngineMissing, match="xllamacpp"):
        serve(tmp_path, port=0)


def test_without_aiohttp_it_says_what_to_install() -> None:
    script = """
import sys
sys.modules["aiohttp"] = None
from mistral_nb.errors import EngineMissing
try:
    import mistral_nb.backends.embedded.server
except EngineMissing as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)

    assert 'pip install "mistral_nb[local]"' in ended.stdout


class ScriptedModels(LoadedModels):
    """Models of a home, of which one is scripted."""

    def __init__(self, home: Path, engine: ScriptedEngine) -> None:
        super().__init__(home)
        self._chat["scripted"] = engine  # type: ignore[assignment]

    async def close(self) -> None:
        """Leave the scripted engine, which holds nothing."""


async def _asked(models: LoadedModels, path: str, body: dict[str, Any] | None) -> tuple[int, str]:
    """Return what the server's routes answer, without a process around them."""
    from aiohttp.test_utils import TestClient, TestServer

    application = EmbeddedApi(models, api_key="k").application()
    async with TestClient(TestServer(application)) as client:
        headers = {"Authorization": "Bearer k"}
        method = "GET" if body is None else "POST"
        async with client.request(method, path, json=body, headers=headers) as response:
            return response.status, await response.text()


def asked(models: LoadedModels, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    return asyncio.run(_asked(models, path, body))


CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_stream_that_breaks_says_so_and_is_not_done(tmp_path: Path) -> None:
    engine = ScriptedEngine(["Hel", EngineRefused("out of memory")])
    status, text = asked(ScriptedModels(tmp_path, engine), "/v1/chat/completions", CHAT | {"stream": True})

    assert (status, "out of memory" in text, "[DONE]" in text) == (200, True, False)


def test_an_answer_that_breaks_is_an_error(tmp_path: Path) -> None:
    engine = ScriptedEngine(["Hel", EngineRefused("out of memory")])
    status, text = asked(ScriptedModels(tmp_path, engine), "/v1/chat/completions", CHAT)

    assert (status, json.loads(text)["message"]) == (400, "out of memory")


def test_a_stream_ends_with_done(tmp_path: Path) -> None:
    engine = ScriptedEngine(["Hello"])
    _, text = asked(ScriptedModels(tmp_path, engine), "/v1/chat/completions", CHAT | {"stream": True})

    assert text.endswith("data: [DONE]\n\n")


def test_choices_count_their_prompt_once(tmp_path: Path) -> None:
    engine = ScriptedEngine(["one"], ["two", "three"])
    _, text = asked(ScriptedModels(tmp_path, engine), "/v1/chat/completions", CHAT | {"n": 2})

    assert json.loads(text)["usage"] == {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}


def test_an_empty_home_offers_no_model(tmp_path: Path) -> None:
    status, text = asked(LoadedModels(tmp_path), "/v1/models")

    assert (status, json.loads(text)["data"]) == (200, [])


def test_a_server_that_nobody_came_to_is_not_needed(tmp_path: Path) -> None:
    api = EmbeddedApi(LoadedModels(tmp_path), api_key="k")

    asyncio.run(asyncio.wait_for(api.unneeded(linger_seconds=0.0, first_lease_seconds=0.1), 5))


def test_a_state_is_left_alone_while_another_server_is_started(tmp_path: Path) -> None:
    run_files.write_state(tmp_path, "f", run_files.ServerState(url="u", key="k", pid=1))
    with run_files.lock(tmp_path):
        remover = threading.Thread(target=run_files.remove_state, args=(tmp_path, "f"), kwargs={"pid": 1})
        remover.start()
        remover.join(10)

    assert run_files.read_state(tmp_path, "f") is not None


def test_the_state_of_another_server_is_left_alone(tmp_path: Path) -> None:
    run_files.write_state(tmp_path, "f", run_files.ServerState(url="u", key="k", pid=1))
    run_files.remove_state(tmp_path, "f", pid=2)

    assert run_files.read_state(tmp_path, "f") is not None


def test_an_answer_is_a_generator_that_does_nothing_until_it_is_read() -> None:
    engine = ScriptedEngine()
    pieces: AsyncGenerator[Any] = tool_calls.answer(engine, None)  # type: ignore[arg-type]

    assert engine.requests == []
    asyncio.run(pieces.aclose())
