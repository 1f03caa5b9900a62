import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mistral_nb
from mistral_nb.errors import InvalidAnswer, InvalidOption

SALES = pd.DataFrame(
    {
        "city": ["Paris", "Lyon", None, "Paris", "Nice"],
        "euros": [10, 20, 30, 40, 50],
        "day": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-02-01", None, "2024-03-01"]),
        "paid": [True, False, True, True, False],
    }
)


def ask(frame: pd.DataFrame, verb: str, **arguments: Any) -> str:
    """Return what the tool says; `arguments` go through JSON as a model's do."""
    kit = {tool.name: tool for tool in mistral_nb.frame_tools(frame)}
    return str(kit[f"table_{verb}"].call(json.dumps(arguments)))


def test_describe_tells_type_count_and_range_of_each_column() -> None:
    assert ask(SALES, "describe") == (
        "5 rows, 4 columns\n"
        "column,type,values,missing,distinct,range\n"
        'city,text,4,1,3,"Paris, Lyon, Nice"\n'
        "euros,number,5,0,5,10 to 50\n"
        "day,date,4,1,3,2024-01-01 to 2024-03-01\n"
        'paid,boolean,5,0,2,"True, False"'
    )


def test_describe_of_chosen_columns_is_of_them_alone() -> None:
    assert ask(SALES, "describe", columns=["euros"]).count("\n") == 2


def test_describe_of_a_wide_frame_is_bounded() -> None:
    wide = pd.DataFrame({f"c{number}": [1] for number in range(60)})

    assert ask(wide, "describe").splitlines()[-1].startswith("[20 more columns: c40, c41,")


def test_value_counts_count_missing_values_too() -> None:
    assert ask(SALES, "value_counts", column="city") == "city,rows\nParis,2\nLyon,1\n(missing),1\nNice,1"


def test_value_counts_are_bounded() -> None:
    assert ask(SALES, "value_counts", column="euros", top=1) == "euros,rows\n10,1\n[the first 1 of 5 distinct values]"


def test_head_shows_the_rows_that_match() -> None:
    filters = [
        {"column": "euros", "operator": ">", "value": "15"},
        {"column": "day", "operator": "<", "value": "2024-03-01"},
    ]

    assert ask(SALES, "head", filters=filters, columns=["euros", "city"]) == "euros,city\n20,Lyon\n30,"


def test_head_is_bounded() -> None:
    long = pd.DataFrame({"n": range(1_000)})

    assert ask(long, "head").endswith("\n[the first 20 of 1,000 rows that match]")


def test_no_match_is_said() -> None:
    assert ask(SALES, "head", filters=[{"column": "city", "operator": "==", "value": "Rome"}]).endswith("[no rows]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"by": ["city"], "column": "euros", "statistic": "sum"}, "Nice,50\nParis,50\n(missing),30\nLyon,20"),
        ({"by": ["city"], "column": "euros", "statistic": "mean", "top": 1}, "Nice,50\n[the first 1 of 4 groups]"),
        ({"by": ["city"], "sort": "ascending", "top": 4}, "Lyon,1\nNice,1\n(missing),1\nParis,2"),
        ({"by": ["city"], "sort": "by group"}, "Lyon,1\nNice,1\nParis,2\n(missing),1"),
        ({"by": ["city"], "column": "day", "statistic": "max", "top": 2}, "Nice,2024-03-01\nLyon,2024-02-01"),
        ({"by": ["paid"], "column": "city", "statistic": "distinct"}, "False,2\nTrue,1"),
        ({"by": ["paid"], "column": "city", "statistic": "count"}, "False,2\nTrue,2"),
        ({"by": ["city"], "column": "paid", "statistic": "mean", "top": 1}, "Paris,1"),
    ],
)
def test_groups_are_aggregated(arguments: dict[str, Any], said: str) -> None:
    assert said in ask(SALES, "aggregate", **arguments).replace(" 00:00:00", "")


def test_several_columns_group_together() -> None:
    said = ask(SALES, "aggregate", by=["city", "paid"], filters=[{"column": "euros", "operator": ">", "value": 20}])

    assert said == "city,paid,rows\nNice,False,1\nParis,True,1\n(missing),True,1"


