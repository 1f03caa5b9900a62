"""llama.cpp in a process of its own, with its traps closed."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from mistral_nb.backends.embedded import engine as engine_module
from mistral_nb.backends.embedded.engine import ContextExceeded, EngineRefused, read_traits

ROOT = Path(__file__).parents[3]


def run(script: str, *arguments: Any, environment: dict[str, str] | None = None) -> str:
    """Return what a script prints that has the usual names; it must end well, in time and without complaint."""
    names = """
    import asyncio, json, os, sys, threading, time, urllib.request, urllib.error
    from contextlib import aclosing
    from pathlib import Path
    from mistral_nb.backends.embedded import engine as engine_module
    from mistral_nb.backends.embedded.engine import *
    ASK = {"messages": [{"role": "user", "content": "Count to a hundred."}], "temperature": 0, "max_tokens": 8}
    def text(chunks):
        return "".join((choice.get("delta") or {}).get("content") or "" for chunk in chunks for choice in chunk["choices"])
    async def answer(engine, **fields):
        async with aclosing(engine.generate("chat", {**ASK, **fields})) as chunks:
            return [chunk async for chunk in chunks]
    """
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(names) + textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        env=environment,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()


@pytest.fixture(scope="module")
def tiny(embedded_home: Path) -> Path:
    return next((embedded_home / "weights").glob("SmolLM2*.gguf"))


@pytest.fixture(scope="module")
def embed(embedded_home: Path) -> Path:
    return next((embedded_home / "weights").glob("all-MiniLM*.gguf"))


def test_its_threads_do_not_spin(tiny: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    script = "import_engine(); print(os.environ['GOMP_SPINCOUNT'])"

    assert run(script, environment=environment) == "1000"


@pytest.mark.parametrize("wanted", ["1", "3", " 2,1"])
def test_it_works_on_as_many_cores_as_the_environment_says(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)

    assert engine_module._threads() == int(wanted.partition(",")[0])


@pytest.mark.parametrize("wanted", ["", "0", "-1", "many"])
def test_otherwise_it_works_on_those_that_it_may_use_up_to_eight(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)), raising=False)

    assert engine_module._threads() == 8


def test_a_model_that_never_answered_can_be_let_go(tiny: Path, embed: Path) -> None:
    script = """
    ChatEngine(Path(sys.argv[1]), context_tokens=512).close()
    EmbeddingEngine(Path(sys.argv[2])).close()
    print("closed")
    """

    assert run(script, tiny, embed) == "closed"


def test_closing_stops_what_is_running(tiny: Path) -> None:
    script = """
    async def main():
        engine = ChatEngine(Path(sys.argv[1]), context_tokens=4096)
        came, first = [], asyncio.Event()
        async def long():
            async with aclosing(engine.generate("chat", {**ASK, "max_tokens": 4000, "temperature": 1.5})) as chunks:
                async for chunk in chunks:
                    came.append(chunk)
                    first.set()
        running = asyncio.create_task(long())
        await first.wait()
        before = len(came)
        await asyncio.to_thread(engine.close)
        await running
        print(len(came) - before < 200)
    asyncio.run(main())
    """

    assert run(script, tiny) == "True"


def test_its_own_listener_lets_nobody_in(tiny: Path) -> None:
    script = """
    engine = ChatEngine(Path(sys.argv[1]), context_tokens=512)
    address = engine._server.listening_address
    request = urllib.request.Request(address + "/v1/completions", data=b'{"prompt": "a", "max_tokens": 1}')
    try:
        print(urllib.request.urlopen(request, timeout=20).status)
    except urllib.error.HTTPError as error:
        print(error.code)
        error.close()
    engine.close()
    """

    assert run(script, tiny) == "401"


def test_requests_are_answered_in_the_order_of_asking(tiny: Path) -> None:
    script = """
    async def main():
        engine = ChatEngine(Path(sys.argv[1]), context_tokens=512)
        order = []
        async def ask(name):
            await answer(engine)
            order.append(name)
        await asyncio.gather(*(ask(name) for name in range(4)))
        print(order)
        engine.close()
    asyncio.run(main())
    """

    assert run(script, tiny) == "[0, 1, 2, 3]"


def test_who_leaves_while_a_long_prompt_is_read_makes_room(tiny: Path) -> None:
    script = """
    async def main():
        engine = ChatEngine(Path(sys.argv[1]), context_tokens=8192)
        long = {"messages": [{"role": "user", "content": "word " * 7000}], "max_tokens": 1}
        reading = asyncio.create_task(answer(engine, **long))
        await asyncio.wait([reading], timeout=0.5)
        reading.cancel()
        started = time.process_time()  # of all threads: however busy the machine is, reading on would take much more
        short = await answer(engine)
        print(reading.cancelled() or reading.cancelling(), bool(text(short)), time.process_time() - started < 8)
        engine.close()
    asyncio.run(main())
    """

    assert run(script, tiny) == "True True True"


def test_a_refusal_comes_before_anything_is_yielded(tiny: Path) -> None:
    script = """
    async def main():
        engine = ChatEngine(Path(sys.argv[1]), context_tokens=512)
        for request in (
            {**ASK, "messages": [{"role": "user", "content": "word " * 600}]},
            {**ASK, "response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "#/$defs/none"}}}},
        ):
            try:
                await answer(engine, **request)
            except EngineRefused as error:
                print(type(error).__name__, getattr(error, "context_tokens", None))
        print(bool(text(await answer(engine))))
        engine.close()
    asyncio.run(main())
    """

    assert run(script, tiny).splitlines() == ["ContextExceeded 512", "EngineRefused None", "True"]


def test_work_in_turn_is_finished_when_its_asker_leaves(tiny: Path) -> None:
    script = """
    async def main():
        engine = ChatEngine(Path(sys.argv[1]), context_tokens=512)
        begun, may_end, ended = threading.Event(), threading.Event(), []
        def work():
            begun.set()
            may_end.wait()
            ended.append(engine.next_token_log_probabilities("The sky is")[1])
        asking = asyncio.create_task(engine.in_turn(work))
        await asyncio.to_thread(begun.wait)
        asking.cancel()
        after = asyncio.create_task(answer(engine))
        await asyncio.wait([asking], timeout=0.1)
        may_end.set()
        print(bool(text(await after)), len(ended))
        engine.close()
    asyncio.run(main())
    """

    assert run(script, tiny) == "True 1"


def test_the_next_tokens_are_probable(tiny: Path) -> None:
    script = """
    import math
    engine = ChatEngine(Path(sys.argv[1]), context_tokens=512)
    found, tokens = engine.next_token_log_probabilities("The capital of France is")
    total = sum(math.exp(value) for value in found.values())
    print(len(found) > 100, 0.5 < total <= 1.001, tokens)
    try:
        engine.next_token_log_probabilities("word " * 600)
    except ContextExceeded as error:
        print(error.context_tokens)
    engine.close()
    """

    assert run(script, tiny).splitlines() == ["True True 5", "512"]


def test_a_text_that_is_too_long_to_embed_is_counted(embed: Path) -> None:
    script = """
    engine = EmbeddingEngine(Path(sys.argv[1]))
    try:
        engine.embed(["word " * 600])
    except ContextExceeded as error:
        print(error.prompt_tokens, error.context_tokens)
    engine.close()
    """

    assert run(script, embed) == "602 512"


def test_a_file_that_is_no_model_can_not_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\x03\0\0\0" + b"\xff" * 100)
    script = """
    try:
        ChatEngine(Path(sys.argv[1]))
    except CannotLoad as error:
        print("bad.gguf" in str(error))
    """

    assert run(script, tmp_path / "bad.gguf") == "True"


class TestTraits:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [(b"GGUF", (False, False)), (b"<|fim_middle|>", (True, False)), (b"{%- if tools %}", (False, True))],
    )
    def test_they_are_read_from_the_file(self, tmp_path: Path, header: bytes, expected: tuple[bool, bool]) -> None:
        (tmp_path / "model.gguf").write_bytes(header)
        traits = read_traits(tmp_path / "model.gguf")

        assert (traits.fill_in_middle, traits.tool_template) == expected


class TestRefusals:
    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"message": "no", "type": "invalid_request_error"}, EngineRefused),
            ({"message": "m", "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 4}, ContextExceeded),
            ({"message": "input (9 tokens) is too large to process. increase"}, ContextExceeded),
        ],
    )
    def test_each_kind_of_the_engines_errors_is_known(self, error: dict[str, Any], kind: type[Exception]) -> None:
        assert type(engine_module._refusal(error)) is kind

    def test_of_two_tokens_with_the_same_text_the_likelier_counts(self) -> None:
        candidates = [{"token": "a", "logprob": -2.0}, {"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -3.0}]
        answer = {"choices": [{"logprobs": {"content": [{"top_logprobs": candidates}]}}]}

        assert engine_module._token_log_probabilities(answer) == {"a": -1.0, "b": -3.0}

    def test_no_candidates_are_no_tokens(self) -> None:
        assert engine_module._token_log_probabilities({"choices": [{"logprobs": None}]}) == {}
