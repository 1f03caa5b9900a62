"""Tools, the answers that a test has the model give, and what was sent to it."""

import json
from typing import Any

import mistral_nb
from tests.fake_api import FakeApi, Fault

OWNERS = {"42": "Ada Lovelace"}


@mistral_nb.tool
def lookup_owner(id: str) -> str:  # noqa: A002  # the requirement's own example
    """Return the account owner."""
    return OWNERS[id]


def weather(city: str) -> dict[str, Any]:
    """Tell the weather."""
    return {"city": city, "degrees": 15}


def asked_for(name: str, arguments: Any = None, *, call_id: str = "") -> dict[str, Any]:
    """Return a call as a model writes it; arguments that are text are sent as they are."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def says(text: str = "", *calls: dict[str, Any], **fields: Any) -> Fault:
    """Return the fault that lets the model say this, and ask for these calls."""
    reason = "tool_calls" if calls else "stop"
    message = {"role": "assistant", "content": text, "tool_calls": list(calls) or None}
    return Fault(
        body={
            "id": "answer",
            "object": "chat.completion",
            "model": "mistral-small-latest",
            "created": 1,
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            "choices": [{"index": 0, "finish_reason": reason, "message": message}],
        },
        **fields,
    )


def calls(*asked: dict[str, Any]) -> Fault:
    """Return the fault that lets the model ask for these calls, each with an id of its own unless it has one."""
    return says("", *({**call, "id": call["id"] or f"call{number:05}"} for number, call in enumerate(asked)))


def sent(api: FakeApi, number: int = -1) -> list[dict[str, Any]]:
    """Return the messages of a request."""
    messages: list[dict[str, Any]] = (api.requests[number].body or {})["messages"]
    return messages


def tool_texts(api: FakeApi) -> list[str]:
    return [message["content"] for message in sent(api) if message["role"] == "tool"]
