import asyncio
import threading
from decimal import Decimal
from typing import Any

import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.tools.call_messages import NO_TEXT
from tests.fake_api import FakeApi, Fault
from tests.tools.said import asked_for, calls, lookup_owner, says, sent, tool_texts, weather


def test_the_model_gets_the_result_and_answers(api: FakeApi) -> None:
    answer = mistral_nb.chat_with_tools("lookup_owner: who owns it? id: 42", tools=[lookup_owner])

    assert answer.text == "The tool says: Ada Lovelace"


def test_a_step_tells_what_was_called_and_what_came_of_it(api: FakeApi) -> None:
    (step,) = mistral_nb.chat_with_tools("lookup_owner, id: 42", tools=[lookup_owner]).steps

    assert (step.name, step.arguments, step.result, step.value, step.error, step.round) == (
        "lookup_owner",
        {"id": "42"},
        "Ada Lovelace",
        "Ada Lovelace",
        None,
        1,
    )


def test_the_functions_definition_is_sent_with_every_request(api: FakeApi) -> None:
    mistral_nb.chat_with_tools("lookup_owner, id: 42", tools=[lookup_owner])

    wanted = {
        "name": "lookup_owner",
        "description": "Return the account owner.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"id": {"type": "string"}},
            "required": ["id"],
            "additionalProperties": False,
        },
    }
    assert [request.body["tools"][0]["function"] for request in api.requests if request.body] == [wanted, wanted]


def test_a_question_without_calls_is_answered_in_one_round(api: FakeApi) -> None:
    answer = mistral_nb.chat_with_tools("Hello", tools=[lookup_owner])

    assert (answer.text, answer.steps, answer.rounds) == ("Answer to: Hello", (), 1)


def test_an_answer_that_is_filtered_is_refused(api: FakeApi) -> None:
    api.play(Fault(content="As far as", finish_reason="content_filter"))
    with pytest.raises(errors.Refused, match="finish_reason 'content_filter'") as caught:
        mistral_nb.chat_with_tools("Hello", tools=[lookup_owner])

    assert caught.value.withheld is not None
    assert caught.value.withheld.text == "As far as"


def test_no_tools_make_a_plain_question(api: FakeApi) -> None:
    assert mistral_nb.chat_with_tools("Hello", tools=[]).text == "Answer to: Hello"


def test_calls_of_one_round_go_back_in_the_order_in_which_they_were_asked_for(api: FakeApi) -> None:
    second_is_done = threading.Event()

    def first() -> str:
        assert second_is_done.wait(timeout=30)
        return "one"

    def second() -> str:
        second_is_done.set()
        return "two"

    mistral_nb.chat_with_tools("first and second", tools=[first, second])

    assert tool_texts(api) == ["one", "two"]


def test_calls_of_one_round_run_at_the_same_time(api: FakeApi) -> None:
    meeting = threading.Barrier(2, timeout=30)

    def left() -> bool:
        meeting.wait()
        return True

    async def right() -> bool:
        await asyncio.to_thread(meeting.wait)
        return True

    answer = mistral_nb.chat_with_tools("left and right", tools=[left, right])

    assert [step.value for step in answer.steps] == [True, True]


def test_an_exception_goes_to_the_model_as_an_error(api: FakeApi) -> None:
    answer = mistral_nb.chat_with_tools("lookup_owner, id: 43", tools=[lookup_owner])

    assert tool_texts(api) == ["Error: KeyError: '43'"]
    assert (answer.steps[0].error, type(answer.steps[0].exception)) == ("KeyError: '43'", KeyError)


@pytest.mark.parametrize("raised", [SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt()])
def test_nothing_that_a_tool_raises_ends_the_conversation(api: FakeApi, raised: BaseException) -> None:
    def leave() -> None:
        raise raised

    answer = mistral_nb.chat_with_tools("leave", tools=[leave])

    assert (answer.steps[0].error or "").startswith(type(raised).__name__)


def test_an_unknown_tool_is_an_error_that_names_those_there_are(api: FakeApi) -> None:
    api.play(calls(asked_for("delete.everything")))

    mistral_nb.chat_with_tools("Hello", tools=[lookup_owner, weather])

    assert tool_texts(api) == ["Error: There is no tool 'delete.everything'. There are: lookup_owner, weather."]


