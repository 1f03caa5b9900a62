"""What `mistral_nb.evaluate` says of predictions beside their truth."""

from enum import Enum
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

import mistral_nb
from mistral_nb.errors import InvalidOption, NotCollected
from mistral_nb.evaluation.agreement import NO_ANSWER

PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=40)
PREDICTED = ["bug", "bug", "praise", None, "bug"]
TRUTH = ["bug", "praise", "praise", "bug", None]


class Topic(Enum):
    ONE = "1"
    TWO = "2"


@given(PAIRS)
def test_accuracy_is_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    predicted, truth = zip(*pairs, strict=True)

    assert mistral_nb.evaluate(predicted, truth).accuracy == metrics.accuracy_score(truth, predicted)


@given(PAIRS)
def test_precision_recall_and_f1_are_scikit_learns_where_they_are_defined(pairs: list[tuple[str, str]]) -> None:
    predicted, truth = zip(*pairs, strict=True)
    found = mistral_nb.evaluate(predicted, truth).labels
    theirs = metrics.precision_recall_fscore_support(truth, predicted, labels=list(found.index), zero_division=np.nan)

    for ours, expected in zip(("precision", "recall", "rows"), (theirs[0], theirs[1], theirs[3]), strict=True):
        np.testing.assert_allclose(found[ours], expected)
    np.testing.assert_allclose(found["f1"], metrics.f1_score(truth, predicted, labels=list(found.index), average=None))


@given(PAIRS)
def test_macro_f1_is_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    predicted, truth = zip(*pairs, strict=True)

    assert mistral_nb.evaluate(predicted, truth).macro_f1 == pytest.approx(
        metrics.f1_score(truth, predicted, average="macro")
    )


@given(PAIRS.filter(lambda pairs: len({label for pair in pairs for label in pair}) > 1))
def test_kappa_is_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    predicted, truth = zip(*pairs, strict=True)

    assert mistral_nb.evaluate(predicted, truth).kappa == pytest.approx(metrics.cohen_kappa_score(truth, predicted))


@given(PAIRS)
def test_the_confusion_counts_every_row_once(pairs: list[tuple[str, str]]) -> None:
    predicted, truth = zip(*pairs, strict=True)

    assert mistral_nb.evaluate(predicted, truth).confusion.to_numpy().sum() == len(pairs)


def test_a_row_without_an_answer_counts_as_wrong() -> None:
    found = mistral_nb.evaluate(PREDICTED, TRUTH)

    assert (found.accuracy, found.unanswered, found.confusion.loc["bug", NO_ANSWER]) == (0.5, 1, 1)


def test_a_row_without_a_truth_is_left_out() -> None:
    found = mistral_nb.evaluate(PREDICTED, TRUTH)

    assert (found.rows, found.without_truth) == (4, 1)


def test_the_most_frequent_label_is_what_a_model_has_to_beat() -> None:
    assert mistral_nb.evaluate(["a", "b", "a"], ["a", "a", "b"]).most_frequent_share == pytest.approx(2 / 3)


def test_categories_are_compared_with_texts() -> None:
    predicted = pd.Series(["bug", "praise"], dtype=pd.CategoricalDtype(["praise", "bug", "other"]))

    assert mistral_nb.evaluate(predicted, pd.Series(["bug", "bug"])).accuracy == 0.5


def test_the_interval_of_few_rows_is_wide() -> None:
    low, high = mistral_nb.evaluate(["a"] * 8 + ["b"] * 2, ["a"] * 10).accuracy_interval

    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Wilson 1927, by hand


def test_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidOption, match="predicted has 1 row and truth 2"):
        mistral_nb.evaluate(["a"], ["a", "b"])


def test_series_of_different_indexes_are_refused_with_what_would_be_right() -> None:
    with pytest.raises(InvalidOption, match="by position: evaluate"):
        mistral_nb.evaluate(pd.Series(["a"], index=[1]), pd.Series(["a"], index=[2]))


@pytest.mark.parametrize("truth_rows", [[1, 0], [2, 1, 0]])
def test_the_truth_of_more_rows_or_in_another_order_is_refused_with_the_line_that_takes_the_same_rows(
    truth_rows: list[int],
) -> None:
    truth = pd.Series("a", index=truth_rows)

    with pytest.raises(InvalidOption, match=r"truth\.loc\[predicted\.index\]"):
        mistral_nb.evaluate(pd.Series(["a", "b"]), truth)


@pytest.mark.parametrize(
    "truth",
    [
        pd.Series([1, 2]),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1.0, None]),
        pd.Series([True, False]),
        pd.Series([1, 2], dtype="category"),
        [1, 2],
        np.array([1, 2]),
        pl.Series([1, 2]),
        pl.Series([1.0, 2.0]),
        [Topic.ONE, Topic.TWO],
    ],
    ids=lambda truth: f"{type(truth).__module__} {getattr(truth, 'dtype', type(truth[0]))}",
)
def test_text_beside_another_kind_is_refused_with_the_line_that_makes_it_text(truth: Any) -> None:
    with pytest.raises(InvalidOption, match="are never equal") as refused:
        mistral_nb.evaluate(["1", "2"], truth)

    names = {"truth": truth, "pd": pd, "pl": pl}
    exec(refused.value.remedy.removeprefix("Make both text: "), names)
    if not isinstance(truth, pd.Series) or truth.dtype != bool:
        assert mistral_nb.evaluate(["1", "2"], names["truth"]).accuracy == 1


