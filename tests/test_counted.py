"""Counts are written in English, whichever door shows them."""

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.counted import counted
from mistral_nb.demo import run_demo
from tests.fake_api import FakeApi

LABELS = ["bug", "no bug"]


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_000, "1,000 rows")], ids=str
)
def test_one_thing_is_singular_and_any_other_number_plural(number: int, words: str) -> None:
    assert counted(number, "row") == words


def test_a_run_of_one_row_is_a_row_and_a_request(api: FakeApi) -> None:
    texts = pd.Series(["It crashes"])
    texts.mistral.classify(LABELS)

    assert repr(texts.mistral.last_run).startswith("classify with mistral-small-latest: 1 of 1 row, 0 cached")
    assert "; 1 request in " in repr(texts.mistral.last_run)


def test_a_bill_of_one_request_is_singular(api: FakeApi) -> None:
    with mistral_nb.spend("study") as bill:
        mistral_nb.session().complete("Say hello.")

    assert "1 request, 0 failed" in repr(bill)


def test_the_demo_counts_a_single_summary_and_an_empty_ticket_as_such(api: FakeApi) -> None:
    said: list[str] = []
    run_demo(model="mistral-small-latest", summaries=1, tickets=38, say=said.append)
    words = " ".join(" ".join(said).split())

    assert " and 1 summary in " in words
    assert "; 1 ticket without text cost nothing." in words
