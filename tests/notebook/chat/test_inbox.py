"""What a page says is obeyed once and in order, whatever happens to its messages on their way."""

from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.notebook.chat.inbox import Inbox, Message


def said(number: int) -> Message:
    return (number, ())


def numbers(messages: list[Message]) -> list[int]:
    return [content for content, _ in messages]


@given(count=st.integers(0, 6), arrivals=st.lists(st.integers(1, 6)))
def test_each_is_obeyed_once_and_in_order_though_some_are_lost_doubled_or_overtaken(
    count: int, arrivals: list[int]
) -> None:
    obeyed: list[Message] = []
    inbox = Inbox(obeyed.append)
    heard = 0
    for number in arrivals:
        if number <= count:
            heard = inbox.take("a", number, said(number))["upTo"]
    while heard < count:  # the page sends the first that was not heard, until all are
        heard = inbox.take("a", heard + 1, said(heard + 1))["upTo"]

    assert numbers(obeyed) == list(range(1, count + 1))


def test_each_page_counts_for_itself() -> None:
    obeyed: list[Message] = []
    inbox = Inbox(obeyed.append)
    inbox.take("a", 1, said(10))
    inbox.take("b", 1, said(20))

    assert numbers(obeyed) == [10, 20]


def test_a_gap_is_told() -> None:
    inbox = Inbox(lambda message: None)

    assert inbox.take("a", 2, said(2)) == {"kind": "heard", "page": "a", "upTo": 0, "isGap": True}
    assert inbox.take("a", 1, said(1)) == {"kind": "heard", "page": "a", "upTo": 2, "isGap": False}


def test_a_page_that_asks_is_told_how_far_it_was_heard() -> None:
    inbox = Inbox(lambda message: None)
    inbox.take("a", 1, said(1))

    assert inbox.progress("a") == {"kind": "heard", "page": "a", "upTo": 1, "isGap": True}
    assert inbox.progress("b")["upTo"] == 0
