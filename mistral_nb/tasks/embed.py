"""The vector that stands for a text's meaning.

Keeps to itself: how a vector is kept (32-bit floats, little-endian, four bytes each).
Promises: a value is the bytes of a vector of finite numbers; `vector_of` reads it without copying.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mistral_nb.completion import InputsAnswer, InputsRequest
from mistral_nb.errors import InvalidAnswer
from mistral_nb.tasks.inputs import SharedInputs

if TYPE_CHECKING:
    import numpy as np

_FLOAT32 = "<f4"
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
    dtype: ClassVar[str] = "object"
    answer_tokens: ClassVar[int] = 0

    def request(self, text: str, *, model: str) -> InputsRequest:
        return self.packing.request([text], model=model)

    def value(self, answer: InputsAnswer) -> bytes:
        return _checked_vector(answer.results[0])

    def agrees(self, value: bytes, other: bytes) -> bool:
        return value == other

    @property
    def packing(self) -> SharedInputs:
        longest = int(self.context_tokens * _SHARE_OF_WINDOW)
        return SharedInputs(endpoint="embeddings", read=_checked_vector, longest_text_tokens=longest)


def vector_of(value: bytes) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Return the vector that a value holds: float32, read-only, shape (dimensions,)."""
    import numpy as np

    return np.frombuffer(value, dtype=_FLOAT32)


def _checked_vector(numbers: Sequence[float]) -> bytes:
    import numpy as np

    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        vector = np.asarray(numbers, dtype=_FLOAT32)
    if not np.isfinite(vector).all():
        raise InvalidAnswer("The model gave a vector with a number that is not finite.", "Try again with refresh=True.")
    return vector.tobytes()
