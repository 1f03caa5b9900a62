"""Vectors of texts: how they are kept, how they become a column or a matrix, and how near they are to each other.

Keeps to itself: the bytes of a kept vector (32-bit floats, little-endian), and the size of the blocks that are compared at a time.
Promises: exact cosine similarity of every pair that is asked for, from -1 to 1; beside the kept vectors themselves, memory for one
block only; nothing is copied to make a column of arrays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mistral_nb.errors import InvalidAnswer

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float32]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]

_FLOAT32 = "<f4"
# Of 1024 numbers each: 32 MB.
_VECTORS_PER_BLOCK = 8192


def vector_bytes(numbers: Sequence[float]) -> bytes:
    """Return what is kept of a vector: four bytes for each number; InvalidAnswer when one is not finite as a 32-bit float."""
    import numpy as np

    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        vector = np.asarray(numbers, dtype=_FLOAT32)
    if not np.isfinite(vector).all():
        raise InvalidAnswer("The model gave a vector with a number that is not finite.", "Try again with refresh=True.")
    return vector.tobytes()


@dataclass(frozen=True, slots=True)
class VectorDtype:
    """The dtype of a column of vectors: `object`, with a float32 array in each row; or Arrow's lists of float32.

    Attributes
    ----------
    is_arrow
        Whether it is Arrow's.
    """

    is_arrow: bool = False

    def spread(self, values: Sequence[bytes | None], numbers: "Numbers") -> Any:
        """Return an array with the vector of each row's text (read-only, shared by equal texts); None where the row has none."""
        import numpy as np

        if self.is_arrow:
            return _arrow_lists([values[number] if number >= 0 else None for number in numbers.tolist()])
        vectors = [None if value is None else np.frombuffer(value, dtype=_FLOAT32) for value in values]
        return np.fromiter((vectors[number] if number >= 0 else None for number in numbers), dtype=object)


def _arrow_lists(rows: Sequence[bytes | None]) -> Any:
    """Return the vectors of rows as lists, which have one block of memory."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    item_bytes = np.dtype(_FLOAT32).itemsize
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([0 if row is None else len(row) // item_bytes for row in rows], out=offsets[1:])
    items = pa.array(np.frombuffer(b"".join(row for row in rows if row is not None), dtype=_FLOAT32))
    is_missing = pa.array([row is None for row in rows], type=pa.bool_())
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), items, mask=is_missing)
    return pd.arrays.ArrowExtensionArray(lists)


def matrix_of(values: Sequence[bytes | None], numbers: "Numbers") -> "Floats":
    """Return the vectors of the rows as one array: float32, shape (rows, dimensions), NaN where a row has none.

    Raises
    ------
    InvalidAnswer
        The vectors are not equally long, because the model behind a name has changed.
    """
    import numpy as np

    dimensions = _dimensions(values)
    matrix = np.full((len(numbers), dimensions), np.nan, dtype=np.float32)
    for row, number in enumerate(numbers.tolist()):
        value = values[number] if number >= 0 else None
        if value is not None:
            matrix[row] = np.frombuffer(value, dtype=_FLOAT32)
    return matrix


def similarities_to(query: bytes, values: Sequence[bytes | None]) -> "Floats":
    """Return the cosine similarity of each vector to one: float32, shape (vectors,), NaN where there is none."""
    import numpy as np

    found = np.full(len(values), np.nan, dtype=np.float32)
    _dimensions([query, *values])
    direction = _directions([query])[0]
    for places in _blocks([place for place, value in enumerate(values) if value is not None]):
        found[places] = _directions([values[place] for place in places]) @ direction
    return found.clip(-1, 1)


def similarities_of_pairs(
    values: Sequence[bytes | None], firsts: "Numbers", seconds: "Numbers"
) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Return the cosine similarity of the vectors with these numbers, pair by pair; NaN where a number is -1 or has no vector."""
    import numpy as np

    _dimensions(values)
    pairs = list(zip(firsts.tolist(), seconds.tolist(), strict=True))
    found = np.full(len(pairs), np.nan, dtype=np.float32)
    has_both = [
        row for row, pair in enumerate(pairs) if min(pair) >= 0 and all(values[number] is not None for number in pair)
    ]
    for rows in _blocks(has_both):
        first, second = (_directions([values[pairs[row][side]] for row in rows]) for side in (0, 1))
        found[rows] = np.einsum("ij,ij->i", first, second)
    return found.clip(-1, 1)


def nearest(similarities: "Floats", k: int) -> "Numbers":
    """Return the places of the `k` highest similarities, best first, equal ones in their order; NaN is none."""
    import numpy as np

    places = np.flatnonzero(~np.isnan(similarities))
    if k < len(places):  # of those that may be among them, with all that equal the last
        least = np.partition(similarities[places], len(places) - k)[len(places) - k]
        places = places[similarities[places] >= least]
    return places[np.argsort(-similarities[places], kind="stable")][:k]


def _directions(values: "Sequence[bytes | None]") -> "Floats":
    """Return the vectors at length 1: float32, shape (vectors, dimensions); one of nothing but zeros stays as it is."""
    import numpy as np

    numbers = np.frombuffer(b"".join(value for value in values if value is not None), dtype=_FLOAT32)
    matrix = numbers.reshape(len(values), -1)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    directions: Floats = (matrix / np.where(lengths > 0, lengths, 1)).astype(_FLOAT32, copy=False)
    return directions


def _blocks(places: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(places), _VECTORS_PER_BLOCK):
        yield places[start : start + _VECTORS_PER_BLOCK]


def _dimensions(values: Sequence[bytes | None]) -> int:
    lengths = {len(value) // 4 for value in values if value is not None}
    if len(lengths) > 1:
        raise InvalidAnswer(
            f"The vectors are not equally long: {', '.join(map(str, sorted(lengths)))} numbers.",
            "The model behind the name has changed. Ask for all of them again: refresh=True.",
        )
    return lengths.pop() if lengths else 0
