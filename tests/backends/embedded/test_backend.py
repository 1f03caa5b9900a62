"""The embedded model through the protocol that the engine speaks to both backends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mistral_nb.backends.backend import Backend
from mistral_nb.backends.embedded import process
from mistral_nb.backends.embedded.backend import EmbeddedBackend
from mistral_nb.completion import Completion, CompletionRequest, Delta, LabelChoice
from mistral_nb.errors import (
    ConnectionLost,
    EmbeddedServerFailed,
    EngineMissing,
    NotSupported,
    PromptTooLong,
    RequestRejected,
    UnknownModel,
    WeightsCorrupt,
    WeightsMissing,
)
from tests.backends.embedded.conftest import Ask, wait_until

HELLO = CompletionRequest(
    model="local-tiny", messages=({"role": "user", "content": "Say hello."},), temperature=0, max_tokens=6
)
TOPIC = replace(HELLO, choice=LabelChoice(text="Where is my parcel?", labels=("billing", "delivery", "bug")))
# No end in sight for minutes: sixteen answers, none of which may end early.
ENDLESS = replace(HELLO, max_tokens=4000, temperature=1.5, stop=("\0",), options={"n": 16})


@pytest.fixture(scope="module")
def own_home(weights_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home whose server is nobody else's."""
    home = tmp_path_factory.mktemp("own")
    (home / "weights").symlink_to(weights_home / "weights", target_is_directory=True)
    return home


