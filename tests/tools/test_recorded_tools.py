"""Recorded conversations with tools, had again: the recorded answers come from a server on loopback, and what is sent back is
compared with what the recorded client sent back.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import mistral_nb
from tests.fake_api import FakeApi, Fault
from tests.fake_api.message_order import check_messages
from tests.test_wire import WIRE, CassetteLoader, bare
from tests.tools.said import says

pytestmark = pytest.mark.skipif(not WIRE.is_dir(), reason="the recordings (../shared/wire) are not here")

TYPES: dict[str | None, Any] = {"string": str, "array": list[str]}
BARE = [
    "prism-php__prism/tests/Fixtures/mistral/stream-with-tools-1-1.sse",
    "prism-php__prism/tests/Fixtures/mistral/generate-text-with-multiple-tools-1.json",
    "prism-php__prism/tests/Fixtures/mistral/generate-text-with-required-tool-call-1.json",
    "vercel__ai/packages/mistral/src/__fixtures__/mistral-tool-call.json",
    "vercel__ai/packages/mistral/src/__fixtures__/mistral-tool-call.chunks.txt",
    "vercel__ai/packages/mistral/src/__fixtures__/mistral-incremental-tool-call.chunks.txt",
]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Requests and answers, from a question to the answer (or to where the recording ends)."""

    file: Path
    number: int
    requests: tuple[dict[str, Any], ...]
    answers: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"{self.file.stem.partition('mistral-small-latest_')[2]}-{self.number}"


def conversations() -> Iterator[Conversation]:
    for file in sorted((WIRE / "crmne__ruby_llm").rglob("*.yml")):
        content = yaml.load(file.read_bytes(), Loader=CassetteLoader)
        asked: list[list[tuple[dict[str, Any], Fault]]] = []
        for interaction in content["http_interactions"]:
            if not interaction["request"]["uri"].endswith("/v1/chat/completions"):
                continue
            body = json.loads(interaction["request"]["body"]["string"])
            if not body.get("tools"):
                continue
            if [message["role"] for message in body["messages"][-2:]] != ["tool", "user"] and (
                body["messages"][-1]["role"] == "user"
            ):
                asked.append([])
            response = interaction["response"]
            content_type = next(
                values[0] for name, values in response["headers"].items() if name.lower() == "content-type"
            )
            text = response["body"]["string"]
            text = text.decode() if isinstance(text, bytes) else text
            asked[-1].append((body, Fault(body=text, headers={"content-type": content_type})))
        for number, exchanges in enumerate(asked):
            yield Conversation(
                file, number, tuple(body for body, _ in exchanges), tuple(answer for _, answer in exchanges)
            )


def tools_like(definitions: list[dict[str, Any]], results: dict[str, list[str]]) -> list[mistral_nb.Tool]:
    """Return tools with the recorded definitions, which give the recorded results one after the other."""
    return [tool_like(definition["function"], results[definition["function"]["name"]]) for definition in definitions]


def tool_like(function: dict[str, Any], results: list[str]) -> mistral_nb.Tool:
    properties = function["parameters"].get("properties", {})
    names: dict[str, Any] = {"results": iter(results)}
    exec(f"def {function['name']}({', '.join(properties)}): return next(results, 'no result was recorded')", names)
    made = names[function["name"]]
    made.__doc__ = function["description"]
    made.__annotations__ = {name: TYPES.get(entry.get("type"), Any) for name, entry in properties.items()}
    return mistral_nb.Tool.of(made)


def recorded_results(conversation: Conversation) -> dict[str, list[str]]:
    results: dict[str, list[str]] = defaultdict(list)
    last = conversation.requests[-1]["messages"][len(conversation.requests[0]["messages"]) :]
    names = {call["id"]: call["function"]["name"] for message in last for call in message.get("tool_calls") or ()}
    for message in last:
        if message["role"] == "tool":
            results[names[message["tool_call_id"]]].append(message["content"])
    return results


def shape(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as it is compared: arguments parsed, results apart (they come in the order in which threads run), and
    without what the SDK adds by itself.
    """
    calls = [
        {
            "id": call["id"],
            "type": call["type"],
            "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])},
        }
        for call in message.get("tool_calls") or ()
    ]
    kept = {name: value for name, value in message.items() if name not in {"tool_calls", "prefix"}}
    if message["role"] == "tool":
        del kept["content"]
    return {**kept, **({"tool_calls": calls} if calls else {})}


def results_of(messages: list[dict[str, Any]]) -> list[str]:
    return sorted(message["content"] for message in messages if message["role"] == "tool")


RECORDED = list(conversations()) if WIRE.is_dir() else []


@pytest.mark.parametrize("conversation", RECORDED, ids=str)
def test_the_loop_sends_what_the_recorded_client_sent(api: FakeApi, conversation: Conversation) -> None:
    first, *later = conversation.requests
    api.play(*conversation.answers, says("The recording ends here."))
    options = first.keys() - {"model", "messages", "stream", "tools", "tool_choice"}

    mistral_nb.chat_with_tools(
        first["messages"][-1:],
        tools_like(first["tools"], recorded_results(conversation)),
        model=first["model"],
        messages=first["messages"][:-1],
        tool_choice=first.get("tool_choice", "auto"),
        **{name: first[name] for name in options},
    )

    bodies = [request.body or {} for request in api.requests]
    for sent, recorded in zip(bodies, [first, *later], strict=False):
        check_messages(sent["messages"])
        # Two recorded clients put a user message with an attachment behind the results; the loop has none.
        in_both = recorded["messages"][: len(sent["messages"])]
        assert [shape(message) for message in sent["messages"]] == [shape(message) for message in in_both]
        assert results_of(sent["messages"]) == results_of(in_both)
        assert sent.get("tool_choice") == recorded.get("tool_choice")
        assert [tool["function"]["name"] for tool in sent["tools"]] == [
            tool["function"]["name"] for tool in recorded["tools"]
        ]


def test_every_kind_of_conversation_is_among_the_recordings() -> None:
    calls = [conversation.requests[-1]["messages"] for conversation in RECORDED]
    most_parallel = max(len(message.get("tool_calls") or ()) for messages in calls for message in messages)

    assert len(RECORDED) >= 15
    assert most_parallel == 3
    assert any(request["stream"] for conversation in RECORDED for request in conversation.requests)


@pytest.mark.parametrize("name", BARE, ids=lambda name: Path(name).name)
def test_recorded_calls_are_made_and_answered(api: FakeApi, name: str) -> None:
    recording = bare(WIRE / name)
    api.play(
        Fault(body=recording.body.decode(), headers={"content-type": recording.headers["content-type"]}),
        says("Done."),
    )

    def search(query: str) -> str:
        return query

    def weather(city: str = "", location: str = "") -> str:
        return city or location

    def other(query: str = "", location: str = "") -> str:
        return query or location

    tools = [mistral_nb.Tool.of(search), mistral_nb.Tool.of(weather)]
    tools += [mistral_nb.Tool.of(mistral_nb.tool(name=one)(other)) for one in ("webSearchTool", "weatherTool")]
    answer = mistral_nb.chat_with_tools("What is the weather?", tools=tools)

    assert answer.text == "Done."
    assert answer.steps
    check_messages((api.requests[-1].body or {})["messages"])
