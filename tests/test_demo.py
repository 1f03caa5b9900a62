import re
from typing import Any

import pandas as pd
import pytest

from mistral_nb.demo import TOPICS, report
from mistral_nb.samples import load_sample
from mistral_nb.terminal_table import cells_of


@pytest.fixture
def tickets() -> pd.DataFrame:
    """The sample tickets, all of them answered rightly but five, and one without an answer."""
    tickets = load_sample("tickets")
    answers = tickets["topic"].fillna("bug")
    judged = tickets.index[tickets["topic"].notna()]
    answers[judged[10:15]] = [TOPICS[TOPICS.index(topic) - 1] for topic in answers[judged[10:15]]]
    answers[judged[20]] = None
    tickets["answer"] = answers.astype(pd.CategoricalDtype(TOPICS))
    return tickets


def printed(tickets: Any, *, width: int = 100) -> str:
    return "\n".join(report(tickets, tickets.head(3).assign(summary="Short, but to the point. " * 8), width=width))


def tables(text: str) -> list[list[str]]:
    """Return, of each table of tickets, the lines that start with a ticket's id."""
    _, *parts = re.split("^ticket .*\n", text, flags=re.MULTILINE)
    return [[line for line in part.splitlines() if line.startswith("T-")] for part in parts]


def test_each_summarized_ticket_is_in_the_first_table(tickets: pd.DataFrame) -> None:
    assert [line.split()[0] for line in tables(printed(tickets))[0]] == tickets["ticket_id"].head(3).tolist()


def test_a_summary_is_shown_whole(tickets: pd.DataFrame) -> None:
    first_table = printed(tickets).split("Answered otherwise")[0]

    assert first_table.count("point.") == 3 * 8


def test_each_wrong_answer_is_in_the_second_table_with_a_cross(tickets: pd.DataFrame) -> None:
    assert ["✗" in line for line in tables(printed(tickets))[1]] == [True] * 6


def test_a_ticket_left_without_an_answer_is_shown_as_such(tickets: pd.DataFrame) -> None:
    assert sum(line.endswith("✗ –") for line in tables(printed(tickets))[1]) == 1


def test_without_a_wrong_answer_there_is_no_table_of_them(tickets: pd.DataFrame) -> None:
    right = tickets[tickets["answer"].astype("str") == tickets["topic"]]

    assert len(tables(printed(right))) == 1


def test_every_ticket_is_shown_or_counted_as_left_out(tickets: pd.DataFrame) -> None:
    text = printed(tickets)
    shown = {line.split()[0] for table in tables(text) for line in table}
    left_out = int(re.findall(r"Not shown: (\d+)", text)[0])

    assert len(shown) + left_out == len(tickets)


def test_every_ticket_with_a_topic_is_counted_once_in_the_table_of_answers(tickets: pd.DataFrame) -> None:
    counts = re.findall(r"^(?:billing|delivery|bug|praise) +([\d ]+)$", printed(tickets), flags=re.MULTILINE)

    assert sum(int(number) for row in counts for number in row.split()) == tickets["topic"].count()


def test_the_accuracy_is_of_the_tickets_that_have_a_topic(tickets: pd.DataFrame) -> None:
    judged = tickets["topic"].count()

    assert f"{judged - 6} of {judged} right" in printed(tickets)


@pytest.mark.parametrize("width", [80, 100, 132])
def test_the_tables_fit_the_terminal(tickets: pd.DataFrame, width: int) -> None:
    assert max(map(cells_of, printed(tickets, width=width).splitlines())) <= width
