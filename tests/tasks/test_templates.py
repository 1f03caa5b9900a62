"""Prompts with places for columns: read once, filled once."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.errors import InvalidTemplate, UnknownColumn
from mistral_nb.tasks.templates import parsed_template

COLUMNS = ["tone", "review", "Order no.", 2026]


def filled(template: str, **values: str) -> str:
    return parsed_template(template, COLUMNS).filled(values)


def test_each_place_takes_its_columns_value() -> None:
    assert filled("A {tone} reply to: {review}", tone="kind", review="Late!") == "A kind reply to: Late!"


def test_a_column_may_be_named_with_blanks_and_dots() -> None:
    assert parsed_template("About {Order no.}", COLUMNS).filled({"Order no.": "7"}) == "About 7"


def test_a_column_is_listed_once_however_often_it_is_named() -> None:
    assert parsed_template("{tone} {review} {tone}", COLUMNS).fields == ("tone", "review")


def test_doubled_braces_stay_braces() -> None:
    assert filled('{{"tone": "{tone}"}} {{review}}', tone="kind") == '{"tone": "kind"} {review}'


@given(st.text(alphabet="{}ab tonereview\n\\\"'%$", max_size=40), st.text(max_size=40))
def test_a_value_is_put_in_as_it_is_and_never_read_again(tone: str, review: str) -> None:
    assert filled("<{tone}|{review}>", tone=tone, review=review) == f"<{tone}|{review}>"


@given(st.text(max_size=60))
def test_any_text_with_its_braces_doubled_stands_for_itself(text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")

    assert filled(f"{doubled}{{tone}}", tone="") == text


@given(st.text(alphabet="{} tone", max_size=20))
def test_a_template_is_either_right_or_refused_with_a_reason(text: str) -> None:
    fields: tuple[str, ...] = ("tone",)
    with contextlib.suppress(InvalidTemplate, UnknownColumn):
        fields = parsed_template(text, COLUMNS).fields

    assert fields == ("tone",)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("Write a reply.", "names no column"),
        ("  ", "is empty"),
        (None, "is a NoneType"),
        ("A {tone reply", "A brace stands alone in 'A {tone reply'"),
        ("A tone} reply", "A brace stands alone"),
        ("{{tone}}", "names no column"),
    ],
)
def test_a_template_that_can_not_work_is_refused(template: Any, problem: str) -> None:
    with pytest.raises(InvalidTemplate, match=problem):
        parsed_template(template, COLUMNS)


def test_an_unknown_column_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UnknownColumn, match=r"names \{reviw\}[\s\S]*Did you mean \{review\}\?"):
        parsed_template("{reviw}", COLUMNS)


def test_json_in_a_template_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(UnknownColumn, match=r"Braces that name no column are written \{\{ and \}\}"):
        parsed_template('Answer with {"a": 1} about {tone}', COLUMNS)


def test_an_attribute_is_a_column_that_there_is_not() -> None:
    with pytest.raises(UnknownColumn, match=r"no column 'tone\.__class__'"):
        parsed_template("{tone.__class__}", COLUMNS)


def test_a_column_that_there_is_twice_is_refused() -> None:
    with pytest.raises(UnknownColumn, match="2 columns are named 'tone'"):
        parsed_template("{tone}", ["tone", "tone"])
