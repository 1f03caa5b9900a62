"""The order check is as strict as Mistral's own validator, and stricter only where the API was seen to be."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fake_api.errors import Rejection
from tests.fake_api.message_order import check_messages

Message = dict[str, Any]


def called(*ids: str, name: str = "look_up") -> Message:
    calls = [{"id": each, "type": "function", "function": {"name": name, "arguments": "{}"}} for each in ids]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def result(call_id: str | None, name: str = "look_up") -> Message:
    return {"role": "tool", "content": "found", "tool_call_id": call_id, "name": name}


SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Hello"}
SAID = {"role": "assistant", "content": "Hi"}
PREFIX = {"role": "assistant", "content": "Well,", "prefix": True}
ONE, TWO = "aaaaaaaa1", "bbbbbbbb2"
WORDS = [SYSTEM, USER, SAID, PREFIX, called(ONE), called(ONE, TWO), result(ONE), result(TWO)]
ODD = [
    [USER, called("short"), result("short")],
    [USER, called("call_0123456789"), result("call_0123456789")],
    [USER, called("with-dash"), result("with-dash")],
    [USER, called("null"), result("null")],
    [USER, called(ONE, ONE), result(ONE)],
    [USER, called(ONE), result(None)],
    [USER, called(ONE), result(ONE), result(ONE)],
    [USER, called(ONE, name="no spaces please"), result(ONE)],
    [USER, called(ONE, name="x" * 65), result(ONE)],
    [USER, called(ONE), result(ONE, name="é")],
    [],
]


def conversations() -> Iterator[list[Message]]:
    for length in range(1, 5):
        yield from map(list, itertools.product(WORDS, repeat=length))
    yield from ODD


def rejection_code(messages: list[Message]) -> str | None:
    """Return the code the fake API answers with; None when it accepts, "" for a 400 without a code."""
    try:
        check_messages(messages)
    except Rejection as rejection:
        return rejection.body["code"] or ""
    return None


def is_user_after_tool(messages: list[Message]) -> bool:
    return any(first["role"] == "tool" and then["role"] == "user" for first, then in itertools.pairwise(messages))


def test_the_verdict_is_that_of_mistral_common_but_for_a_user_message_after_a_tool_message() -> None:
    exceptions = pytest.importorskip("mistral_common.exceptions")
    request = pytest.importorskip("mistral_common.protocol.instruct.request")
    validator_module = pytest.importorskip("mistral_common.protocol.instruct.validator")
    validator = validator_module.MistralRequestValidatorV11(validator_module.ValidationMode.serving)

    def accepts(messages: list[Message]) -> bool:
        try:
            parsed = request.ChatCompletionRequest(model="any", messages=messages)
            validator.validate_messages(parsed.messages)
        except exceptions.MistralCommonException:
            return False
        return True

    different = [
        messages
        for messages in conversations()
        if not is_user_after_tool(messages) and accepts(messages) != (rejection_code(messages) is None)
    ]

    assert different == []


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([USER, called(ONE), result(ONE), USER], "3230"),
        ([USER, SAID], "3230"),
        ([SAID], "3230"),
        ([USER, called(ONE), USER], "3230"),
        ([], "3230"),
        ([USER, called("call_0fypS1hVX"), result("call_0fypS1hVX")], "3280"),
        ([USER, {"role": "assistant", "content": ""}, USER], "3240"),
        ([USER, PREFIX], None),
        ([SYSTEM, USER, called(ONE, TWO), result(TWO), result(ONE)], None),
    ],
)
def test_each_mistake_has_the_code_of_the_api(messages: list[Message], code: str | None) -> None:
    assert rejection_code(messages) == code
