"""The embedded model calls functions: which, and with what, is its own affair; that it can is not."""

import pytest

import mistral_nb
from mistral_nb.tools.conversation import stream_with_tools
from mistral_nb.tools.records import AnswerPiece, CallFinished, Finished

pytestmark = pytest.mark.usefixtures("embedded")


@mistral_nb.tool
def lookup_owner(id: str) -> str:  # noqa: A002  # the requirement's own example
    """Return the account owner."""
    return {"42": "Ada Lovelace"}.get(id, "nobody")


def test_a_demanded_call_is_made_and_answered() -> None:
    answer = mistral_nb.chat_with_tools(
        "Who owns account 42?", tools=[lookup_owner], tool_choice="any", max_tokens=40, max_rounds=2
    )

    assert answer.steps[0].name == "lookup_owner"
    assert answer.steps[0].error is None
    assert answer.text
    assert answer.cost_usd == 0


def test_the_conversation_goes_on() -> None:
    first = mistral_nb.chat_with_tools(
        "Who owns account 42?", tools=[lookup_owner], tool_choice="any", max_tokens=20, max_rounds=1
    )
    second = mistral_nb.chat_with_tools(
        "Thank you.", tools=[lookup_owner], messages=first.messages, tool_choice="none", max_tokens=20
    )

    assert second.messages[: len(first.messages)] == first.messages


def test_a_frames_tools_fit_the_models_grammar() -> None:
    sales = mistral_nb.load_sample("tickets")[["topic", "urgency", "created"]]
    kit = mistral_nb.frame_tools(sales, name="sales", max_rows=5)

    for tool in kit[:2]:  # the others take this model half a minute: it writes filters until it may not
        answer = mistral_nb.chat_with_tools(
            "Which topic has the most tickets?", tools=kit, tool_choice=tool, max_tokens=10, max_rounds=1
        )
        assert answer.steps[0].name == tool.name
        assert "Invalid arguments" not in answer.steps[0].result


def test_the_answer_comes_piece_by_piece() -> None:
    events = list(
        stream_with_tools("Who owns account 42?", [lookup_owner], tool_choice=lookup_owner, max_tokens=20, max_rounds=1)
    )

    assert any(isinstance(event, CallFinished) for event in events)
    assert isinstance(events[-1], Finished)
    said = "".join(event.delta.text for event in events if isinstance(event, AnswerPiece) and event.round == 2)
    assert said == events[-1].answer.text
