"""Who asks a retired or soon retired model is told once, with its replacement."""

import datetime
import warnings
from collections.abc import Iterator

import pytest

import mistral_nb
from mistral_nb.engine import retirement
from mistral_nb.engine.retirement import RetirementWarning, retirement_text
from tests.fake_api import FakeApi

KEY = "abcdefghijklmnopqrstuvwxyz012345"
OLD = "codestral-2501"


@pytest.fixture(autouse=True)
def _nothing_told() -> Iterator[None]:
    retirement._told.clear()
    yield
    retirement._told.clear()


@pytest.mark.parametrize(("day", "word"), [(1, "is set"), (30, "was set")])
def test_the_day_of_the_end_and_the_replacement_are_said(day: int, word: str) -> None:
    text = retirement_text(OLD, today=datetime.date(2025, 11, day))

    assert (
        text
        == f"{OLD} is retired at Mistral, and its end {word} for 2025-11-30. Its replacement: model='codestral-2508'."
    )


def test_the_end_of_a_preview_is_said() -> None:
    text = retirement_text("labs-leanstral-1-5", today=datetime.date(2026, 9, 1))

    assert text == "labs-leanstral-1-5 is a preview at Mistral, and its end is set for 2026-09-30."


def test_of_a_current_model_nothing_is_said() -> None:
    assert retirement_text("small", today=datetime.date(2030, 1, 1)) is None


def test_the_warning_comes_once() -> None:
    mistral_nb.configure(api_key=KEY)
    with pytest.warns(RetirementWarning, match="codestral-2508") as caught:
        mistral_nb.session().request("Hello", model=OLD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mistral_nb.session().request("Hello", model=OLD)

    assert caught[0].filename == __file__


def test_of_another_servers_model_with_that_name_nothing_is_said(api: FakeApi) -> None:
    mistral_nb.session().request("Hello", model=OLD)

    assert not retirement._told
