import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.pandas import column, data_frames

from mistral_nb.notebook.frame_context import MOST_CHARACTERS, compact, described


class Grumpy:
    """A value that can't be written."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


SALES = pd.DataFrame(
    {
        "day": pd.date_range("2026-01-01", periods=100),
        "price": [1.5, None] * 50,
        "town": ["Lyon", "Paris"] * 50,
        "note": [f"note {number}" for number in range(100)],
    }
)


def test_a_description_has_types_missing_values_ranges_and_a_few_rows() -> None:
    assert described(SALES, name="sales").splitlines() == [
        "pandas DataFrame `sales`: 100 rows, 4 columns, index: row numbers",
        "Columns:",
        f"- day: {SALES.dtypes['day']}; 2026-01-01 00:00:00 to 2026-04-10 00:00:00",
        "- price: float64; 50 missing; 1.5 to 1.5",
        "- town: str; Lyon (50), Paris (50)",
        "- note: str; 100 distinct, e.g. note 0",
        "First rows as CSV:",
        "day,price,town,note",
        "2026-01-01,1.5,Lyon,note 0",
        "2026-01-02,,Paris,note 1",
        "2026-01-03,1.5,Lyon,note 2",
        "2026-01-04,,Paris,note 3",
        "2026-01-05,1.5,Lyon,note 4",
        "[the first 5 of 100 rows]",
    ]


def test_many_columns_are_counted_and_not_told() -> None:
    wide = pd.DataFrame([[0] * 100])

    assert "- and 60 columns more" in described(wide, name="wide")


def test_an_index_that_says_something_is_told() -> None:
    assert "index: town (str)" in described(SALES.set_index("town"), name="sales")


def test_values_that_can_not_be_written_do_no_harm() -> None:
    assert "(they can't be written)" in described(pd.DataFrame({"a": [Grumpy()]}), name="odd")


def test_lists_in_cells_do_no_harm() -> None:
    assert "- a: object" in described(pd.DataFrame({"a": [[1], [2]]}), name="odd")


def test_a_frame_without_rows_says_so() -> None:
    assert compact(SALES.head(0), name="sales").endswith("[no rows]")


def test_long_cells_and_many_columns_stay_within_bounds() -> None:
    wide = pd.DataFrame([["x" * 500] * 200] * 50)

    assert len(compact(wide, name="wide")) < MOST_CHARACTERS + 300


def test_a_frame_is_not_changed() -> None:
    before = SALES.copy()
    described(SALES, name="sales")

    pd.testing.assert_frame_equal(SALES, before)


@settings(max_examples=30)
@given(
    data_frames(
        [column("a", dtype=float), column("b", elements=st.text(max_size=5), dtype=object), column("c", dtype=bool)]
    )
)
def test_any_frame_is_described(frame: pd.DataFrame) -> None:
    assert described(frame, name="df").startswith(f"pandas DataFrame `df`: {len(frame):,} row")