def test_without_groups_the_whole_table_is_one() -> None:
    assert ask(SALES, "aggregate", by=[], column="euros", statistic="median") == "median of euros: 30 (5 rows)"


def test_without_a_column_rows_are_counted() -> None:
    assert ask(SALES, "aggregate", by=[], filters=[{"column": "paid", "operator": "==", "value": True}]) == (
        "rows: 3 (3 rows)"
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"by": [], "column": "city", "statistic": "mean"}, "There is no mean of column 'city'"),
        ({"by": ["city"], "column": "day", "statistic": "sum"}, "There is no sum of column 'day'"),
        ({"by": ["city"], "statistic": "sum"}, "sum of which column?"),
        ({"by": [], "statistic": "sum"}, "sum of which column?"),
    ],
)
def test_a_statistic_that_a_column_has_not_is_said(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        ask(SALES, "aggregate", **arguments)
    assert caught.value.problem.startswith(problem)


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("value_counts", {"column": "town"}),
        ("head", {"columns": ["town"]}),
        ("head", {"rows": 21}),
        ("head", {"rows": 0}),
        ("head", {"filters": [{"column": "city", "operator": "=~", "value": "x"}]}),
        ("head", {"filters": [{"column": "city", "operator": "==", "value": {"code": "x"}}]}),
        ("head", {"query": "euros > 3"}),
        ("aggregate", {"by": ["city"], "statistic": "__import__"}),
        ("aggregate", {"by": ["city"] * 4}),
    ],
)
def test_what_is_in_no_closed_set_is_refused(verb: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidAnswer):
        ask(SALES, verb, **arguments)


def test_the_columns_are_a_closed_set_in_the_schema() -> None:
    (tool,) = [tool for tool in mistral_nb.frame_tools(SALES) if tool.name == "table_value_counts"]

    assert tool.accepts.schema["$defs"]["Column"]["enum"] == ["city", "euros", "day", "paid"]


def test_of_very_many_columns_the_names_are_checked_when_used() -> None:
    wide = pd.DataFrame({f"column_{number}": [number] for number in range(500)})
    kit = mistral_nb.frame_tools(wide)

    assert all(len(json.dumps(tool.definition())) < 3_000 for tool in kit)
    assert ask(wide, "value_counts", column="column_499") == "column_499,rows\n499,1"
    with pytest.raises(InvalidAnswer, match="did you mean 'column_49"):
        ask(wide, "value_counts", column="colum_499")


def test_the_frame_is_never_changed() -> None:
    frame = SALES.copy(deep=True)
    for verb, arguments in {
        "describe": {},
        "value_counts": {"column": "city"},
        "head": {"filters": [{"column": "euros", "operator": ">", "value": 1}]},
        "aggregate": {"by": ["city"], "column": "euros", "statistic": "sum"},
    }.items():
        ask(frame, verb, **arguments)

    pd.testing.assert_frame_equal(frame, SALES)


def test_later_changes_of_the_frame_are_not_seen() -> None:
    frame = SALES.copy(deep=True)
    kit = {tool.name: tool for tool in mistral_nb.frame_tools(frame)}
    frame.loc[0, "euros"] = 1_000_000

    assert "10 to 50" in kit["table_describe"].call("")


def test_names_that_are_not_text_or_doubled_become_names() -> None:
    frame = pd.DataFrame([[1, 2, 3, 4, 5]], columns=[0, "a", "a", ("b", 1), ""])

    assert ask(frame, "head").splitlines()[0] == "0,a,a (2),b / 1,(no name)"


def test_an_index_that_says_something_is_a_column() -> None:
    frame = pd.DataFrame({"euros": [1, 2]}, index=pd.Index(["Paris", "Lyon"], name="city"))

    assert ask(frame, "head", columns=["city", "euros"]) == "city,euros\nParis,1\nLyon,2"


def test_every_level_of_an_index_is_a_column() -> None:
    frame = SALES.groupby(["city", "paid"])[["euros"]].sum()

    assert ask(frame, "head").splitlines()[0] == "city,paid,euros"


def test_an_index_without_a_name_gets_one() -> None:
    assert ask(SALES.iloc[3:].set_axis(["x", "y"]), "head").splitlines()[0] == "index,city,euros,day,paid"


def test_a_filtered_frame_is_read_as_it_is() -> None:
    assert ask(SALES[SALES["euros"] > 30], "aggregate", by=[], column="euros", statistic="sum").startswith(
        "sum of euros: 90 "
    )


