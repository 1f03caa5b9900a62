"""The models of one server: which it can answer with, and those it has loaded.

Keeps to itself: where each model's file is, and what is kept per model and per set of labels.
Promises: a model is loaded once, at its first request, from a file found to be the right one; unknown names, and names
whose weights are missing, are API problems that say what to do.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mistral_nb.backends.embedded.api_requests import ApiProblem, LabelChoiceRequest, unknown_model, unprocessable
from mistral_nb.backends.embedded.engine import CONTEXT_TOKENS, CannotLoad, ChatEngine, EmbeddingEngine
from mistral_nb.backends.embedded.labels import LabelChooser, LabelScores, SeveralLabelScores
from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_folder, weights_path
from mistral_nb.errors import InvalidLabels, MistralNotebookError

EMBEDDING_MODEL = "local-embed"
KEPT_LABEL_SETS = 64

_Engine = TypeVar("_Engine", ChatEngine, EmbeddingEngine)
# The model's name, the labels, what says more of each, and the label of all other texts.
_LabelSetKey = tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...], str | None]


class LoadedModels:
    """The models of a home, loaded when they are first asked for.

    Parameters
    ----------
    home
        Its folder "weights" holds the local models.
    only_path
        The one GGUF file that may be named by path; None lets any be named, for servers that only their own user reaches.
    """

    def __init__(self, home: Path, *, only_path: Path | None = None) -> None:
        self._home = home
        self._only_path = only_path
        self._chat: dict[str, ChatEngine] = {}
        self._embedding: dict[str, EmbeddingEngine] = {}
        self._files: dict[str, tuple[int, int, int] | None] = {}
        self._loading = asyncio.Lock()
        self._label_sets: OrderedDict[_LabelSetKey, _LabelSet] = OrderedDict()

    async def chat_engine(self, name: str) -> ChatEngine:
        """Return the chat model of that name.

        Raises
        ------
        ApiProblem
            There is none, its weights are missing or wrong, it can't be loaded, or it can't chat.
        """
        local = LOCAL_MODELS.get(name)
        if local is not None and local.role != "chat":
            raise unknown_model(f"Invalid model: {name} embeds texts; it does not chat. {self._offer('chat')}")
        context = min(CONTEXT_TOKENS, local.context_tokens) if local else CONTEXT_TOKENS
        return await self._loaded(name, self._chat, lambda path: ChatEngine(path, context_tokens=context))

    async def embedding_engine(self, name: str) -> EmbeddingEngine:
        """Return the embedding model of that name; ApiProblem as in `chat_engine`."""
        local = LOCAL_MODELS.get(name)
        if local is None or local.role != "embed":
            raise unknown_model(f"Invalid model: {name} does not embed texts here. {self._offer('embed')}")
        return await self._loaded(name, self._embedding, EmbeddingEngine)

    async def choose_label(self, asked: LabelChoiceRequest) -> tuple[LabelScores | SeveralLabelScores, int]:
        """Return which label fits the text, or which apply, and how many tokens were read for it."""
        chat, embedding = await self.chat_engine(asked.model), await self.embedding_engine(EMBEDDING_MODEL)

        def choose() -> tuple[LabelScores | SeveralLabelScores, int]:
            hints = tuple(map(tuple, asked.hints))
            key = (asked.model, tuple(asked.labels), hints, asked.other)
            if key not in self._label_sets:
                self._label_sets[key] = _LabelSet(asked, chat, embedding)
                if len(self._label_sets) > KEPT_LABEL_SETS:
                    self._label_sets.popitem(last=False)
            self._label_sets.move_to_end(key)
            return self._label_sets[key].choose(asked.text, is_several=asked.is_several)

        try:
            return await chat.in_turn(choose)
        except InvalidLabels as problem:
            raise unprocessable(("labels",), str(problem)) from None

    def cards(self) -> list[dict[str, Any]]:
        """Return the models that can answer now, as the API describes models."""
        names = [name for name in LOCAL_MODELS if (weights_folder(self._home) / LOCAL_MODELS[name].file_name).is_file()]
        paths = [name for name in self._chat if name not in LOCAL_MODELS]
        # The empty path stands for no file at all.
        if self._only_path is not None and self._only_path.name and str(self._only_path) not in paths:
            paths.append(str(self._only_path))
        return [_local_card(name) for name in names] + [_card(path, Path(path).stem) for path in paths]

    async def close(self) -> None:
        """Stop every generation and let all models go."""
        engines: list[ChatEngine | EmbeddingEngine] = [*self._chat.values(), *self._embedding.values()]
        self._chat.clear()
        self._embedding.clear()
        self._label_sets.clear()
        for engine in engines:
            await asyncio.to_thread(engine.close)

    async def _loaded(self, name: str, loaded: dict[str, _Engine], load: Callable[[Path], _Engine]) -> _Engine:
        if not self._is_loaded(name, loaded):
            async with self._loading:
                if not self._is_loaded(name, loaded):
                    if name in loaded:
                        await asyncio.to_thread(loaded.pop(name).close)
                        self._label_sets.clear()
                    self._files[name] = _file_state(name)
                    loaded[name] = await asyncio.to_thread(lambda: self._load(name, load))
        return loaded[name]

    def _is_loaded(self, name: str, loaded: Mapping[str, _Engine]) -> bool:
        """Whether the model is loaded, from the file that is there now: one named by path may be another by now."""
        return name in loaded and self._files.get(name) == _file_state(name)

    def _load(self, name: str, load: Callable[[Path], _Engine]) -> _Engine:
        try:
            return load(self._path(name))
        except (MistralNotebookError, CannotLoad) as problem:
            raise unknown_model(f"Invalid model: {name}. {problem}") from None

    def _path(self, name: str) -> Path:
        if name in LOCAL_MODELS:
            return weights_path(name, home=self._home)
        path = Path(name)
        if not path.is_absolute() or path.suffix.lower() != ".gguf" or self._only_path not in {None, path}:
            raise _no_such_model(name, self._offer("chat"))
        if not path.is_file():
            raise unknown_model(f"Invalid model: there is no file {path}.")
        return path

    def _offer(self, role: str) -> str:
        names = ", ".join(name for name, model in LOCAL_MODELS.items() if model.role == role)
        return f"This server runs local models: {names}."


class _LabelSet:
    """Labels with what was computed for them once, and a count of the tokens that are read for their texts."""

    def __init__(self, asked: LabelChoiceRequest, chat: ChatEngine, embedding: EmbeddingEngine) -> None:
        self._chat = chat
        self._embedding = embedding
        self._read_tokens = 0
        self._chooser = LabelChooser(
            asked.labels,
            hints=asked.hints,
            other=asked.other,
            next_token_log_probabilities=self._next_token,
            embed=self._embed,
        )

    def choose(self, text: str, *, is_several: bool) -> tuple[LabelScores | SeveralLabelScores, int]:
        """Return the label that fits, or those that apply, and the number of tokens read for this text. One call at a time."""
        self._read_tokens = 0
        scores = self._chooser.choose_several(text) if is_several else self._chooser.choose(text)
        return scores, self._read_tokens

    def _next_token(self, prompt: str) -> dict[str, float]:
        found, tokens = self._chat.next_token_log_probabilities(prompt)
        self._read_tokens += tokens
        return found

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors, tokens = self._embedding.embed(texts)
        self._read_tokens += tokens
        return vectors


def _file_state(name: str) -> tuple[int, int, int] | None:
    """Return what changes with the file of a model named by path; None for the local models, whose weights are fixed."""
    if name in LOCAL_MODELS:
        return None
    try:
        state = Path(name).stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns


def _no_such_model(name: str, offer: str) -> ApiProblem:
    return unknown_model(f"Invalid model: {name}. {offer} Mistral's own models need a key (MISTRAL_API_KEY).")


def _local_card(name: str) -> dict[str, Any]:
    model = LOCAL_MODELS[name]
    card = _card(name, model.title)
    card["description"] = model.note
    card["max_context_length"] = min(CONTEXT_TOKENS, model.context_tokens)
    card["capabilities"] |= {
        "completion_chat": model.role == "chat",
        "function_calling": model.role == "chat",
        "completion_fim": model.fill_in_middle,
    }
    return card


def _card(name: str, title: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "local",
        "name": title,
        "description": "A GGUF file named by its path.",
        "max_context_length": CONTEXT_TOKENS,
        "aliases": [],
        "deprecation": None,
        "type": "base",
        "capabilities": {
            "completion_chat": True,
            "function_calling": True,
            "completion_fim": False,
            "fine_tuning": False,
            "vision": False,
            "classification": False,
        },
    }