class TestAnswers:
    def test_a_completion_has_text_usage_and_reason(self, ask: Ask) -> None:
        answer = ask(lambda backend: backend.complete(HELLO))

        assert answer.text
        assert (answer.model, answer.finish_reason, answer.usage.completion_tokens) == ("local-tiny", "length", 6)

    def test_the_streamed_pieces_are_the_completion(self, ask: Ask) -> None:
        async def both(backend: EmbeddedBackend) -> tuple[str, str, Delta]:
            deltas = [delta async for delta in backend.stream(HELLO)]
            return "".join(delta.text for delta in deltas), (await backend.complete(HELLO)).text, deltas[-1]

        streamed, complete, last = ask(both)

        assert streamed == complete
        assert (last.finish_reason, last.usage and last.usage.completion_tokens) == ("length", 6)

    def test_a_choice_is_one_of_the_labels_in_the_form_that_was_asked_for(self, ask: Ask) -> None:
        answer = ask(lambda backend: backend.complete(TOPIC))

        assert json.loads(answer.text)["label"] in ("billing", "delivery", "bug")
        assert (answer.finish_reason, answer.usage.completion_tokens) == ("stop", 0)
        assert answer.usage.prompt_tokens > 0

    @pytest.mark.parametrize("request_", [HELLO, TOPIC], ids=["text", "choice"])
    def test_a_row_gets_the_completion_of_a_request(self, ask: Ask, request_: CompletionRequest) -> None:
        async def both(backend: EmbeddedBackend) -> list[Completion]:
            answers = [await backend.complete_row(request_), await backend.complete(request_)]
            return [replace(answer, response_id=None, latency_seconds=0.0) for answer in answers]

        row, completion = ask(both)

        assert row == completion

    def test_a_row_needs_no_sdk(self, embedded_home: Path) -> None:
        script = f"""
import asyncio, sys
from pathlib import Path
from mistral_nb.backends.embedded.backend import EmbeddedBackend
from mistral_nb.completion import CompletionRequest

async def main():
    backend = EmbeddedBackend(Path({str(embedded_home)!r}))
    messages = ({{"role": "user", "content": "Say hello."}},)
    print(bool((await backend.complete_row(CompletionRequest(model="local-tiny", messages=messages, max_tokens=3))).text))
    await backend.aclose()

asyncio.run(main())
print([name for name in ("mistralai", "pydantic", "httpx2") if name in sys.modules])
"""
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert ended.stdout.splitlines() == ["True", "[]"]

    def test_a_proxy_of_the_environment_is_not_in_the_way(self, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

        answers = ask(lambda backend: asyncio.gather(backend.complete_row(HELLO), backend.complete(HELLO)))

        assert all(answer.text for answer in answers)

    def test_it_asks_for_each_row_alone(self, tmp_path: Path) -> None:
        backend: Backend = EmbeddedBackend(tmp_path)

        assert not backend.packs_rows

    def test_a_choice_does_not_depend_on_other_texts(self, ask: Ask) -> None:
        assert TOPIC.choice is not None
        texts = ["Where is my parcel?", "The page is blank.", "Charged twice!"]
        requests = [replace(TOPIC, choice=replace(TOPIC.choice, text=text)) for text in texts]

        async def in_order(backend: EmbeddedBackend, order: list[int]) -> list[str]:
            answers = await asyncio.gather(*(backend.complete(requests[place]) for place in order))
            found = {place: answer.text for place, answer in zip(order, answers, strict=True)}
            return [found[place] for place in range(3)]

        assert ask(lambda backend: in_order(backend, [0, 1, 2])) == ask(lambda backend: in_order(backend, [2, 0, 1]))

    def test_texts_are_embedded_in_order(self, ask: Ask) -> None:
        embeddings = ask(lambda backend: backend.embed(["one", "two", "one"], model="local-embed"))

        assert embeddings.vectors[0] == pytest.approx(embeddings.vectors[2], abs=1e-6)
        assert embeddings.vectors[0] != pytest.approx(embeddings.vectors[1], abs=1e-2)

    def test_the_models_that_are_here_are_listed(self, ask: Ask) -> None:
        cards = ask(lambda backend: backend.models())

        assert {"local-tiny", "local-embed"} <= {card.id for card in cards}

    def test_small_fills_in_the_middle(self, ask: Ask, small: str) -> None:
        answer = ask(
            lambda backend: backend.fill_in_middle("def add(a, b):\n    return ", "\n", model=small, max_tokens=8)
        )

        assert answer.text

    def test_a_file_answers_under_its_path(self, embedded_home: Path) -> None:
        (path,) = (embedded_home / "weights").glob("SmolLM2*.gguf")
        backend = EmbeddedBackend(embedded_home, model_path=path)

        async def answer() -> str:
            try:
                return (await backend.complete(replace(HELLO, model=str(path)))).model
            finally:
                await backend.aclose()

        assert asyncio.run(answer()) == str(path)

    def test_leaving_a_stream_makes_room(self, ask: Ask) -> None:
        async def leave_and_ask(backend: EmbeddedBackend) -> str:
            stream = backend.stream(ENDLESS)
            await anext(stream)
            await stream.aclose()
            return (await asyncio.wait_for(backend.complete(HELLO), 20)).text

        assert ask(leave_and_ask)


class TestIdentity:
    def test_the_answering_model_is_known_by_its_weights(self, embedded_home: Path) -> None:
        name = EmbeddedBackend(embedded_home).answering_model("local-tiny")

        assert name == "local-tiny@b179c9523d0e6a0f/1+local-embed@6b9949a19e23b05c/5"

    def test_a_file_is_known_by_its_bytes(self, embedded_home: Path) -> None:
        (path,) = (embedded_home / "weights").glob("SmolLM2*.gguf")

        assert EmbeddedBackend(embedded_home).answering_model(str(path)).startswith(f"{path.name}@b179c9523d0e6a0f")

    def test_an_embedding_model_is_known_by_itself(self, embedded_home: Path) -> None:
        assert EmbeddedBackend(embedded_home).answering_model("local-embed") == "local-embed@6b9949a19e23b05c"

    def test_the_endpoint_is_the_same_in_every_kernel(self, tmp_path: Path) -> None:
        assert EmbeddedBackend(tmp_path).endpoint == "embedded"

    def test_its_repr_names_the_home(self, tmp_path: Path) -> None:
        assert str(tmp_path) in repr(EmbeddedBackend(tmp_path))

    def test_importing_it_loads_neither_the_sdk_nor_an_engine(self) -> None:
        script = (
            "import sys, mistral_nb.backends.embedded.backend; "
            "print([name for name in ('mistralai', 'aiohttp', 'xllamacpp', 'pydantic', 'filelock') if name in sys.modules])"
        )
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

        assert ended.stdout.strip() == "[]"


class TestChecks:
    def test_a_file_that_was_checked_is_checked_again_when_it_changed(self, tmp_path: Path) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(b"GGUF" + bytes(100))
        backend = EmbeddedBackend(tmp_path)

        asyncio.run(backend._check(str(path)))
        path.write_bytes(b"not one any more")

        with pytest.raises(WeightsCorrupt):
            asyncio.run(backend._check(str(path)))

    def test_a_checked_file_is_not_looked_into_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(b"GGUF" + bytes(100))
        backend = EmbeddedBackend(tmp_path)
        asyncio.run(backend._check(str(path)))
        monkeypatch.setattr(backend, "_sha256", None)

        asyncio.run(backend._check(str(path)))

    def test_a_file_is_checked_also_when_no_thread_starts_any_more(self, tmp_path: Path) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(b"GGUF" + bytes(100))

        async def check_at_the_end() -> None:
            await asyncio.get_running_loop().shutdown_default_executor()
            await EmbeddedBackend(tmp_path)._check(str(path))

        asyncio.run(check_at_the_end())

    def test_a_request_is_answered_after_the_main_thread_has_ended(self, embedded_home: Path) -> None:
        script = f"""
import asyncio, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from mistral_nb.backends.embedded.backend import EmbeddedBackend
from mistral_nb.completion import CompletionRequest

async def main():
    threading.main_thread().join()
    try:
        while True:  # until Python starts no threads any more
            with ThreadPoolExecutor() as executor:
                executor.submit(int)
    except RuntimeError:
        pass
    backend = EmbeddedBackend(Path({str(embedded_home)!r}))
    messages = ({{"role": "user", "content": "Say hello."}},)
    print(bool((await backend.complete_row(CompletionRequest(model="local-tiny", messages=messages, max_tokens=3))).text))
    await backend.aclose()

def run():  # not asyncio.run, which starts a thread at its end
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()

threading.Thread(target=run).start()
"""
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

        assert (ended.stdout.strip(), ended.stderr) == ("True", "")


class TestRefusals:
    @pytest.mark.parametrize("model", ["mistral-small-latest", "local-huge", "codestral-latest"])
    def test_a_model_that_is_not_embedded_is_unknown(self, ask: Ask, model: str) -> None:
        with pytest.raises(UnknownModel, match="local-small"):
            ask(lambda backend: backend.complete(replace(HELLO, model=model)))

    def test_the_users_own_file_is_among_the_models_that_are_named(self, tmp_path: Path) -> None:
        backend = EmbeddedBackend(tmp_path, model_path=tmp_path / "mine.gguf")

        with pytest.raises(UnknownModel, match=r"mine\.gguf"):
            backend.answering_model("mistral-small-latest")

    def test_a_hosted_model_is_told_to_need_a_key(self, ask: Ask) -> None:
        with pytest.raises(UnknownModel, match="MISTRAL_API_KEY"):
            ask(lambda backend: backend.complete(replace(HELLO, model="mistral-large-latest")))

    def test_missing_weights_are_told_before_anything_is_started(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsMissing, match="mistral-nb download-model local-tiny"):
            asyncio.run(EmbeddedBackend(tmp_path).complete(HELLO))

        assert not (tmp_path / "run").exists()

    def test_a_missing_engine_is_told_before_missing_weights(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "xllamacpp", None)

        with pytest.raises(EngineMissing):
            asyncio.run(EmbeddedBackend(tmp_path).complete(HELLO))

    def test_a_file_that_is_no_gguf_is_not_loaded(self, ask: Ask, tmp_path: Path) -> None:
        path = tmp_path / "model.gguf"
        path.write_text("not a model")

        with pytest.raises(WeightsCorrupt):
            ask(lambda backend: backend.complete(replace(HELLO, model=str(path))))

    def test_tiny_does_not_fill_in_the_middle(self, ask: Ask) -> None:
        with pytest.raises(NotSupported, match="local-small"):
            ask(lambda backend: backend.fill_in_middle("a", "b", model="local-tiny"))

    def test_moderation_needs_a_key(self, ask: Ask) -> None:
        with pytest.raises(NotSupported, match="MISTRAL_API_KEY"):
            ask(lambda backend: backend.moderate(["a"], model="mistral-moderation-latest"))

    def test_a_prompt_that_is_too_long_is_told(self, ask: Ask) -> None:
        long = replace(HELLO, messages=({"role": "user", "content": "word " * 9000},))

        with pytest.raises(PromptTooLong):
            ask(lambda backend: backend.complete(long))

    def test_labels_that_are_no_choice_are_rejected(self, ask: Ask) -> None:
        same = replace(HELLO, choice=LabelChoice(text="a", labels=("bug", "bug")))

        with pytest.raises(RequestRejected, match="labels"):
            ask(lambda backend: backend.complete(same))


@pytest.mark.skipif(os.name == "nt", reason="killing is tested where it is sudden")
class TestDeath:
    @staticmethod
    async def killed_while(backend: EmbeddedBackend, home: Path, *, streams: bool) -> None:
        """Kill the server while it answers; raise what the request raises."""
        started = asyncio.Event()

        async def ask() -> None:
            async for _ in backend.stream(ENDLESS):
                started.set()

        asking = asyncio.create_task(ask())
        await started.wait()
        choosing = asyncio.create_task(backend.complete(TOPIC))
        await asyncio.wait([choosing], timeout=0.2)  # it is queued by now
        os.kill(process.ensure_server(home).pid, signal.SIGKILL)
        raised = await asyncio.gather(asking, choosing, return_exceptions=True)
        problem = raised[0 if streams else 1]
        assert isinstance(problem, Exception)
        raise problem

    @pytest.mark.parametrize("streams", [True, False], ids=["stream", "choice"])
    def test_a_request_that_loses_its_server_may_be_sent_again(self, own_home: Path, streams: bool) -> None:
        async def lose_and_ask_again() -> Any:
            backend = EmbeddedBackend(own_home)
            try:
                with pytest.raises(ConnectionLost, match="ended in the middle") as lost:
                    await self.killed_while(backend, own_home, streams=streams)
                return lost.value, await backend.complete(HELLO)
            finally:
                await backend.aclose()

        lost, answer = asyncio.run(lose_and_ask_again())

        assert lost.is_worth_retrying
        assert answer.text

    def test_a_server_that_ends_again_and_again_is_given_up(self, own_home: Path) -> None:
        async def lose_twice() -> None:
            backend = EmbeddedBackend(own_home)
            try:
                with pytest.raises(ConnectionLost):
                    await self.killed_while(backend, own_home, streams=True)
                await self.killed_while(backend, own_home, streams=True)
            finally:
                await backend.aclose()

        with pytest.raises(EmbeddedServerFailed, match="ended again"):
            asyncio.run(lose_twice())

    def test_a_server_that_went_between_requests_is_replaced_silently(self, own_home: Path) -> None:
        async def ask_kill_ask() -> list[str]:
            backend = EmbeddedBackend(own_home)
            try:
                first = await backend.complete(HELLO)
                handle = process.ensure_server(own_home)
                os.kill(handle.pid, signal.SIGKILL)
                wait_until(lambda: not process.is_running(handle, home=own_home))
                return [first.text, (await backend.complete(HELLO)).text]
            finally:
                await backend.aclose()

        first, second = asyncio.run(ask_kill_ask())

        assert first == second