def test_a_name_that_the_api_would_refuse_is_made_acceptable(api: FakeApi) -> None:
    api.play(calls(asked_for("delete.everything")))

    mistral_nb.chat_with_tools("Hello", tools=[lookup_owner])

    assert sent(api)[1]["tool_calls"][0]["function"]["name"] == "delete_everything"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "Error: Invalid arguments: id: Field required"),
        ({"id": 42}, "Error: Invalid arguments: id: Input should be a valid string, not 42"),
        ({"id": "42", "all": True}, "Error: Invalid arguments: all: Extra inputs are not permitted, not True"),
        ('{"id": "4', 'Error: The arguments are no JSON object: \'{"id": "4\''),
        ("[1]", "Error: The arguments are no JSON object: '[1]'"),
    ],
)
def test_arguments_are_checked_before_the_call(api: FakeApi, arguments: Any, said: str) -> None:
    api.play(calls(asked_for("lookup_owner", arguments)))

    mistral_nb.chat_with_tools("Hello", tools=[lookup_owner])

    assert tool_texts(api) == [said]


def test_arguments_that_are_no_json_go_back_as_an_empty_object(api: FakeApi) -> None:
    api.play(calls(asked_for("lookup_owner", '{"id": "4')))

    answer = mistral_nb.chat_with_tools("Hello", tools=[lookup_owner])

    assert sent(api)[1]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert answer.steps[0].arguments == '{"id": "4'


def test_ids_that_the_server_made_are_kept(api: FakeApi) -> None:
    api.play(calls(asked_for("weather", {"city": "Rome"}, call_id="aB3dE6gH9")))

    mistral_nb.chat_with_tools("Hello", tools=[weather])

    assert [sent(api)[1]["tool_calls"][0]["id"], sent(api)[2]["tool_call_id"]] == ["aB3dE6gH9"] * 2


@pytest.mark.parametrize("ids", [("", ""), ("call_1234567890", "null"), ("aB3dE6gH9", "aB3dE6gH9")])
def test_ids_that_the_api_would_refuse_are_replaced(api: FakeApi, ids: tuple[str, str]) -> None:
    asked = [{**asked_for("weather", {"city": "Rome"}), "id": call_id} for call_id in ids]
    api.play(says("", *asked))

    answer = mistral_nb.chat_with_tools("Hello", tools=[weather])

    assert len({step.id for step in answer.steps}) == 2  # and the fake API took the conversation
    assert all(len(step.id) == 9 and step.id.isalnum() for step in answer.steps)


def test_text_beside_calls_is_kept_in_the_conversation(api: FakeApi) -> None:
    api.play(says("Let me look.", asked_for("weather", {"city": "Rome"}, call_id="aB3dE6gH9")))

    answer = mistral_nb.chat_with_tools("Hello", tools=[weather])

    assert sent(api)[1]["content"] == "Let me look."
    assert "Let me look." not in answer.text


def test_rounds_are_bounded_and_end_with_an_answer(api: FakeApi) -> None:
    api.play(*[calls(asked_for("weather", {"city": "Rome"}))] * 3)

    answer = mistral_nb.chat_with_tools("Hello", tools=[weather], max_rounds=3)

    assert (len(answer.steps), answer.rounds, answer.reached_max_rounds) == (3, 4, True)
    assert answer.text.startswith("The tool says:")


def test_after_the_last_round_no_call_is_offered(api: FakeApi) -> None:
    api.play(calls(asked_for("weather", {"city": "Rome"})))

    mistral_nb.chat_with_tools("Hello", tools=[weather], max_rounds=1)

    assert [(request.body or {}).get("tool_choice") for request in api.requests] == [None, "none"]


def test_calls_of_a_server_that_ignores_the_last_round_are_not_made(api: FakeApi) -> None:
    api.play(*[calls(asked_for("weather", {"city": "Rome"}))] * 2)

    answer = mistral_nb.chat_with_tools("Hello", tools=[weather], max_rounds=1)

    assert len(answer.steps) == 1
    assert answer.messages[-1] == {"role": "assistant", "content": NO_TEXT}


@pytest.mark.parametrize("choice", ["any", "required"])
def test_a_demanded_call_is_demanded_in_the_first_round_only(api: FakeApi, choice: str) -> None:
    answer = mistral_nb.chat_with_tools("city: Rome", tools=[weather, lookup_owner], tool_choice=choice)

    assert [(request.body or {}).get("tool_choice") for request in api.requests] == [choice, None]
    assert [step.name for step in answer.steps] == ["weather"]


@pytest.mark.parametrize("choice", [lookup_owner, "lookup_owner", mistral_nb.Tool.of(lookup_owner)])
def test_one_tool_can_be_demanded(api: FakeApi, choice: Any) -> None:
    answer = mistral_nb.chat_with_tools("id: 42", tools=[weather, lookup_owner], tool_choice=choice)

    assert [step.name for step in answer.steps] == ["lookup_owner"]


def test_with_none_nothing_is_called(api: FakeApi) -> None:
    answer = mistral_nb.chat_with_tools("lookup_owner 42", tools=[lookup_owner], tool_choice="none")

    assert (answer.steps, answer.rounds, answer.reached_max_rounds) == ((), 1, False)


