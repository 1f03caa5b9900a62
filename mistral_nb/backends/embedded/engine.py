"""One loaded model, run by llama.cpp in this process.

Keeps to itself: every trap of llama.cpp and its binding (spinning threads, its own listener, calls that can't be interrupted,
servers that must not be deleted unused).
Promises: one generation at a time, in the order of asking; who stops listening stops the generation, within one batch of the
prompt; the same request gives the same words at temperature 0; `close` waits until no native thread calls back.
"""

import asyncio
import os
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

CONTEXT_TOKENS = 8192
# A cancelled request is noticed between batches of the prompt: 128 tokens take about half a second on two slow cores, and
# larger batches are no faster there.
BATCH_TOKENS = 128
EMBEDDING_TOKENS = 512
LABEL_CANDIDATES = 400
# Vocabulary and chat template come first in a GGUF file, as plain UTF-8.
HEADER_BYTES = 16_000_000

Handler = Literal["chat", "text"]
_Value = TypeVar("_Value")


class EngineRefused(Exception):
    """llama.cpp does not accept this request; the text is its own."""


class ContextExceeded(EngineRefused):
    """The prompt has more tokens than the model's window holds."""

    def __init__(self, *, prompt_tokens: int, context_tokens: int) -> None:
        super().__init__(f"{prompt_tokens} tokens, {context_tokens} fit")
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens


class CannotLoad(Exception):
    """llama.cpp can't make a model of the file."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What the file itself says the model can do beyond chat."""

    fill_in_middle: bool
    tool_template: bool


def read_traits(path: Path) -> Traits:
    """Return what a GGUF file's vocabulary and chat template show: Qwen's fill-in-the-middle tokens, a place for tools."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    return Traits(fill_in_middle=b"<|fim_middle|>" in header, tool_template=b"if tools" in header)


def import_engine() -> Any:
    """Return the `xllamacpp` module, imported in the one way that does not slow the machine down.

    Raises
    ------
    ImportError
        It is not installed.
    """
    # libgomp reads this once, at the import: by default its threads spin for so long that two kernels on two cores take
    # twenty times as long.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    import xllamacpp

    return xllamacpp


class ChatEngine:
    """A chat model, ready to answer.

    Parameters
    ----------
    path
        A GGUF file that was found to be the right one, or that the user named: llama.cpp may abort the process over a bad one.
    context_tokens
        Prompt and answer together; memory is taken for all of it.
    """

    def __init__(self, path: Path, *, context_tokens: int = CONTEXT_TOKENS) -> None:
        self.traits = read_traits(path)
        self.context_tokens = context_tokens
        self._turn = asyncio.Lock()
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mistral-nb-llama")
        self._server = _load(path, n_ctx=context_tokens, n_batch=BATCH_TOKENS, n_ubatch=BATCH_TOKENS)

    async def generate(self, handler: Handler, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """Yield llama.cpp's stream chunks for a request, once it is its turn.

        Closing the generator stops the generation and waits until it has stopped.

        Raises
        ------
        EngineRefused
            Before anything was yielded, e.g. `ContextExceeded`, or a schema that has no grammar.
        """
        function = self._server.handle_chat_completions if handler == "chat" else self._server.handle_completions
        # The prompt cache changes the shapes of the batches, and with them the words.
        complete = {
            **request,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
            "cache_prompt": False,
        }
        async with self._turn:
            loop = asyncio.get_running_loop()
            chunks: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
            unwanted = threading.Event()

            def hand_over(chunk: Any) -> bool:
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
                return unwanted.is_set() or self._stopping.is_set()

            def run() -> None:
                try:
                    function(complete, hand_over)
                except (ValueError, RuntimeError) as error:
                    raise EngineRefused(_without_preamble(str(error))) from None
                finally:
                    loop.call_soon_threadsafe(chunks.put_nowait, None)

            running = loop.run_in_executor(self._thread, run)
            try:
                while (chunk := await chunks.get()) is not None:
                    if "error" in chunk:
                        raise _refusal(chunk["error"])
                    yield chunk
                await running
            finally:
                unwanted.set()
                await asyncio.wait([running])
                if not running.cancelled():
                    running.exception()

    async def in_turn(self, work: Callable[[], _Value]) -> _Value:
        """Run blocking `work`, which may use the blocking methods below, in the engine's thread, in turn; return its value."""
        async with self._turn:
            running = asyncio.get_running_loop().run_in_executor(self._thread, work)
            try:
                return await asyncio.shield(running)
            finally:
                # Who asked may have left; the turn ends when the work does, and nobody is told of its errors.
                await asyncio.wait([running])
                running.exception()

    def next_token_log_probabilities(self, prompt: str) -> tuple[dict[str, float], int]:
        """Return the most likely next tokens of a plain prompt with their log-probabilities, and the prompt's tokens.

        Blocks; see `in_turn`.
        """
        answer = self._server.handle_completions(
            {
                "prompt": prompt,
                "max_tokens": 1,
                "temperature": 0,
                "n_probs": LABEL_CANDIDATES,
                "cache_prompt": False,
            }
        )
        if "error" in answer:
            raise _refusal(answer["error"])
        return _token_log_probabilities(answer), int(answer["usage"]["prompt_tokens"])

    def close(self) -> None:
        """Stop what is running and let the model go. A native thread calling into a finalizing interpreter would abort it."""
        self._stopping.set()
        self._thread.shutdown(wait=True)
        del self._server