@pytest.mark.parametrize("predicted", [["1", 2], [1.5, 2], [None, 2]])
def test_a_column_of_several_kinds_is_refused_beside_one_of_text(predicted: list[Any]) -> None:
    with pytest.raises(InvalidOption, match=r"predicted = pd\.Series\(predicted\)"):
        mistral_nb.evaluate(predicted, ["1", "2"])


@pytest.mark.parametrize("kind", ["object", "category", "string", "string[pyarrow]", "str", pd.ArrowDtype(pa.string())])
def test_texts_of_any_dtype_are_compared_with_those_of_any_other(kind: Any) -> None:
    labels = ["a", "b", None]

    for other in (
        pd.Series(labels, dtype="category"),
        labels,
        pl.Series(labels),
        pl.Series(labels, dtype=pl.Enum("ab")),
    ):
        assert mistral_nb.evaluate(pd.Series(labels, dtype=kind), other).accuracy == 1


@pytest.mark.parametrize("kind", ["bool", "boolean", "int64", "Int64", "float64", pd.ArrowDtype(pa.bool_())])
def test_claims_and_numbers_of_any_dtype_are_compared_with_one_another(kind: Any) -> None:
    assert mistral_nb.evaluate(pd.Series([1, 0]).astype(kind), pd.Series([True, False])).accuracy == 1


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("columns", [{"label": ["a", "b"], "confidence": [0.5, 0.5]}, {"x": [1], "value": ["a"]}])
def test_a_frame_is_refused_with_its_column_of_labels(make: Any, columns: dict[str, list[Any]]) -> None:
    with pytest.raises(InvalidOption, match=r"evaluate\(predicted\['(label|value)'\], truth\)"):
        mistral_nb.evaluate(make(columns), ["a", "b"])


def test_a_lazy_frame_is_to_be_collected() -> None:
    with pytest.raises(NotCollected, match="Collect it first"):
        mistral_nb.evaluate(pl.LazyFrame({"label": ["a"]}), ["a"])  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [[["a"]], pl.Series([["a"]]), np.array([["a"]]), pd.Series([{"a": 1}])])
def test_several_labels_in_a_row_are_refused_with_a_way_to_look_at_each(labels: Any) -> None:
    with pytest.raises(InvalidOption, match='multi_label="columns"'):
        mistral_nb.evaluate(labels, labels)


@pytest.mark.parametrize("labels", ["ab", {"a": 1}, {"a", "b"}, 3, None])
def test_what_is_no_column_is_refused(labels: Any) -> None:
    with pytest.raises(InvalidOption, match="Give a column or a list of labels"):
        mistral_nb.evaluate(labels, labels)


def test_a_label_that_stands_for_no_answer_is_refused() -> None:
    with pytest.raises(InvalidOption, match="stands for rows without one"):
        mistral_nb.evaluate([NO_ANSWER, "b"], ["a", "b"])


def test_one_row_is_no_rows() -> None:
    said = str(mistral_nb.evaluate(["a", "a"], ["a", None]))

    assert said.startswith("100.0% of 1 row is right")
    assert "1 without a truth is left out" in said


def test_a_kappa_that_is_not_defined_is_no_number() -> None:
    assert "kappa undefined" in str(mistral_nb.evaluate(["a"], ["a"]))


def test_labels_that_are_never_written_alike_are_asked_about() -> None:
    assert "are they written alike?" in str(mistral_nb.evaluate(["bug", "bug "], ["Bug", "Bug"]))


def test_nothing_to_compare_says_so() -> None:
    assert str(mistral_nb.evaluate([], [])).startswith("No row has a truth to compare with")


def test_one_row_is_called_a_row() -> None:
    assert str(mistral_nb.evaluate(["bug"], ["bug"])).startswith("100.0% of 1 row is right ")


def test_labels_are_escaped_where_they_are_shown() -> None:
    html = mistral_nb.evaluate(["<img src=x>"], ["<script>"])._repr_html_()

    assert "<img" not in html
    assert "<script" not in html


def test_its_words_say_what_the_share_is_worth() -> None:
    said = str(mistral_nb.evaluate(PREDICTED, TRUTH))

    assert "95 % interval" in said
    assert "the most frequent label alone would give" in said
    assert "1 without an answer counts as wrong" in said


@pytest.mark.parametrize("truth", [[], [None]])
def test_the_picture_of_nothing_says_so(truth: list[Any]) -> None:
    axes = mistral_nb.evaluate(["a"] * len(truth), truth).plot()

    assert [text.get_text() for text in axes.texts] == ["No row has a truth to compare with."]
    plt.close(axes.figure)  # type: ignore[arg-type]


def test_the_picture_of_one_row_is_titled_so() -> None:
    axes = mistral_nb.evaluate(["a"], ["a"]).plot()

    assert axes.get_title() == "100.0% of 1 row right"
    plt.close(axes.figure)  # type: ignore[arg-type]


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_the_picture_has_the_counts_and_names_its_axes(style: str) -> None:
    with plt.style.context(style):
        axes = mistral_nb.evaluate(PREDICTED, TRUTH).plot()

    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "true label")
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1", "1", "1"]
    plt.close(axes.figure)
