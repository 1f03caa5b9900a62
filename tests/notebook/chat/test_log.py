from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.notebook.chat.log import ChatLog
from tests.notebook.chat.page import apply

CHANGES = st.one_of(
    st.tuples(st.just("add"), st.text(max_size=5)),
    st.tuples(st.just("grow"), st.integers(1, 4), st.sampled_from(["text", "thinking"]), st.text(max_size=9)),
    st.tuples(st.just("pin"), st.integers(1, 4)),
    st.tuples(st.just("drop"), st.integers(1, 4)),
    st.tuples(st.just("flush")),
    st.tuples(st.just("tell_all")),
)


class Ticks:
    """A clock on which a second passes at each look."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 1
        return self._now


def carried_out(changes: list[tuple[Any, ...]]) -> tuple[ChatLog, list[Any]]:
    """Make the changes and return the log with what it told."""
    told: list[Any] = []
    log = ChatLog(told.append, clock=Ticks())
    log.tell_all()
    for name, *arguments in changes:
        match name:
            case "add":
                log.add(arguments[0], model="m")
            case "pin":
                log.change(arguments[0], lambda turn: replace(turn, is_pinned=not turn.is_pinned))
            case _:
                getattr(log, name)(*arguments)
    return log, told


@given(st.lists(CHANGES, max_size=25))
def test_who_applies_the_messages_in_order_has_the_same_turns(changes: list[tuple[Any, ...]]) -> None:
    log, told = carried_out([*changes, ("tell_all",)])
    applied: dict[int, Any] = {}
    for message in told[:-1]:
        apply(message, applied)

    assert list(applied.values()) == told[-1]["turns"] == [turn.as_json() for turn in log.turns]


@given(st.lists(CHANGES, max_size=25))
def test_messages_are_numbered_without_a_gap(changes: list[tuple[Any, ...]]) -> None:
    _, told = carried_out(changes)

    assert [message["number"] for message in told] == list(range(1, len(told) + 1))


def test_a_change_that_changes_nothing_is_not_told() -> None:
    log, told = carried_out([("add", "Hello")])
    before = len(told)
    log.change(1, lambda turn: turn)

    assert len(told) == before


def test_the_id_of_a_dropped_turn_is_not_used_again() -> None:
    log, _ = carried_out([("add", "One"), ("drop", 1), ("add", "Two")])

    assert [turn.id for turn in log.turns] == [2]
