import re
from pathlib import Path

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.errors import InvalidOption

FOLDER = Path(__file__).parent.parent / "data"
SAMPLES = sorted(file.stem for file in FOLDER.glob("*.csv"))
TOPICS = {"billing", "delivery", "bug", "praise"}


@pytest.fixture(scope="module")
def tickets() -> pd.DataFrame:
    return mistral_nb.load_sample("tickets")


@pytest.fixture(scope="module")
def invoices() -> pd.DataFrame:
    return mistral_nb.load_sample("invoices")


def test_there_are_enough_tickets_to_learn_from(tickets: pd.DataFrame) -> None:
    assert len(tickets) == 300


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


@pytest.mark.parametrize("name", [3, None, ["tickets"]])
def test_what_is_no_name_of_a_sample_is_answered_with_the_names_there_are(name: object) -> None:
    with pytest.raises(InvalidOption, match=r"There are: accounts, invoices, meeting_notes, memos, owners, tickets\."):
        mistral_nb.load_sample(name)  # type: ignore[arg-type]


def description(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def part(name: str, title: str) -> str:
    """Return the text below a heading of a sample's description."""
    return description(name).split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_column_of_a_sample_is_described(name: str) -> None:
    described = re.findall(r"^\| `(\w+)` \| \w.*\|$", part(name, "Columns"), re.MULTILINE)

    assert described == mistral_nb.load_sample(name).columns.tolist()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_says_how_it_was_made(name: str) -> None:
    assert re.search(r"written for this project", part(name, "How it was made"), re.IGNORECASE)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_says_its_licence(name: str) -> None:
    assert "https://creativecommons.org/publicdomain/zero/1.0/" in part(name, "Licence")


@pytest.mark.parametrize("name", SAMPLES)
def test_the_overview_has_a_samples_rows_and_leads_to_its_description(name: str) -> None:
    overview = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert re.search(
        rf"^\| `{name}\.csv` \| {len(mistral_nb.load_sample(name))} \| .* \[{name}\.md\]\({name}\.md\) \|$",
        overview,
        re.MULTILINE,
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_the_first_column_of_a_sample_names_each_row(name: str) -> None:
    assert mistral_nb.load_sample(name).iloc[:, 0].is_unique


def test_the_counts_of_tickets_are_those_that_are_described(tickets: pd.DataFrame) -> None:
    described = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", description("tickets"), re.MULTILINE)
    urgency = pd.crosstab(tickets["topic"], tickets["urgency"])[["low", "normal", "high"]]

    assert {topic: list(map(int, counts[:3])) for topic, *counts in described if topic in TOPICS} == {
        topic: row.tolist() for topic, row in urgency.iterrows()
    }


def test_an_invoices_net_amount_and_tax_make_its_total(invoices: pd.DataFrame) -> None:
    taxed = invoices.dropna(subset=["vat_amount"])

    assert (taxed["net_amount"] + taxed["vat_amount"]).round(2).tolist() == taxed["total_amount"].tolist()


@pytest.mark.parametrize("column", ["supplier", "invoice_number"])
def test_an_invoices_text_names_its_fields(invoices: pd.DataFrame, column: str) -> None:
    assert [row.invoice_id for row in invoices.itertuples() if getattr(row, column) not in row.text] == []


def test_an_invoices_total_stands_in_its_text(invoices: pd.DataFrame) -> None:
    without_thousands = invoices["text"].str.replace(r"(?<=\d)[ .,](?=\d{3}\b)", "", regex=True).str.replace(",", ".")
    totals = [
        re.escape(f"{total:.2f}").replace(r"\.00", r"(\.00)?") for total in invoices["total_amount"]
    ]  # some are whole numbers

    assert [text for text, total in zip(without_thousands, totals, strict=True) if not re.search(total, text)] == []


def test_whoever_has_something_to_do_is_named_in_the_notes() -> None:
    notes = mistral_nb.load_sample("meeting_notes")
    unnamed = [
        (row.note_id, item["owner"])
        for row in notes.itertuples()
        for item in row.action_items
        if item["owner"].lower() not in row.text.lower().replace("anyone", "everyone").replace("everybody", "everyone")
    ]

    assert unnamed == []


def test_a_day_in_a_meetings_items_is_a_day_after_it() -> None:
    notes = mistral_nb.load_sample("meeting_notes").explode("action_items").dropna(subset=["action_items"])
    due = pd.to_datetime(notes["action_items"].str["due"])

    assert (due.isna() | (due >= notes["held"])).all()


def test_every_account_has_an_owner_who_is_listed_or_none() -> None:
    owners = set(mistral_nb.load_sample("owners")["owner"])

    assert set(mistral_nb.load_sample("accounts")["owner"].dropna()) == owners