def test_any_kind_of_column_can_be_read() -> None:
    frame = pd.DataFrame(
        {
            "lists": [[1], [2], None],
            "decimals": [Decimal("1.5"), None, Decimal(2)],
            "days": [datetime.date(2024, 1, 1), None, datetime.date(2024, 1, 2)],
            "mixed": [1, "a", None],
            "complex": [1 + 2j, 2j, 3],
            "periods": pd.period_range("2024-01", periods=3, freq="M"),
            "spans": pd.to_timedelta(["1h", "2h", None]),
            "sized": pd.Categorical(["small", "large", None], ["small", "large"], ordered=True),
            "sort": pd.Categorical(["a", "b", None]),
            "flags": [True, None, False],
            "empty": [None, None, None],
            "far": [datetime.date(1, 1, 1), datetime.date(9999, 1, 1), None],
            "zones": [
                pd.Timestamp("2024-01-01", tz="Europe/Paris"),
                pd.Timestamp("2024-01-01", tz="America/New_York"),
                None,
            ],
        }
    )
    described = ask(frame, "describe").splitlines()[2:]
    kinds = {line.split(",")[0]: line.split(",")[1] for line in described}

    assert kinds == {
        "lists": "other",
        "decimals": "number",
        "days": "date",
        "mixed": "other",
        "complex": "other",
        "periods": "other",
        "spans": "duration",
        "sized": "ordered",
        "sort": "text",
        "flags": "boolean",
        "empty": "text",
        "far": "date",
        "zones": "other",
    }
    for name in kinds:
        assert ask(frame, "value_counts", column=name)
        assert ask(frame, "aggregate", by=[name], column=name, statistic="distinct")
        assert ask(frame, "head", filters=[{"column": name, "operator": "is missing"}], columns=[name])


def test_an_empty_frame_can_be_described() -> None:
    assert ask(SALES.head(0), "describe").startswith("0 rows, 4 columns\n")


def test_an_empty_frame_has_no_groups() -> None:
    assert ask(SALES.head(0), "aggregate", by=["city"], column="euros", statistic="mean").endswith("[no rows]")


@pytest.mark.parametrize("frame", [None, [1], pd.Series([1]), pd.DataFrame()])
def test_what_is_no_frame_is_refused(frame: Any) -> None:
    with pytest.raises(InvalidOption):
        mistral_nb.frame_tools(frame)


def test_no_rows_at_most_are_refused() -> None:
    with pytest.raises(InvalidOption, match="max_rows is 0"):
        mistral_nb.frame_tools(SALES, max_rows=0)


def test_a_name_for_tools_must_be_one_that_the_api_takes() -> None:
    with pytest.raises(InvalidOption, match="can't have the name"):
        mistral_nb.frame_tools(SALES, name="my sales")


STATISTICS: dict[str, Callable[[Any], Any]] = {
    "count": lambda groups: groups.count(),
    "distinct": lambda groups: groups.nunique(),
    "sum": lambda groups: groups.sum(),
    "mean": lambda groups: groups.mean(),
    "median": lambda groups: groups.median(),
    "min": lambda groups: groups.min(),
    "max": lambda groups: groups.max(),
    "std": lambda groups: groups.std(),
}


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(-50, 50) | st.none()), min_size=1, max_size=12
    ),
    st.sampled_from(sorted(STATISTICS)),
)
def test_aggregates_are_pandas_own(rows: list[tuple[str | None, int | None]], statistic: str) -> None:
    frame = pd.DataFrame({"key": [key for key, _ in rows], "n": pd.Series([n for _, n in rows], dtype="Float64")})
    expected = STATISTICS[statistic](frame.groupby("key", dropna=False)["n"])

    said = ask(frame, "aggregate", by=["key"], column="n", statistic=statistic, sort="by group").splitlines()[1:]
    told = {line.split(",")[0]: float(line.split(",")[1] or "nan") for line in said}
    wanted = {"(missing)" if pd.isna(key) else str(key): value for key, value in expected.items()}
    assert told.keys() == wanted.keys()
    for key, value in wanted.items():
        assert told[key] == pytest.approx(np.nan if pd.isna(value) else float(value), nan_ok=True)
