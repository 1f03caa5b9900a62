"""Many texts made into one answer: each read once, whatever the sizes, and whatever fails on the way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.engine.fold import Fold, Passage, Question
from mistral_nb.engine.rows import DistinctTexts
from mistral_nb.engine.text_groups import TextGroup, by_group
from mistral_nb.errors import BudgetReached, MistralNotebookError, PromptTooLong, Refused

REFUSED = Refused("It was refused.")


@dataclass(frozen=True)
class Together:
    """Reads so many passages at once; its answer to passages is their texts, so that what was read can be told."""

    at_once: int = 3

    verb: ClassVar[str] = "together"
    result_name: ClassVar[str] = "answer"
    dtype: ClassVar[str] = "str"

    def leaves(self, group: TextGroup) -> list[list[Passage]]:
        passages = [
            Passage(text, rows, at, at) for at, (text, rows) in enumerate(zip(group.texts, group.rows, strict=True))
        ]
        return self.chunks(passages)

    def chunks(self, passages: Sequence[Passage]) -> list[list[Passage]]:
        return [list(passages[at : at + self.at_once]) for at in range(0, len(passages), self.at_once)]

    def parts(self, passage: Passage) -> list[Passage]:
        middle = len(passage.text) // 2
        halves = [passage.text[:middle], passage.text[middle:]]
        return [Passage(half, passage.rows, passage.first, passage.last) for half in halves if half]

    def question(self, passages: Sequence[Passage], *, level: int, is_last: bool, is_one_text: bool) -> tuple[Any, str]:
        return None, "".join(passage.text for passage in passages)


def group(*texts: str, rows: int = 1) -> TextGroup:
    return TextGroup(list(texts), [rows] * len(texts))


def folded(
    *groups: TextGroup,
    at_once: int = 3,
    may_lose: bool = True,
    fails: Callable[[Question], MistralNotebookError | None] = lambda question: None,
) -> Fold:
    """Return the fold when nothing is left to ask."""
    fold = Fold(Together(at_once), groups, may_lose=may_lose)
    while questions := fold.questions():
        for question in questions:
            error = fails(question)
            if error is None:
                fold.answer(question, question.text)
            else:
                fold.fail(question, error)
    return fold


def refuses(text: str) -> Callable[[Question], MistralNotebookError | None]:
    return lambda question: REFUSED if text in question.text else None


class TestEveryTextIsReadOnce:
    @given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4), at_once=st.integers(2, 5))
    def test_each_groups_answer_is_made_of_all_its_texts_in_order(self, sizes: list[int], at_once: int) -> None:
        groups = [group(*(f"[{number}.{text}]" for text in range(size))) for number, size in enumerate(sizes)]
        fold = folded(*groups, at_once=at_once)

        assert fold.values == ["".join(one.texts) for one in groups]

    @given(size=st.integers(1, 40), refused=st.sets(st.integers(0, 39), max_size=6))
    def test_what_can_not_be_read_is_left_out_and_all_else_is_read(self, size: int, refused: set[int]) -> None:
        texts = [f"[{number}]" for number in range(size)]
        fold = folded(group(*texts), fails=lambda question: REFUSED if _any_of(refused, question.text) else None)
        kept = "".join(text for number, text in enumerate(texts) if number not in refused)

        assert (fold.values[0] or "", fold.covered_rows[0]) == (kept, kept.count("["))

    def test_a_single_chunk_is_asked_once(self) -> None:
        fold = Fold(Together(), [group("a", "b", "c")], may_lose=True)

        assert [question.is_last for question in fold.questions()] == [True]

    def test_an_answer_that_is_alone_in_its_chunk_waits_for_the_next_level(self) -> None:
        fold = Fold(Together(2), [group("a", "b", "c", "d", "e")], may_lose=True)
        for question in fold.questions():
            fold.answer(question, question.text)

        assert [question.text for question in fold.questions()] == ["abcd"]


class TestWhatFails:
    def test_a_refused_question_is_asked_in_halves(self) -> None:
        fold = Fold(Together(4), [group("a", "b", "c", "d")], may_lose=True)
        fold.fail(fold.questions()[0], REFUSED)

        assert [question.text for question in fold.questions()] == ["ab", "cd"]

    def test_a_lost_text_is_counted_with_its_rows_and_its_reason(self) -> None:
        fold = folded(TextGroup(["a", "bad", "c"], [5, 2, 1]), fails=refuses("bad"))

        assert (fold.covered_rows, fold.losses) == ([6], [(0, 2, REFUSED)])

    def test_a_group_of_nothing_but_refused_texts_fails(self) -> None:
        fold = folded(group("bad1", "bad2"), group("fine"), fails=refuses("bad"))

        assert (fold.values, fold.errors) == ([None, "fine"], {0: REFUSED})

    def test_where_nothing_may_be_lost_the_group_fails(self) -> None:
        assert folded(group("a", "bad", "c"), may_lose=False, fails=refuses("bad")).values == [None]

    def test_what_is_no_texts_fault_fails_the_group_at_once(self) -> None:
        error = BudgetReached("The budget is reached.")
        asked: list[str] = []

        def fails(question: Question) -> MistralNotebookError:
            asked.append(question.text)
            return error

        fold = folded(group("a", "b", "c"), fails=fails)

        assert (asked, fold.errors) == (["abc"], {0: error})

    def test_a_text_that_is_too_long_after_all_is_asked_in_parts(self) -> None:
        def fails(question: Question) -> MistralNotebookError | None:
            return PromptTooLong("It is too long.") if len(question.text) > 4 else None

        fold = Fold(Together(2), [group("abcdefgh")], may_lose=False)
        asked: list[str] = []
        while questions := fold.questions():
            for question in questions[:1]:
                asked.append(question.text)
                error = fails(question)
                fold.fail(question, error) if error else fold.answer(question, question.text[:1])

        assert (asked, fold.values) == (["abcdefgh", "abcd", "efgh", "ae"], ["a"])


class TestGroups:
    @given(rows=st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 4)), max_size=40))
    def test_each_group_has_its_distinct_texts_with_their_rows_in_order(self, rows: list[tuple[int, int]]) -> None:
        names = ["v", "w", "x", "y", "z"]
        texts = DistinctTexts(np.array([text for _, text in rows], dtype=np.int64), names)
        found = by_group(texts, np.array([number for number, _ in rows], dtype=np.int64), count=4)
        expected = []
        for number in range(4):
            said = [names[text] for inside, text in rows if inside == number and text >= 0]
            expected.append({text: said.count(text) for text in dict.fromkeys(said)})

        assert [
            dict(zip(found.groups[at].texts, found.groups[at].rows, strict=True)) if at >= 0 else {}
            for at in found.numbers.tolist()
        ] == expected

    def test_rows_of_no_group_do_not_count(self) -> None:
        texts = DistinctTexts(np.array([0, 0, -1], dtype=np.int64), ["a"])
        found = by_group(texts, np.array([0, -1, 0], dtype=np.int64), count=1)

        assert (found.total_rows, found.missing_rows) == (2, 1)


def _any_of(numbers: set[int], text: str) -> bool:
    return any(f"[{number}]" in text for number in numbers)


@pytest.mark.parametrize("size", [5000])
def test_a_large_group_takes_no_time_for_each_pair_of_chunks(size: int) -> None:
    assert folded(group(*map(str, range(size))), at_once=2).covered_rows == [size]
