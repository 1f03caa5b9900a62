import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_nb.tools.result_text import cut_to_tokens, frame_text, result_text


@dataclass
class Point:
    x: float
    day: datetime.date


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ("", "(empty)"),
        (None, "null"),
        (3, "3"),
        (float("nan"), '"NaN"'),
        ({"a": [1, Decimal("1.5")]}, '{"a":[1,"1.5"]}'),
        (Point(1.5, datetime.date(2026, 11, 23)), '{"x":1.5,"day":"2026-11-23"}'),
        (np.int64(3), "3"),
        ({"mean": np.float64(1.5), "all": np.arange(3)}, '{"mean":1.5,"all":[0,1,2]}'),
        (b"\xff", "b'\\xff'"),
        (1 + 2j, '"1+2j"'),
        (slice(1, 2), '"slice(1, 2, None)"'),
        ("half \ud83d", "half \ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_a_value_becomes_text(value: Any, text: str) -> None:
    assert result_text(value) == text


def test_a_list_that_holds_itself_becomes_text_too() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert result_text(endless) == "[[...]]"


def test_a_frame_is_csv_without_an_index_that_only_counts() -> None:
    assert result_text(pd.DataFrame({"a": [1, 2], "b": ["x", None]})) == "a,b\n1,x\n2,"


def test_an_index_that_says_something_is_kept() -> None:
    assert result_text(pd.Series([1.5], index=["Rome"], name="mean")) == ",mean\nRome,1.5"


def test_a_frame_inside_of_something_is_csv_too() -> None:
    assert result_text({"top": pd.DataFrame({"a": [1]})}) == '{"top":"a\\n1"}'


def test_a_long_frame_says_what_was_left_out() -> None:
    frame = pd.DataFrame({f"c{number}": range(100) for number in range(50)})

    assert result_text(frame).endswith("\n[the first 30 of 100 rows and the first 40 of 50 columns]")


def test_an_empty_frame_says_so() -> None:
    assert frame_text(pd.DataFrame({"a": []})) == "a\n[no rows]"


def test_long_cells_are_cut() -> None:
    assert frame_text(pd.DataFrame({"a": ["x" * 1_000]})) == f"a\n{'x' * 120}…"


def test_the_frame_itself_stays_as_it_is() -> None:
    frame = pd.DataFrame({"a": ["x" * 1_000]})
    frame_text(frame)

    assert frame["a"].tolist() == ["x" * 1_000]


@settings(deadline=None)
@given(st.text(max_size=200), st.integers(1, 50))
def test_a_cut_text_is_its_beginning_and_fits(text: str, max_tokens: int) -> None:
    cut = cut_to_tokens(text, max_tokens=max_tokens, count=lambda part: -(-len(part) // 3))
    kept = text[: 3 * max_tokens]

    assert cut == text if len(text) <= len(kept) else cut.startswith(f"{kept}\n[cut after {len(kept)} of {len(text)} ")


def test_of_a_huge_text_only_the_beginning_is_counted() -> None:
    counted: list[int] = []

    def count(text: str) -> int:
        counted.append(len(text))
        return len(text)

    cut_to_tokens("x" * 1_000_000, max_tokens=10, count=count)

    assert max(counted) <= 200
