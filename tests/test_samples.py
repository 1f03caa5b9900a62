from pathlib import Path

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.errors import InvalidOption

TOPICS = {"billing", "delivery", "bug", "praise"}


@pytest.fixture(scope="module")
def tickets() -> pd.DataFrame:
    return mistral_nb.load_sample("tickets")


def test_there_are_enough_tickets_to_learn_from(tickets: pd.DataFrame) -> None:
    assert len(tickets) >= 120


def test_every_topic_is_one_of_the_four(tickets: pd.DataFrame) -> None:
    assert set(tickets["topic"].dropna()) == TOPICS


def test_only_texts_that_say_something_have_a_topic(tickets: pd.DataFrame) -> None:
    says_nothing = tickets["text"].isna() | (tickets["text"].fillna("").str.strip().isin(["", "???"]))

    assert tickets.loc[says_nothing, "topic"].isna().all()


def test_ticket_ids_are_unique(tickets: pd.DataFrame) -> None:
    assert tickets["ticket_id"].is_unique


def test_the_day_of_a_ticket_is_a_date(tickets: pd.DataFrame) -> None:
    assert pd.api.types.is_datetime64_dtype(tickets["created"])


@pytest.mark.parametrize("awkward", ["<script>", "Ignore", "{", "=", '"', "\n", "🎉|😡|🙏|😊|❤|👍"])
def test_awkward_texts_are_among_them(tickets: pd.DataFrame, awkward: str) -> None:
    assert tickets["text"].str.contains(awkward, na=False, regex="|" in awkward).any()


def test_an_unknown_sample_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidOption, match=r"No sample 'ticket'.\nDid you mean 'tickets'\?"):
        mistral_nb.load_sample("ticket")


def test_every_sample_file_is_described() -> None:
    folder = Path(__file__).parent.parent / "data"
    description = (folder / "README.md").read_text(encoding="utf-8")

    assert [file.name for file in folder.glob("*.csv") if file.name not in description] == []
