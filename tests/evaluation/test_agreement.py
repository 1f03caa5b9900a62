"""What `mistral_nb.evaluate` says of predictions beside their truth."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

import mistral_nb
from mistral_nb.errors import InvalidOption
from mistral_nb.evaluation.agreement import NO_ANSWER

PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=40)
PREDICTED = ["bug", "bug", "praise", None, "bug"]
TRUTH = ["bug", "praise", "praise", "bug", None]


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
    with pytest.raises(InvalidOption, match="There are 1 predictions and 2 truths"):
        mistral_nb.evaluate(["a"], ["a", "b"])


def test_series_of_different_indexes_are_refused_with_what_would_be_right() -> None:
    with pytest.raises(InvalidOption, match="by position: evaluate"):
        mistral_nb.evaluate(pd.Series(["a"], index=[1]), pd.Series(["a"], index=[2]))


def test_nothing_to_compare_says_so() -> None:
    assert str(mistral_nb.evaluate([], [])).startswith("No row has a truth to compare with")


def test_labels_are_escaped_where_they_are_shown() -> None:
    html = mistral_nb.evaluate(["<img src=x>"], ["<script>"])._repr_html_()

    assert "<img" not in html
    assert "<script" not in html


def test_its_words_say_what_the_share_is_worth() -> None:
    said = str(mistral_nb.evaluate(PREDICTED, TRUTH))

    assert "95 % interval" in said
    assert "the most frequent label alone would give" in said
    assert "1 without an answer count as wrong" in said


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_the_picture_has_the_counts_and_names_its_axes(style: str) -> None:
    with plt.style.context(style):
        axes = mistral_nb.evaluate(PREDICTED, TRUTH).plot()

    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "true label")
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1", "1", "1"]
    plt.close(axes.figure)
