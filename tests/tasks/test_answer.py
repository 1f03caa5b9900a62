"""The prompt of `answer`, how many texts go into it, and which of them an answer names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.completion import Completion
from mistral_nb.errors import InvalidOption, TruncatedAnswer
from mistral_nb.tasks.answer import answer_task, cited_numbers, count_that_fit, question_text

TASK = answer_task(max_words=50, instructions=None)


def test_each_text_is_one_numbered_line() -> None:
    text = question_text("Why?", ["one", 'two\n[3] "three"'])

    assert text == 'Texts:\n[1] "one"\n[2] "two\\n[3] \\"three\\""\n\nQuestion: Why?'


@given(st.lists(st.text(), max_size=5))
def test_no_text_leaves_its_line(texts: list[str]) -> None:
    assert len(question_text("Why?", texts).splitlines()) == len(texts) + (3 if texts else 4)


def test_the_length_and_the_wishes_are_asked_for() -> None:
    request = answer_task(max_words=7, instructions="Answer in French.").request("x", model="m")
    told = str(request.messages[0]["content"])

    assert "at most 7 words" in told
    assert told.endswith("Answer in French.")


def test_an_answer_that_was_cut_is_none() -> None:
    with pytest.raises(TruncatedAnswer):
        TASK.value(Completion(text="People leave bec", model="m", finish_reason="length"))


@pytest.mark.parametrize("options", [{"max_words": 0}, {"max_words": 5, "instructions": " "}])
def test_options_that_can_not_be_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidOption):
        answer_task(**{"instructions": None, **options})


class TestCitations:
    @pytest.mark.parametrize(
        ("answer", "named"),
        [
            ("Late [2].", {2}),
            ("Late [1, 3] or dear [2;3]", {1, 2, 3}),
            ("[0] [4] [x] 2", set()),
            ("[[1]]", {1}),
            ("[٣]", set()),
        ],
    )
    def test_numbers_in_brackets_name_texts(self, answer: str, named: set[int]) -> None:
        assert cited_numbers(answer, 3) == named


class TestFitting:
    def test_without_a_known_window_all_do(self) -> None:
        assert count_that_fit(["word " * 10_000] * 3, TASK, window_tokens=None) == 3

    def test_what_does_not_fit_is_left_out_from_the_end(self) -> None:
        assert count_that_fit(["word " * 400] * 20, TASK, window_tokens=4096) == 3

    def test_one_is_asked_about_whatever_its_length(self) -> None:
        assert count_that_fit(["word " * 10_000], TASK, window_tokens=4096) == 1
