"""The models this server knows: their names, what they serve, and how much they read.

Keeps to itself: the table (names and context windows as Mistral published them in 2026-08).
Promises: a name means one model, or none; `card` is what GET /v1/models says of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

CHAT, FIM, EMBEDDINGS, MODERATION = "chat", "fim", "embeddings", "moderation"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """One model under all its names, the dated one first."""

    names: tuple[str, ...]
    serves: frozenset[str]
    context_window: int
    embedding_dimension: int = 0
    has_reasoning: bool = False
    has_vision: bool = False
    deprecation: str | None = None
    replacement: str | None = None

    @property
    def dated_name(self) -> str:
        return self.names[0]


def _chat(*names: str, context_window: int = 262_144, **more: Any) -> KnownModel:
    return KnownModel(names=names, serves=frozenset({CHAT}), context_window=context_window, **more)


def _embed(*names: str, dimension: int) -> KnownModel:
    serves = frozenset({EMBEDDINGS})
    return KnownModel(names=names, serves=serves, context_window=8_192, embedding_dimension=dimension)


KNOWN_MODELS: tuple[KnownModel, ...] = (
    _chat("mistral-large-2512", "mistral-large-latest"),
    _chat("mistral-medium-3-5", "mistral-medium-3", "mistral-medium-latest", has_reasoning=True),
    _chat("mistral-small-2603", "mistral-small-latest", has_reasoning=True),
    _chat("ministral-14b-2512", "ministral-14b-latest"),
    _chat("ministral-8b-2512", "ministral-8b-latest"),
    _chat("ministral-3b-2512", "ministral-3b-latest"),
    KnownModel(names=("codestral-2508", "codestral-latest"), serves=frozenset({CHAT, FIM}), context_window=131_072),
    _embed("mistral-embed-2312", "mistral-embed", dimension=1024),
    _embed("codestral-embed-2505", "codestral-embed", dimension=1536),
    KnownModel(names=("mistral-moderation-2603",), serves=frozenset({MODERATION}), context_window=131_072),
)


def by_name(models: Iterable[KnownModel]) -> dict[str, KnownModel]:
    return {name: model for model in models for name in model.names}


def card(name: str, model: KnownModel, *, created: int) -> dict[str, Any]:
    """Return the model as GET /v1/models lists it: once under each of its names, the others being its aliases."""
    is_chat = CHAT in model.serves
    capabilities: Mapping[str, bool] = {
        "completion_chat": is_chat,
        "function_calling": is_chat,
        "reasoning": model.has_reasoning,
        "completion_fim": FIM in model.serves,
        "fine_tuning": False,
        "vision": model.has_vision,
        "ocr": False,
        "classification": False,
        "moderation": MODERATION in model.serves,
        "audio": False,
    }
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "mistralai",
        "capabilities": capabilities,
        "name": model.dated_name,
        "description": f"{model.dated_name}, as the test server plays it.",
        "max_context_length": model.context_window,
        "aliases": [other for other in model.names if other != name],
        "deprecation": model.deprecation,
        "deprecation_replacement_model": model.replacement,
        "default_model_temperature": 0.3 if is_chat else None,
        "type": "base",
    }
