"""How sure a share is, and whether two differ."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.evaluation.intervals import paired_p_value, share_interval


@given(st.integers(1, 500).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_a_share_lies_in_its_interval(counts: tuple[int, int]) -> None:
    low, high = share_interval(*counts)

    assert 0 <= low <= counts[0] / counts[1] + 1e-12
    assert counts[0] / counts[1] - 1e-12 <= high <= 1


def test_no_rows_have_no_interval() -> None:
    assert all(map(math.isnan, share_interval(0, 0)))


def test_a_difference_of_one_against_nine_is_hardly_chance() -> None:
    assert paired_p_value(1, 9) == pytest.approx(22 / 1024)  # 2 × (1 + 10) / 2**10


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_order_of_the_two_does_not_matter(one: int, other: int) -> None:
    assert paired_p_value(one, other) == paired_p_value(other, one)


@given(st.integers(0, 60))
def test_equally_many_are_no_difference(count: int) -> None:
    assert paired_p_value(count, count) == 1.0
