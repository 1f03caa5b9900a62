"""What is asked for a summary, by its options and by what is summarized."""

from typing import Any

import pytest

from mistral_nb.engine.fold import Passage
from mistral_nb.errors import InvalidOption
from mistral_nb.tasks.summarize import Source, lines_of, summarize_task


def told(**options: Any) -> str:
    return str(summarize_task(**options).request("text", model="m").messages[0]["content"])


@pytest.mark.parametrize(
    ("options", "length"),
    [
        ({}, "in one sentence of at most 25 words"),
        ({"max_words": 15}, "in one sentence of at most 15 words"),
        ({"max_words": 80}, "text in at most 80 words"),
        ({"max_sentences": 1}, "in one sentence,"),
        ({"max_sentences": 3}, "in at most 3 sentences,"),
        ({"max_sentences": 3, "max_words": 50}, "in at most 3 sentences and at most 50 words"),
    ],
    ids=repr,
)
def test_the_length_is_asked_in_words_or_sentences(options: Any, length: str) -> None:
    assert length in told(**options)


def test_a_summary_is_in_the_texts_language_unless_another_is_asked() -> None:
    assert ("in the text's language" in told(), "in French" in told(language="French")) == (True, True)


def test_focus_and_instructions_are_part_of_the_prompt() -> None:
    prompt = told(focus="complaints.", instructions="Name the product.")

    assert "Tell only what concerns this: complaints. Name the product. Whatever" in prompt


@pytest.mark.parametrize("option", ["max_words", "max_sentences"])
@pytest.mark.parametrize("number", [0, -1, 2.5, "3", True])
def test_a_length_that_is_no_whole_number_is_refused(option: str, number: Any) -> None:
    with pytest.raises(InvalidOption, match=f"{option} is {number!r}"):
        summarize_task(**{option: number})


def test_a_language_may_be_a_code() -> None:
    assert "in German" in told(language="de")


def test_what_is_no_language_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidOption, match="French"):
        summarize_task(language="Frnch")


@pytest.mark.parametrize("option", ["focus", "instructions"])
@pytest.mark.parametrize("text", ["", "  ", 3])
def test_an_empty_wish_is_refused(option: str, text: Any) -> None:
    with pytest.raises(InvalidOption, match=f"{option} is {text!r}"):
        summarize_task(**{option: text})


def test_a_text_among_others_can_not_break_out_of_its_line() -> None:
    lines = lines_of(Source.TEXTS, [Passage('a"\n"b\u2028', 1, 0, 0), Passage("c", 3, 1, 1)])

    assert lines.splitlines() == ['"a\\"\\n\\"b\\u2028"', '3 × "c"']


def test_a_summary_among_others_says_how_many_texts_it_covers() -> None:
    assert lines_of(Source.SUMMARIES, [Passage("Late parcels.", 120, 0, 9)]) == '120 "Late parcels."'


def test_summaries_of_parts_may_be_longer_than_the_whole() -> None:
    assert (summarize_task(15).notes().most_words, summarize_task(300).notes().most_words) == (120, 300)
