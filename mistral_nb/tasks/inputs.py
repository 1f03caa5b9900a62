"""Texts that share a request to a model which looks at each by itself: nothing is written, nothing can be mixed up.

Keeps to itself: how many of them the API takes at once.
Promises: one result per text, in their order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from mistral_nb.completion import InputsAnswer, InputsRequest
from mistral_nb.errors import InvalidAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedInputs:
    """How texts share requests to one endpoint.

    The API takes 256 texts and 16 384 tokens in one request for embeddings (measured by its users, 2024-05 to 2026-05; Mistral
    publishes no figures, and for moderations nobody does). The bounds here are half of that, as tokens are only estimated; a
    request that is refused all the same is split in half.

    Parameters
    ----------
    endpoint
        As in `InputsRequest`.
    read
        A text's value from its result; raises InvalidAnswer for one that it must not have.
    longest_text_tokens
        A text of more tokens is sent alone.
    """

    endpoint: Literal["embeddings", "moderations"]
    read: Callable[[Any], Any]
    longest_text_tokens: int

    answer_tokens: ClassVar[int] = 0
    rows_are_independent: ClassVar[bool] = True
    most_rows: ClassVar[int] = 128
    most_text_tokens: ClassVar[int] = 6000

    def request(self, texts: Sequence[str], *, model: str) -> InputsRequest:
        return InputsRequest(endpoint=self.endpoint, model=model, inputs=tuple(texts))

    def values(self, answer: InputsAnswer, *, count: int) -> list[Any]:
        assert len(answer.results) == count, "the backend checks that no result is missing"
        return [self._value(result) for result in answer.results]

    def _value(self, result: Any) -> Any:
        try:
            return self.read(result)
        except InvalidAnswer as error:
            return error
