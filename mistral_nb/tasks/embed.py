"""The vector that stands for a text's meaning.

Promises: a value is a vector of finite numbers, as `mistral_nb.engine.vectors` keeps it.
"""

from dataclasses import dataclass
from typing import ClassVar

from mistral_nb.completion import InputsAnswer, InputsRequest
from mistral_nb.engine.vectors import VectorDtype, vector_bytes
from mistral_nb.tasks.inputs import SharedInputs

# A text that may be too long for the model must not take the others of its request with it: it is sent alone. Tokens are
# estimated here, and by the model counted with a vocabulary of its own.
_SHARE_OF_WINDOW = 0.25


@dataclass(frozen=True, slots=True)
class Embed:
    """Turn each text into a vector.

    Parameters
    ----------
    context_tokens
        The longest text that the model reads.
    """

    context_tokens: int

    verb: ClassVar[str] = "embed"
    version: ClassVar[int] = 1
    dtype: ClassVar[VectorDtype] = VectorDtype()
    answer_tokens: ClassVar[int] = 0

    def request(self, text: str, *, model: str) -> InputsRequest:
        return self.packing.request([text], model=model)

    def value(self, answer: InputsAnswer) -> bytes:
        return vector_bytes(answer.results[0])

    def agrees(self, value: bytes, other: bytes) -> bool:
        return value == other

    @property
    def packing(self) -> SharedInputs:
        longest = int(self.context_tokens * _SHARE_OF_WINDOW)
        return SharedInputs(endpoint="embeddings", read=vector_bytes, longest_text_tokens=longest)
