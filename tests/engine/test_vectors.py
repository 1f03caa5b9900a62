"""Vectors that are kept, made columns and matrices of, and compared."""

import math
import tracemalloc
from operator import mul
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn

from mistral_nb.engine import vectors
from mistral_nb.engine.vectors import (
    VectorDtype,
    matrix_of,
    nearest,
    similarities_of_pairs,
    similarities_to,
    vector_bytes,
)
from mistral_nb.errors import InvalidAnswer

finite = st.floats(-1e3, 1e3, width=32, allow_subnormal=False)
matrices = drawn.arrays(
    np.float32, drawn.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(-1000, 1000)
)


def numbers(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def cosine(one: Any, other: Any) -> float:
    """Return the cosine of two vectors, worked out in Python's own floats; 0 where one has no direction."""
    dot, lengths = math.fsum(map(mul, one, other)), math.hypot(*one) * math.hypot(*other)
    return dot / lengths if lengths else 0.0


class TestKeeping:
    @given(st.lists(finite, min_size=1, max_size=50))
    def test_a_vector_comes_back_as_it_was(self, vector: list[float]) -> None:
        assert np.frombuffer(vector_bytes(vector), np.float32).tolist() == vector

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
    def test_a_number_that_is_not_finite_is_refused(self, number: float) -> None:
        with pytest.raises(InvalidAnswer, match="not finite"):
            vector_bytes([0.0, number])

    def test_a_column_copies_no_vector(self) -> None:
        values = [vector_bytes(np.ones(10_000)) for _ in range(100)]
        tracemalloc.start()
        try:
            column = VectorDtype().spread(values, numbers(*range(100)))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert (len(column), peak < 400_000) == (100, True)

    def test_a_row_without_a_vector_is_none_in_a_column(self) -> None:
        column = VectorDtype().spread([vector_bytes([1.0, 2.0]), None], numbers(-1, 0, 1, 0))

        assert [row if row is None else row.tolist() for row in column] == [None, [1, 2], None, [1, 2]]

    def test_a_row_without_a_vector_is_nan_in_a_matrix(self) -> None:
        matrix = matrix_of([vector_bytes([1.0, 2.0]), None], numbers(-1, 0, 1))

        np.testing.assert_equal(matrix, np.array([[np.nan] * 2, [1, 2], [np.nan] * 2], np.float32))

    def test_nothing_is_a_matrix_without_columns(self) -> None:
        assert matrix_of([None], numbers(0, -1)).shape == (2, 0)

    @pytest.mark.parametrize(
        "use",
        [
            lambda values: matrix_of(values, numbers(0, 1)),
            lambda values: similarities_to(values[0], values),
            lambda values: similarities_of_pairs(values, numbers(0), numbers(1)),
        ],
        ids=["matrix", "search", "pairs"],
    )
    def test_vectors_of_different_lengths_are_not_compared(self, use: Any) -> None:
        with pytest.raises(InvalidAnswer, match=r"2, 3 numbers.\n.*refresh=True"):
            use([vector_bytes([1.0, 2.0]), vector_bytes([1.0, 2.0, 3.0])])


class TestSimilarity:
    @given(matrices)
    def test_it_is_the_cosine(self, matrix: Any) -> None:
        values = [vector_bytes(row) for row in matrix]
        expected = [cosine(matrix[0].tolist(), row.tolist()) for row in matrix]

        np.testing.assert_allclose(similarities_to(values[0], values), expected, atol=1e-4)

    @given(matrices, st.integers(1, 5))
    def test_the_size_of_the_blocks_does_not_matter(self, matrix: Any, per_block: int) -> None:
        values = [vector_bytes(row) for row in matrix]
        whole = similarities_to(values[0], values)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vectors, "_VECTORS_PER_BLOCK", per_block)
            in_blocks = similarities_to(values[0], values)

        np.testing.assert_allclose(in_blocks, whole, atol=1e-6)

    @given(matrices, st.data())
    def test_pairs_are_compared_as_alone(self, matrix: Any, data: st.DataObject) -> None:
        values = [*(vector_bytes(row) for row in matrix), None]
        places = st.lists(st.integers(-1, len(matrix)), min_size=6, max_size=6)
        firsts, seconds = data.draw(places), data.draw(places)

        def expected(first: int, second: int) -> float:
            if not 0 <= min(first, second) <= max(first, second) < len(matrix):
                return float("nan")
            return cosine(matrix[first].tolist(), matrix[second].tolist())

        found = similarities_of_pairs(values, numbers(*firsts), numbers(*seconds))
        np.testing.assert_allclose(found, list(map(expected, firsts, seconds)), atol=1e-4)

    def test_what_has_no_vector_has_no_similarity(self) -> None:
        found = similarities_to(vector_bytes([1.0, 0.0]), [None, vector_bytes([2.0, 0.0])])

        np.testing.assert_equal(found, np.array([np.nan, 1], np.float32))

    def test_a_vector_of_zeros_is_like_nothing(self) -> None:
        assert similarities_to(vector_bytes([1.0, 0.0]), [vector_bytes([0.0, 0.0])]).tolist() == [0.0]


class TestNearest:
    @given(st.lists(st.sampled_from([0.1, 0.2, 0.3, float("nan")]), max_size=30), st.integers(1, 40))
    def test_it_is_what_sorting_all_would_give(self, similarities: list[float], k: int) -> None:
        there = [place for place, value in enumerate(similarities) if not math.isnan(value)]
        expected = sorted(there, key=lambda place: -similarities[place])[:k]

        assert nearest(np.array(similarities, np.float32), k).tolist() == expected
