"""Parts of long texts and chunks of rows: nothing lost, nothing doubled, bounds that stay where they are."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.engine.tokens import estimated_tokens
from mistral_nb.tasks.text_parts import chunked, split_text

PROSE = st.lists(
    st.sampled_from(
        ["A sentence. ", "Why? ", "word ", "\n\n", "\n", "价格太高了。", "é", "🙂", " ", "x" * 40, '"Yes!" ']
    ),
    max_size=120,
).map("".join)
ROWS = [f"row {number}: {'word ' * (number % 7)}" for number in range(400)]


def chunks_of(rows: list[str], *, most_tokens: int = 60, fewest_items: int = 1) -> list[list[str]]:
    return chunked(rows, text_of=str, most_tokens=most_tokens, fewest_items=fewest_items)


class TestParts:
    @given(text=st.one_of(st.text(max_size=400), PROSE), most_tokens=st.integers(1, 40))
    def test_the_parts_put_together_are_the_text(self, text: str, most_tokens: int) -> None:
        assert "".join(split_text(text, most_tokens=most_tokens)) == text

    @given(text=PROSE, most_tokens=st.integers(2, 40))
    def test_no_part_is_too_long(self, text: str, most_tokens: int) -> None:
        assert all(estimated_tokens(part) <= most_tokens for part in split_text(text, most_tokens=most_tokens))

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("One two three.\n\nFour five six.", ["One two three.\n\n", "Four five six."]),
            ("One two three. Four five six.", ["One two three. ", "Four five six."]),
            ('"One two three!" Four five six.', ['"One two three!" ', "Four five six."]),
            ("onetwothreefourfive six", ["onetwothreefourfive ", "six"]),
            ("价格太高了。服务很好。", ["价格太高了。", "服务很好。"]),
        ],
        ids=["paragraphs", "sentences", "quotes", "words", "no spaces"],
    )
    def test_a_text_is_cut_where_a_reader_would(self, text: str, parts: list[str]) -> None:
        assert split_text(text, most_tokens=6) == parts

    def test_a_word_without_end_is_cut_all_the_same(self) -> None:
        assert max(map(len, split_text("x" * 10_000, most_tokens=50))) <= 200

    def test_a_change_in_a_long_text_leaves_its_other_parts_alone(self) -> None:
        sentences = [f"Sentence number {number} says something. " for number in range(300)]
        before = split_text("".join(sentences), most_tokens=100)
        after = split_text("".join([*sentences[:20], "A new one. ", *sentences[20:]]), most_tokens=100)

        assert len(set(after) - set(before)) <= 3


class TestChunks:
    @given(rows=st.lists(st.text(max_size=30), max_size=60), most_tokens=st.integers(1, 40), fewest=st.integers(1, 3))
    def test_every_row_is_in_one_chunk_in_its_place(self, rows: list[str], most_tokens: int, fewest: int) -> None:
        found = chunks_of(rows, most_tokens=most_tokens, fewest_items=fewest)

        assert [row for chunk in found for row in chunk] == rows

    @given(rows=st.lists(st.text(max_size=30), min_size=1, max_size=60), fewest=st.integers(1, 3))
    def test_all_chunks_but_the_last_have_enough_rows(self, rows: list[str], fewest: int) -> None:
        assert all(len(chunk) >= fewest for chunk in chunks_of(rows, most_tokens=10, fewest_items=fewest)[:-1])

    def test_no_chunk_of_short_rows_is_too_long_or_less_than_half_full(self) -> None:
        sizes = [sum(map(estimated_tokens, chunk)) for chunk in chunks_of(ROWS)]

        assert (max(sizes) <= 60, min(sizes[:-1]) >= 30) == (True, True)

    def test_rows_that_fit_together_are_one_chunk(self) -> None:
        assert chunks_of(ROWS[:5]) == [ROWS[:5]]

    def test_no_rows_make_no_chunk(self) -> None:
        assert chunks_of([]) == []

    @given(place=st.integers(0, len(ROWS)))
    def test_an_inserted_row_changes_few_chunks(self, place: int) -> None:
        before = {tuple(chunk) for chunk in chunks_of(ROWS)}
        after = {tuple(chunk) for chunk in chunks_of([*ROWS[:place], "a new row", *ROWS[place:]])}

        assert len(after - before) <= 12  # of about 90; bounds by position would change all that follow

    def test_an_inserted_row_changes_its_own_chunk_alone_most_of_the_time(self) -> None:
        choose = random.Random(0)
        before = {tuple(chunk) for chunk in chunks_of(ROWS)}
        changed = []
        for place in choose.sample(range(len(ROWS)), 60):
            after = {tuple(chunk) for chunk in chunks_of([*ROWS[:place], "a new row", *ROWS[place:]])}
            changed.append(len(after - before))

        assert sorted(changed)[len(changed) // 2] <= 2

    def test_bounds_are_found_again_after_rows_that_were_put_before(self) -> None:
        def ends(chunks: list[list[str]]) -> set[str]:
            return {chunk[-1] for chunk, _ in pairwise(chunks)}

        there, moved = ends(chunks_of(ROWS)), ends(chunks_of([f"other {number}" for number in range(50)] + ROWS))

        assert len(there - moved) <= 6
