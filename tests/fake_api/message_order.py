"""Which lists of messages the API takes.

Keeps to itself: the rules of mistral-common's validator (tokenizer version 11, serving mode), checked in one pass
over plain dicts because pydantic copies of every message would cost more than the answer.
Promises: raises the `Rejection` the API sends, or nothing. Stricter than mistral-common 1.13 in two places, both
observed on api.mistral.ai: a user message may not follow a tool message, and an assistant message may not be empty.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fake_api import errors

_TOOL_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")
_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MAY_FOLLOW = {
    "system": {"user", "assistant", "system"},
    "user": {"assistant", "system", "user"},
    "assistant": {"assistant", "user", "tool"},
    "tool": {"assistant", "tool"},
}


def check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    """Raise the API's rejection of the first problem: order, then pairing of calls and results, then contents."""
    if not messages:
        raise errors.message_order("Conversation must have at least one message")
    if len(messages) == 1 and messages[0]["role"] not in {"user", "system"}:
        raise errors.message_order("Conversation must start with a user message or system message")
    last = messages[-1]
    if len(messages) > 1 and last["role"] == "assistant" and not last.get("prefix"):
        raise errors.message_order(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant"
        )
    _check_sequence(messages)
    _check_pairing(messages)
    for number, message in enumerate(messages, start=1):
        if message["role"] == "assistant":
            _check_assistant(message, is_last=number == len(messages))
        elif message["role"] == "tool":
            _check_tool_result(message)


def check_function_name(name: str) -> None:
    if not _FUNCTION_NAME.fullmatch(name):
        raise errors.invalid_request(
            f"Function name was {name} but must be a-z, A-Z, 0-9, "
            "or contain underscores and dashes, with a maximum length of 64."
        )


def _check_sequence(messages: Sequence[Mapping[str, Any]]) -> None:
    before = messages[0]["role"]
    for message in messages[1:]:
        role = message["role"]
        if role not in _MAY_FOLLOW[before]:
            raise errors.message_order(f"Unexpected role '{role}' after role '{before}'")
        before = role


def _check_pairing(messages: Sequence[Mapping[str, Any]]) -> None:
    """Check that each tool result belongs to a call of the assistant message before it, and that none is missing."""
    called: set[str] = set()
    answered: set[str] = set()
    for message in messages[1:]:
        if message["role"] == "tool":
            call_id = message.get("tool_call_id")
            if call_id in answered:
                raise errors.message_order(f"Duplicate tool call id {call_id} in tool results")
            if call_id not in called:
                raise errors.message_order(f"Unexpected tool call id {call_id} in tool results")
            answered.add(call_id)
        elif message["role"] == "assistant":
            if len(called) != len(answered):
                raise errors.message_order("Not the same number of function calls and responses")
            called, answered = _called_ids(message), set()
    if len(called) != len(answered):
        raise errors.message_order("Not the same number of function calls and responses")


def _called_ids(message: Mapping[str, Any]) -> set[str]:
    ids: set[str] = set()
    for call in message.get("tool_calls") or ():
        call_id = call.get("id", "null")
        if call_id in ids:
            raise errors.message_order(f"Duplicate tool call id {call_id} in assistant message")
        ids.add(call_id)
    return ids


def _check_assistant(message: Mapping[str, Any], *, is_last: bool) -> None:
    calls = message.get("tool_calls") or ()
    if not message.get("content") and not calls:
        raise errors.empty_assistant()
    for call in calls:
        _check_id(call.get("id", "null"))
        check_function_name(call["function"]["name"])
    if message.get("prefix") and not is_last:
        raise errors.invalid_request("Assistant message with prefix True must be last message")


def _check_tool_result(message: Mapping[str, Any]) -> None:
    if message.get("tool_call_id") is None:
        raise errors.invalid_request("Tool call id has to be defined.")
    _check_id(message["tool_call_id"])
    if message.get("name") is not None:
        check_function_name(message["name"])


def _check_id(call_id: str) -> None:
    if call_id == "null":
        raise errors.tool_call_id("Tool call id has to be defined in serving mode.")
    if not _TOOL_CALL_ID.fullmatch(call_id):
        raise errors.tool_call_id(f"Tool call id was {call_id} but must be a-z, A-Z, 0-9, with a length of 9.")
