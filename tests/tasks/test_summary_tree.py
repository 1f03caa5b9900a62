"""How texts are gathered for summaries, and what is asked of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.engine.fold import Passage
from mistral_nb.engine.text_groups import TextGroup
from mistral_nb.engine.tokens import estimated_tokens
from mistral_nb.tasks.summarize import Source, summarize_task
from mistral_nb.tasks.summary_tree import SummaryTree, summary_tree

LONG = "A sentence with several words in it. " * 400


def tree(window_tokens: int | None = 2000) -> SummaryTree:
    return summary_tree(summarize_task(20), window_tokens=window_tokens, tokens=estimated_tokens)


def asked(passages: list[Passage], **place: Any) -> tuple[Source, int, str]:
    task, text = tree().question(passages, **{"level": 0, "is_last": True, "is_one_text": False, **place})
    return task.source, task.most_words, text


def passages(*texts: str, rows: int = 1) -> list[Passage]:
    return [Passage(text, rows, number, number) for number, text in enumerate(texts)]


def test_a_text_that_fits_is_read_as_it_is() -> None:
    assert tree().leaves(TextGroup(["short"], [3])) == [[Passage("short", 3, 0, 0)]]


def test_a_text_longer_than_the_window_is_read_in_parts_which_are_the_text() -> None:
    chunks = tree().leaves(TextGroup([LONG], [1]))

    assert (len(chunks) > 5, "".join(passage.text for chunk in chunks for passage in chunk)) == (True, LONG)


def test_a_window_that_nobody_knows_is_taken_for_a_small_one() -> None:
    assert tree(None).room_tokens == tree(8192).room_tokens


def test_a_large_window_does_not_make_large_chunks() -> None:
    assert tree(262_144).chunk_tokens == 6000


@given(
    texts=st.lists(st.integers(1, 900).map(lambda count: "word " * count), min_size=2, max_size=40, unique=True),
)
def test_every_text_of_a_group_is_in_one_chunk_that_fits(texts: list[str]) -> None:
    chunks = tree().leaves(TextGroup(texts, [1] * len(texts)))
    sizes = [sum(estimated_tokens(passage.text) for passage in chunk) for chunk in chunks]

    assert ("".join(passage.text for chunk in chunks for passage in chunk), max(sizes) <= tree().chunk_tokens) == (
        "".join(texts),
        True,
    )


@given(count=st.integers(2, 200), words=st.integers(1, 400))
def test_answers_become_fewer_with_each_level(count: int, words: int) -> None:
    answers = passages(*(f"{number} {'word ' * words}" for number in range(count)))

    assert len(tree().chunks(answers)) < count


@pytest.mark.parametrize(
    ("place", "source", "words"),
    [
        ({}, Source.TEXTS, 20),
        ({"is_last": False}, Source.TEXTS, 120),
        ({"level": 1}, Source.SUMMARIES, 20),
        ({"level": 1, "is_last": False}, Source.SUMMARIES, 120),
        ({"level": 1, "is_one_text": True}, Source.PARTS, 20),
    ],
    ids=repr,
)
def test_what_is_asked_depends_on_what_is_read(place: Any, source: Source, words: int) -> None:
    assert asked(passages("a", "b"), **place)[:2] == (source, words)


def test_a_text_that_is_alone_is_asked_as_in_a_column() -> None:
    assert asked(passages("a", rows=7)) == (Source.TEXT, 20, "a")


def test_parts_that_are_read_together_are_the_text_between_their_bounds() -> None:
    assert asked(passages("One. ", "Two."), is_one_text=True) == (Source.TEXT, 20, "One. Two.")
