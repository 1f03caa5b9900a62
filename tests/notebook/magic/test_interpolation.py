import datetime
import sys
from collections import defaultdict, namedtuple
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.notebook.magic.interpolation import MOST_CHARACTERS_OF_A_VALUE, interpolated, notebook_variables

Point = namedtuple("Point", ["x", "y"])


class Grumpy:
    """An object that fails at whatever is asked of it."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")

    def __getitem__(self, key: object) -> Any:
        raise RuntimeError("no")


class Shop:
    """A class of the notebook."""

    town = "Lyon"

    @property
    def broken(self) -> str:
        raise ValueError("no")

    @property
    def sign(self) -> str:
        return "open"

    def close(self) -> str:
        raise AssertionError("called")


def double(number: int) -> int:
    return 2 * number


VARIABLES: dict[str, Any] = {
    "name": "Ada",
    "größe": 3,
    "prices": {"tea": 2, "a b": 3, 7: "seven", "nested": {"deep": ["x", "y"]}},
    "words": ["one", "two"],
    "point": Point(1, 2),
    "day": datetime.date(2026, 11, 3),
    "shop": Shop(),
    "grumpy": Grumpy(),
    "nothing": None,
    "sneaky": "{name} {prices[tea]}",
    "double": double,
    "sys": sys,
    "counts": defaultdict(int),
    "settings": SimpleNamespace(_secret="s", colour="red"),
}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("Hello {name}!", "Hello Ada!"),
        ("{name}{name}", "AdaAda"),
        ("{größe}", "3"),
        ("{day.year}", "2026"),
        ("{point.x}", "1"),
        ("{shop.town} {shop.sign}", "Lyon open"),
        ("{prices[tea]} {prices['a b']} {prices[\"tea\"]} {prices[a b]}", "2 3 2 3"),
        ("{prices[7]}", "seven"),
        ("{words[0]} {words[-1]}", "one two"),
        ("{prices[nested][deep][1]}", "y"),
        ("{name[0]}", "A"),
        ("{nothing}", "None"),
        ('{"a": {name}}', '{"a": Ada}'),
    ],
)
def test_what_is_known_is_filled_in(typed: str, sent: str) -> None:
    assert interpolated(typed, VARIABLES) == sent


@pytest.mark.parametrize(
    "typed",
    [
        "{unknown}",
        '{"json": "braces"}',
        "{}",
        "{ name }",
        "{name, point}",
        "{name + 'x'}",
        "{double(2)}",
        "{name!r}",
        "{day:%Y}",
        "{{name}}",
        "{name",
        "name}",
        "{0}",
        "{name.nothing}",
        "{name.__class__}",
        "{settings._secret}",
        "{shop.broken}",
        "{grumpy}",
        "{grumpy.x}",
        "{grumpy[0]}",
        "{words[5]}",
        "{words[x]}",
        "{prices[milk]}",
        "{counts[x]}",
        "{name[",
        "{sys}",
        "{__import__('os').getcwd()}",
    ],
)
def test_every_other_brace_stays(typed: str) -> None:
    assert interpolated(typed, VARIABLES) == typed


def test_a_value_is_never_scanned_again() -> None:
    assert interpolated("{sneaky}", VARIABLES) == "{name} {prices[tea]}"


def test_a_default_dict_gets_no_new_item() -> None:
    interpolated("{counts[x]}", VARIABLES)

    assert VARIABLES["counts"] == {}


def test_a_function_is_its_source() -> None:
    assert interpolated("Write a test for:\n{double}", VARIABLES).endswith("return 2 * number\n")


def test_a_method_is_its_source_and_is_not_called() -> None:
    assert "raise AssertionError" in interpolated("{shop.close}", VARIABLES)


def test_a_long_list_is_bounded_and_says_so() -> None:
    sent = interpolated("{many}", {"many": list(range(100_000))})

    assert len(sent) < MOST_CHARACTERS_OF_A_VALUE + 100
    assert sent.endswith("characters more)")


def test_a_long_text_is_never_cut() -> None:
    assert interpolated("{notes}", {"notes": "x" * 100_000}) == "x" * 100_000


def test_a_frame_is_a_bounded_table_that_says_what_was_cut() -> None:
    sent = interpolated("{df}", {"df": pd.DataFrame({"a": range(1000)})})

    assert sent.startswith("DataFrame df (1,000 rows, 1 column):\na\n0\n1\n")
    assert sent.endswith("[the first 20 of 1,000 rows]")


def test_a_column_of_a_frame_is_told_by_what_was_typed() -> None:
    assert (
        interpolated("{df[a]}", {"df": pd.DataFrame({"a": [1, 2]})}) == "Series df[a] (2 rows, dtype int64):\na\n1\n2"
    )


def test_ipythons_own_names_are_not_the_notebooks() -> None:
    exit_function = object()
    known = notebook_variables({"In": [], "exit": exit_function, "_": 1, "x": 2}, {"In": None, "exit": exit_function})

    assert known == {"In": [], "x": 2}


FRAGMENTS = [
    "{",
    "}",
    "{{",
    "}}",
    "[",
    "]",
    ".",
    "'",
    '"',
    "\\",
    "name",
    "prices",
    "grumpy",
    "shop",
    "broken",
    "close",
    "()",
    "0",
    " ",
    "\n",
    "💥",
]


@given(st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=20))
def test_no_text_makes_it_raise_or_call(parts: list[str]) -> None:
    interpolated("".join(parts), VARIABLES)


@given(st.text(alphabet=st.sampled_from("{}[].'\"abx0 \n"), max_size=60))
def test_braces_without_a_known_name_stay(text: str) -> None:
    assert interpolated(text, {"name": "Ada"}) == text


@given(st.text(max_size=50))
def test_whatever_a_value_holds_is_sent_as_it_is(value: str) -> None:
    assert interpolated("<{name}>", {"name": value, "x": "y"}) == f"<{value}>"
