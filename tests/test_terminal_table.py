import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.terminal_table import Column, cells_of, plain_text, terminal_table, wrapped


def test_columns_are_aligned() -> None:
    table = terminal_table([Column("id", ["1", "22"]), Column("topic", ["bug", "billing"])], width=40)

    assert table.splitlines() == ["id  topic", "──  ───────", "1   bug", "22  billing"]


def test_a_wide_character_takes_two_cells() -> None:
    table = terminal_table([Column("text", ["🎉 ok", "日本"]), Column("topic", ["praise", "bug"])], width=40)

    assert [line[-6:] for line in table.splitlines()[2:]] == ["praise", "   bug"]


def test_a_combining_character_takes_no_cell() -> None:
    assert cells_of("e\u0301") == 1


def test_wrapped_columns_share_the_width() -> None:
    columns = [Column("text", ["word " * 30], is_wrapped=True), Column("summary", ["word " * 30], is_wrapped=True)]

    assert terminal_table(columns, width=60).splitlines()[1] == f"{'─' * 29}  {'─' * 29}"


def test_a_wrapped_column_is_not_wider_than_its_texts() -> None:
    assert terminal_table([Column("text", ["short"], is_wrapped=True)], width=60).splitlines()[1] == "─────"


def test_a_long_text_is_cut_after_its_last_line() -> None:
    assert wrapped("one two three four five", width=9, most_lines=2) == ["one two", "three fo…"]


def test_a_text_that_ends_on_its_last_line_is_not_cut() -> None:
    assert wrapped("one two three", width=9, most_lines=2) == ["one two", "three"]


@pytest.mark.parametrize("hostile", ["\x1b[2Jgone", "a\rb", "a\nb", "\u202egnp.exe", "a\u2028b", "\x9b31m"])
def test_a_terminal_has_nothing_to_obey(hostile: str) -> None:
    assert plain_text(hostile).isprintable()


@given(st.lists(st.text(), min_size=1), st.integers(20, 120))
def test_no_line_is_wider_than_asked_for(texts: list[str], width: int) -> None:
    columns = [Column("text", texts, is_wrapped=True, most_lines=2), Column("more", texts, is_wrapped=True)]

    assert max(map(cells_of, terminal_table(columns, width=width).splitlines())) <= width


@given(st.text(), st.integers(2, 40))
def test_wrapping_loses_no_character(text: str, width: int) -> None:
    assert "".join("".join(wrapped(text, width=width)).split()) == "".join(text.split())
