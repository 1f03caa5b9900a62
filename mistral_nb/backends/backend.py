"""The protocol both backends keep: one request in, one completion out.

Promises: every method raises only exceptions of `mistral_nb.errors`; cancelling a call closes its connection; a backend is used
from one event loop only, the one it was first used on.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Protocol

from mistral_nb.completion import (
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    InputsAnswer,
    InputsRequest,
    ModelCard,
    Moderation,
)

if TYPE_CHECKING:
    from mistral_nb.backends.batch_api import BatchApi


class Backend(Protocol):
    """Who answers. `max_concurrency` is how many requests at once make sense; None leaves it to the caller."""

    @property
    def name(self) -> str: ...

    @property
    def endpoint(self) -> str:
        """What tells this backend's answers from another's in the cache, e.g. "https://api.mistral.ai" or "embedded"."""

    @property
    def max_concurrency(self) -> int | None: ...

    @property
    def packs_rows(self) -> bool:
        """Whether several rows in one request make sense."""

    @property
    def batch(self) -> "BatchApi | None":
        """What makes batch jobs; None where there are none."""

    def answering_model(self, model: str) -> str:
        """Return what identifies the model whose answers these will be, e.g. the weights' hash for an embedded model."""

    async def complete(self, request: CompletionRequest) -> Completion: ...

    async def complete_row(self, request: CompletionRequest) -> Completion:
        """Return what `complete` does, at less cost per request: for one of many."""

    async def answer_inputs(self, request: InputsRequest) -> InputsAnswer:
        """Return the vectors or moderations of a request's texts, as one of many requests: nothing is split or tried again."""

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Delta]:
        """Yield the answer piece by piece; the last delta has `finish_reason` and `usage`."""

    async def fill_in_middle(
        self, prompt: str, suffix: str, *, model: str, temperature: float | None = None, max_tokens: int | None = None
    ) -> Completion: ...

    async def embed(self, texts: Sequence[str], *, model: str) -> Embeddings: ...

    async def moderate(self, texts: Sequence[str], *, model: str) -> list[Moderation]: ...

    async def models(self) -> list[ModelCard]: ...

    async def aclose(self) -> None: ...