@pytest.mark.parametrize(
    ("tools", "options"),
    [
        ([], {"tool_choice": "any"}),
        ([weather], {"tool_choice": "lookup_owner"}),
        ([weather], {"tool_choice": 3}),
        ([weather], {"max_rounds": 0}),
        ([weather], {"max_rounds": True}),
        ([weather, weather], {}),
        (["weather"], {}),
        (3, {}),
    ],
)
def test_what_can_not_work_is_said_before_anything_is_sent(api: FakeApi, tools: Any, options: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidOption):
        mistral_nb.chat_with_tools("Hello", tools=tools, **options)
    assert api.requests == []


def test_the_conversation_goes_on_from_its_messages(api: FakeApi) -> None:
    first = mistral_nb.chat_with_tools("lookup_owner, id: 42", tools=[lookup_owner], system="Be brief.")

    mistral_nb.chat_with_tools("Thanks", tools=[lookup_owner], messages=first.messages)

    assert [message["role"] for message in sent(api)] == ["system", "user", "assistant", "tool", "assistant", "user"]


def test_another_system_message_replaces_the_first(api: FakeApi) -> None:
    first = mistral_nb.chat_with_tools("Hello", tools=[], system="Be brief.")

    mistral_nb.chat_with_tools("Thanks", tools=[], messages=first.messages, system="Be kind.")

    assert [message["content"] for message in sent(api) if message["role"] == "system"] == ["Be kind."]


def test_thoughts_go_back_with_the_calls_they_led_to(api: FakeApi) -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    fault = says("", asked_for("weather", {"city": "Rome"}, call_id="aB3dE6gH9"))
    fault.body["choices"][0]["message"]["content"] = thinking
    api.play(fault)

    mistral_nb.chat_with_tools("Hello", tools=[weather], reasoning_effort="high")

    assert sent(api)[1]["content"] == thinking


def test_the_bill_is_that_of_all_rounds(api: FakeApi) -> None:
    answer = mistral_nb.chat_with_tools("lookup_owner, id: 42", tools=[lookup_owner])

    stats = api.stats
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (
        stats.prompt_tokens,
        stats.completion_tokens,
    )


def test_an_unknown_price_is_not_guessed(api: FakeApi) -> None:
    assert mistral_nb.chat_with_tools("Hello", tools=[]).cost_usd is None


def test_the_price_is_summed_where_it_is_known(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mistral_nb.Session, "cost_usd", lambda self, model, usage: Decimal("0.25"))

    assert mistral_nb.chat_with_tools("lookup_owner, id: 42", tools=[lookup_owner]).cost_usd == Decimal("0.50")


def test_options_reach_the_api(api: FakeApi) -> None:
    answer = mistral_nb.chat_with_tools(
        "weather, lookup_owner", tools=[weather, lookup_owner], parallel_tool_calls=False
    )

    assert len(answer.steps) == 1
    assert {(request.body or {})["parallel_tool_calls"] for request in api.requests} == {False}


def test_a_request_that_fails_fails_the_call(api: FakeApi) -> None:
    api.play(Fault(status=422, body={"detail": "no"}))

    with pytest.raises(errors.RequestRejected):
        mistral_nb.chat_with_tools("Hello", tools=[weather])


def test_a_long_result_is_cut_with_a_note(api: FakeApi) -> None:
    @mistral_nb.tool(max_result_tokens=10)
    def read() -> str:
        return "word " * 1_000

    (step,) = mistral_nb.chat_with_tools("read", tools=[read]).steps

    assert len(step.result) < 200
    assert step.result.endswith("characters: a result may have 10 tokens]")
    assert len(step.value) == 5_000


def test_a_long_exception_is_cut_too(api: FakeApi) -> None:
    @mistral_nb.tool(max_result_tokens=10)
    def read() -> str:
        raise ValueError("word " * 1_000)

    (step,) = mistral_nb.chat_with_tools("read", tools=[read]).steps

    assert len(step.result) < 200


def test_the_answer_shows_its_text_and_its_steps(api: FakeApi) -> None:
    answer = mistral_nb.chat_with_tools("lookup_owner, id: 42", tools=[lookup_owner])

    assert str(answer) == "The tool says: Ada Lovelace"
    assert repr(answer) == '1. lookup_owner(id="42") → Ada Lovelace\nThe tool says: Ada Lovelace'


def test_what_is_shown_holds_nothing_that_a_terminal_would_obey(api: FakeApi) -> None:
    api.play(calls(asked_for("weather", {"city": "\x1b[2J"})), says("\x1b]0;title\x07\nDone."))

    shown = repr(mistral_nb.chat_with_tools("Hello", tools=[weather]))

    assert "\x1b" not in shown
    assert shown.endswith("\nDone.")