class EmbeddingEngine:
    """An embedding model: texts in, vectors of length 1 out."""

    def __init__(self, path: Path) -> None:
        pooling = import_engine().llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        self.context_tokens = EMBEDDING_TOKENS
        self._turn = threading.Lock()
        # Such a model reads a text in one piece, so the batch has to hold the longest.
        self._server = _load(
            path,
            n_ctx=EMBEDDING_TOKENS,
            n_batch=EMBEDDING_TOKENS,
            n_ubatch=EMBEDDING_TOKENS,
            embedding=True,
            pooling_type=pooling,
        )

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Return a vector per text, and the number of tokens read. Blocks.

        Raises
        ------
        ContextExceeded
            One of the texts is longer than the model reads.
        """
        if not texts:
            return [], 0
        with self._turn:
            answer = self._server.handle_embeddings({"input": list(texts)})
        if "error" in answer:
            raise _refusal(answer["error"])
        vectors = [entry["embedding"] for entry in sorted(answer["data"], key=lambda entry: int(entry["index"]))]
        return vectors, int(answer["usage"]["prompt_tokens"])

    def close(self) -> None:
        with self._turn:
            del self._server


def _load(path: Path, **settings: Any) -> Any:
    """Load a model for one request at a time."""
    xllamacpp = import_engine()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.verbosity = -1
    params.warmup = False
    params.n_parallel = 1
    params.cache_ram_mib = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    # The binding always opens an HTTP listener of its own, open to any web page: lock it with a key that nobody knows.
    params.api_keys = [secrets.token_hex(32)]
    params.port = 0
    params.n_threads_http = 1
    params.ui = False
    params.endpoint_slots = False
    for name, value in settings.items():
        setattr(params, name, value)
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise CannotLoad(f"llama.cpp can't load {path}: {error}") from None
    # Deleting a server that never served hangs: one token first.
    if settings.get("embedding"):
        server.handle_embeddings({"input": ["a"]})
    else:
        server.handle_completions({"prompt": "a", "max_tokens": 1})
    return server


def _threads() -> int:
    """Return how many threads generate: OMP_NUM_THREADS, or else the cores this process may use, and no more than eight."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(8, cores or 1))


def _without_preamble(message: str) -> str:
    """Return what is wrong with a schema without what llama.cpp was about to do with it."""
    return message[max(0, message.find("JSON schema error")) :]


def _refusal(error: Mapping[str, Any]) -> EngineRefused:
    message = str(error.get("message", error))
    if error.get("type") == "exceed_context_size_error":
        return ContextExceeded(prompt_tokens=int(error["n_prompt_tokens"]), context_tokens=int(error["n_ctx"]))
    if message.startswith("input (") and "is too large to process" in message:
        tokens = "".join(filter(str.isdigit, message.partition(" tokens")[0]))
        return ContextExceeded(prompt_tokens=int(tokens), context_tokens=EMBEDDING_TOKENS)
    return EngineRefused(message)


def _token_log_probabilities(answer: Mapping[str, Any]) -> dict[str, float]:
    """Read the candidates of the first token; of two tokens with the same text the likelier counts."""
    contents = (answer["choices"][0].get("logprobs") or {}).get("content") or [{"top_logprobs": []}]
    found: dict[str, float] = {}
    for candidate in contents[0]["top_logprobs"]:
        text = candidate["token"]
        found[text] = max(candidate["logprob"], found.get(text, candidate["logprob"]))
    return found
