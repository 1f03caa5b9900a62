import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.validator import MistralRequestValidatorV5, ValidationMode

from mistral_nb.completion import Completion, ToolCall
from mistral_nb.tools.call_messages import (
    assistant_message,
    joined_messages,
    sound_calls,
    tool_choice_field,
    tool_message,
)
from tests.fake_api.message_order import check_messages

ANYTHING = st.text(max_size=12)
TOOL_CALLS = st.lists(
    st.builds(
        ToolCall,
        id=ANYTHING | st.sampled_from(["aB3dE6gH9", "null"]),
        name=ANYTHING,
        arguments=ANYTHING | st.sampled_from(["{}", '{"a": 1}', "[1]", '{"a": NaN}', '{"a": "\\ud83d"}', "null"]),
    ),
    min_size=1,
    max_size=4,
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(deadline=None)
@given(TOOL_CALLS, TEXTS, TEXTS)
def test_whatever_a_model_wrote_the_conversation_is_accepted(asked: list[ToolCall], text: str, last: str) -> None:
    calls = sound_calls(asked, round_number=1)
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Hello"},
        assistant_message(Completion(text=text, model="m"), calls),
        *[tool_message(call.id, "done") for call in calls],
    ]
    check_messages(messages)
    # Mistral's own validator, of the requests of its servers.
    request = ChatCompletionRequest.model_validate({"model": "m", "messages": messages})
    MistralRequestValidatorV5(mode=ValidationMode.serving).validate_request(request)

    goes_on = [*messages, assistant_message(Completion(text=last, model="m")), {"role": "user", "content": "And?"}]
    check_messages(goes_on)
    json.dumps(goes_on, ensure_ascii=False, allow_nan=False).encode()


@settings(deadline=None)
@given(st.dictionaries(TEXTS, st.integers() | TEXTS | st.lists(st.booleans())))
def test_arguments_that_are_an_object_go_back_as_they_came(arguments: dict[str, Any]) -> None:
    (call,) = sound_calls([ToolCall(id="", name="f", arguments=json.dumps(arguments))], round_number=1)

    sent = assistant_message(Completion(text="", model="m"), [call])["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == call.arguments == arguments


def test_no_arguments_are_an_empty_object() -> None:
    assert sound_calls([ToolCall(id="", name="f", arguments="")], round_number=1)[0].arguments == {}


def test_a_chosen_function_may_be_given_as_the_api_writes_it() -> None:
    chosen = {"type": "function", "function": {"name": "weather"}}

    assert tool_choice_field(chosen, ["weather"]) == chosen


@pytest.mark.parametrize("choice", ["auto", None])
def test_auto_is_left_out(choice: str | None) -> None:
    assert tool_choice_field(choice, ["weather"]) is None


def test_a_system_message_comes_first() -> None:
    earlier = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]

    roles = [turn["role"] for turn in joined_messages(earlier, [{"role": "user", "content": "c"}], system="s")]
    assert roles == ["system", "user", "assistant", "user"]
