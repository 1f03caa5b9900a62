"""What counts as labels, and which keys stand for them."""

import enum
from typing import Any, Literal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.errors import InvalidAnswer, InvalidLabels, InvalidOption
from mistral_nb.tasks.labels import label_set, labelled_examples
from tests.fake_api.schema_rules import Legend

one_line = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(str.strip)
# Case twins, prefixes of one another, quotes, other scripts, keys themselves.
HOSTILE = ["bug", "Bug", "bug report", "A", "B", "L1", "#1", "1", '"', "a: b", "(x)", "ne\u0301e", "née", "返品", "👋"]
labels = st.lists(st.one_of(one_line, st.sampled_from(HOSTILE)), min_size=2, max_size=40, unique_by=str.strip)


class Topic(enum.Enum):
    BILLING = "billing"
    BUG = "bug"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["billing", "bug"], ("billing", "bug")),
        ((label for label in ("a", "b")), ("a", "b")),
        (pd.Series(["a", "b"]), ("a", "b")),
        ({"billing": "invoices", "bug": None}, ("billing", "bug")),
        ({"billing": "invoices", "bug": None}.keys(), ("billing", "bug")),
        (Topic, ("billing", "bug")),
        (Level, ("LOW", "HIGH")),
        (Literal["billing", "bug"], ("billing", "bug")),
    ],
    ids=["list", "generator", "series", "dict", "keys of a dict", "enum of texts", "enum of numbers", "literal"],
)
def test_labels_may_be_given_as(given: Any, names: tuple[str, ...]) -> None:
    assert label_set(given).names == names


@given(labels=labels)
def test_each_label_has_a_key_of_its_own(labels: list[str]) -> None:
    found = label_set(labels)

    assert [found.name(key) for key in found.keys] == labels


@given(labels=labels)
def test_no_label_is_taken_for_another_ones_key(labels: list[str]) -> None:
    found = label_set(labels)
    if found.keys != found.names and {name.strip().upper() for name in labels} & set(found.keys):
        return  # labels of every kind of key

    assert [found.name(label) for label in labels] == labels


@pytest.mark.parametrize(("count", "last"), [(2, "B"), (26, "Z"), (27, "27"), (300, "300")])
def test_long_labels_get_short_keys(count: int, last: str) -> None:
    assert label_set([f"intent of customers {number}" for number in range(count)]).keys[-1] == last


def test_short_labels_are_their_own_keys() -> None:
    assert label_set(["billing", "customer service"]).keys == ("billing", "customer service")


def test_a_letter_among_long_labels_makes_the_keys_numbers() -> None:
    labels = ["A", "complaint about billing", "complaint about delivery"]

    assert label_set(labels).keys == ("1", "2", "3")


def test_long_labels_are_told_by_their_beginnings() -> None:
    labels = ["billing", "billing and refunds", "late delivery of a parcel", "lost parcel and no answer"]

    assert label_set(labels).keys == ("billing", "billing a", "late del", "lost par")


@pytest.mark.parametrize("label", ["", " ", "a\nb", "half \ud83d", 3, None], ids=ascii)
def test_a_label_that_is_no_line_of_text_is_refused(label: Any) -> None:
    with pytest.raises(InvalidLabels, match="is not text"):
        label_set(["x", label])


@pytest.mark.parametrize("answer", ["Z", "X", "", None, 1, ["x"], {"x": 1}])
def test_anything_else_is_no_label(answer: Any) -> None:
    with pytest.raises(InvalidAnswer):
        label_set(["x", "y"]).name(answer)


def test_the_label_for_all_else_comes_last() -> None:
    found = label_set(["x", "y"], other="else")

    assert found.names == ("x", "y", "else")


@pytest.mark.parametrize("other", ["x", " x", "", "a\nb", 3])
def test_a_label_for_all_else_that_is_none_or_one_of_the_labels_is_refused(other: Any) -> None:
    with pytest.raises(InvalidLabels):
        label_set(["x", "y"], other=other)


@pytest.mark.parametrize(
    "examples",
    ["text", [("text",)], [("a", "b", "c")], ["ab"], 3, [(1, "x")], [("", "x")], {"text": "z"}],
    ids=str,
)
def test_examples_that_are_none_are_refused(examples: Any) -> None:
    with pytest.raises(InvalidOption, match="example"):
        labelled_examples(examples, label_set(["x", "y"]))


def test_an_example_may_have_several_labels_where_a_text_may() -> None:
    found = labelled_examples([("both", ["x", "y"])], label_set(["x", "y"]), several=True)

    assert found.lines(label_set(["x", "y"])) == 'Examples:\n"both": x, y'


@given(labels=labels, descriptions=st.lists(one_line, min_size=40, max_size=40))
def test_a_label_is_one_line_of_the_prompt(labels: list[str], descriptions: list[str]) -> None:
    found = label_set(dict(zip(labels, descriptions, strict=False)))

    assert len(found.lines.split("\n")) == len(labels)


@pytest.mark.parametrize("bug", ["bug", "bug or another defect"])
def test_the_fake_model_reads_the_lines_as_they_are_written(bug: str) -> None:
    found = label_set({"billing": "invoices, refunds", bug: None}, other="other")
    legend, keys = Legend(found.lines), list(found.keys)
    chosen = [legend.chosen(keys, text) for text in (bug.upper(), "two refunds", "hello")]

    assert [found.name(key) for key in chosen] == [bug, "billing", "other"]
