"""What is said before the embedded model guesses."""

import warnings
from typing import Any

import pytest

from mistral_nb.notebook.embedded_notices import warn_of_guesses
from mistral_nb.tasks.classify import classify_task
from mistral_nb.tasks.filter import filter_task
from mistral_nb.tasks.multi_label import multi_label_task
from mistral_nb.tasks.sentiment import sentiment_task

LABELS = ["billing", "delivery", "bug"]
TASKS = {
    "classify": classify_task(LABELS),
    "several": multi_label_task(LABELS),
    "sentiment": sentiment_task(),
    "filter": filter_task("mentions a competitor"),
}


def said(task: Any, *, model: str = "local-tiny", rows_per_request: Any = "auto") -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_guesses(task, model=model, rows_per_request=rows_per_request)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("verb", TASKS)
def test_rows_that_share_a_request_are_guessed(verb: str) -> None:
    (text,) = said(TASKS[verb], rows_per_request=10)

    assert "Leave rows_per_request out" in text


@pytest.mark.parametrize("verb", TASKS)
@pytest.mark.parametrize("rows_per_request", ["auto", 1])
def test_rows_that_are_asked_alone_are_not(verb: str, rows_per_request: Any) -> None:
    assert said(TASKS[verb], rows_per_request=rows_per_request) == []


@pytest.mark.parametrize(
    "task",
    [
        classify_task(LABELS, instructions="Be strict."),
        multi_label_task(LABELS, instructions="Be strict."),
        filter_task("mentions a competitor", instructions="Be strict."),
        sentiment_task(instructions="Be strict."),
    ],
    ids=TASKS,
)
def test_instructions_that_describe_no_label_change_nothing(task: Any) -> None:
    (text,) = said(task)

    assert "'Be strict.'" in text


def test_instructions_that_describe_a_label_count() -> None:
    assert said(classify_task(LABELS, instructions="A complaint about a price is billing.")) == []


@pytest.mark.parametrize(
    "instructions", ["Be strict about invoices.", "Never choose billing for a late parcel.", "Only prices are billing."]
)
def test_instructions_that_share_a_word_with_a_label_or_say_what_it_is_not_do_not(instructions: str) -> None:
    described = {"billing": "invoices", "delivery": None, "bug": None}

    assert len(said(classify_task(described, instructions=instructions))) == 1


def test_a_sentence_does_not_end_within_an_abbreviation() -> None:
    task = classify_task(LABELS, instructions="A complaint, e.g. about a price, is billing.")
    choice = task.request("", model="local-tiny").choice

    assert choice is not None
    assert choice.hints[0] == ("A complaint, e.g. about a price, is billing.",)


@pytest.mark.parametrize("options", [{"instructions": "Be strict."}, {"rows_per_request": 10}], ids=list)
def test_nothing_is_said_of_a_hosted_model(options: dict[str, Any]) -> None:
    task = classify_task(LABELS, instructions=options.get("instructions"))

    assert said(task, model="mistral-small-latest", rows_per_request=options.get("rows_per_request", "auto")) == []
