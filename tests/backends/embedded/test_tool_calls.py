"""Tool calls from constrained steps, and from whatever form a model writes them in."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.backends.embedded import tool_calls
from mistral_nb.backends.embedded.api_requests import ApiProblem, ChatRequest
from mistral_nb.backends.embedded.chat import Piece, Usage
from mistral_nb.backends.embedded.tool_calls import find_call
from tests.backends.embedded.conftest import collected
from tests.backends.embedded.scripted_engine import ScriptedEngine

USER = {"role": "user", "content": "What is the weather in Lyon?"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}


def tool(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "description": f"The {name}", "parameters": parameters or {}},
    }


def request(**fields: Any) -> ChatRequest:
    tools = [tool("weather", CITY), tool("clock")]
    return ChatRequest.model_validate({"model": "m", "messages": [USER], "tools": tools} | fields)


def answer(engine: ScriptedEngine, asked: ChatRequest) -> list[Piece]:
    pieces: AsyncGenerator[Piece] = tool_calls.answer(engine, asked)  # type: ignore[arg-type]
    return asyncio.run(collected(pieces))


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def calls_of(pieces: list[Piece]) -> list[tuple[str, Any]]:
    found = [piece.tool_call["function"] for piece in pieces if piece.tool_call]
    return [(function["name"], json.loads(function["arguments"])) for function in found]


class TestSteps:
    def test_a_demanded_call_asks_for_the_function_then_for_its_arguments(self) -> None:
        engine = ScriptedEngine(['{"function": "weather"}'], ['{"city": ', '"Lyon"}'])
        pieces = answer(engine, request(tool_choice="any"))

        assert calls_of(pieces) == [("weather", {"city": "Lyon"})]
        assert pieces[-1].finish_reason == "tool_calls"

    def test_all_steps_are_counted(self) -> None:
        engine = ScriptedEngine(['{"function": "weather"}'], ['{"city": ', '"Lyon"}'])

        assert answer(engine, request(tool_choice="any"))[-1].usage == Usage(prompt_tokens=20, completion_tokens=3)

    def test_a_named_function_needs_one_step(self) -> None:
        engine = ScriptedEngine(['{"city": "Lyon"}'])
        answer(engine, request(tool_choice={"type": "function", "function": {"name": "weather"}}))

        assert len(engine.requests) == 1

    def test_arguments_are_held_to_the_functions_schema_and_come_to_an_end(self) -> None:
        engine = ScriptedEngine(['{"city": "Lyon"}'])
        answer(engine, request(tools=[tool("weather", CITY)], tool_choice="required"))
        schema = engine.requests[0]["response_format"]["json_schema"]["schema"]

        assert schema["properties"] == {"city": {"type": "string", "maxLength": tool_calls.ARGUMENT_CHARACTERS}}
        assert (schema["required"], schema["additionalProperties"]) == (["city"], False)

    def test_arguments_without_an_end_are_handed_over_as_cut_off(self) -> None:
        engine = ScriptedEngine(['{"city": "Lyo'])
        pieces = answer(engine, request(tools=[tool("weather", CITY)], tool_choice="required"))

        assert pieces[-1].finish_reason == "length"
        assert pieces[-1].tool_call is not None
        assert pieces[-1].tool_call["function"]["arguments"] == '{"city": "Lyo'

    def test_a_name_without_an_end_calls_the_first_function(self) -> None:
        engine = ScriptedEngine(['{"function": "wea'], ['{"city": "Lyon"}'])

        assert calls_of(answer(engine, request(tool_choice="any"))) == [("weather", {"city": "Lyon"})]

    def test_auto_without_a_template_for_tools_may_choose_none(self) -> None:
        engine = ScriptedEngine(['{"function": "none"}'], ["Hello", " there"])
        pieces = answer(engine, request())

        assert (text_of(pieces), calls_of(pieces)) == ("Hello there", [])
        assert pieces[-1].usage == Usage(prompt_tokens=20, completion_tokens=3)

    def test_auto_without_a_template_for_tools_calls_what_it_chose(self) -> None:
        engine = ScriptedEngine(['{"function": "clock"}'])

        assert calls_of(answer(engine, request())) == [("clock", {})]

    def test_without_tools_nothing_is_asked(self) -> None:
        engine = ScriptedEngine(["Hello"])

        assert text_of(answer(engine, request(tools=None))) == "Hello"

    def test_with_none_the_tools_are_not_offered(self) -> None:
        engine = ScriptedEngine(["Hello"], tool_template=True)
        answer(engine, request(tool_choice="none"))

        assert "tools" not in engine.requests[0]

    @pytest.mark.parametrize(
        "fields",
        [{"tools": None, "tool_choice": "any"}, {"tool_choice": {"type": "function", "function": {"name": "other"}}}],
    )
    def test_a_demand_that_can_not_be_met_is_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(ApiProblem):
            answer(ScriptedEngine(), request(**fields))


class TestTemplate:
    def test_a_call_in_the_models_own_words_is_found(self) -> None:
        engine = ScriptedEngine(
            ["```json\n", '{"name": "weather", ', '"arguments": {"city": "Lyon"}}', "\n```"], tool_template=True
        )
        pieces = answer(engine, request())

        assert (text_of(pieces), calls_of(pieces)) == ("", [("weather", {"city": "Lyon"})])
        assert [tool["function"]["name"] for tool in engine.requests[0]["tools"]] == ["weather", "clock"]

    def test_a_call_that_the_engine_reads_itself_is_taken(self) -> None:
        def chunk(**function: str) -> dict[str, Any]:
            return {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": function}]}}]}

        engine = ScriptedEngine(
            [chunk(name="weather", arguments=""), chunk(arguments='{"city":'), chunk(arguments='"Lyon"}')],
            tool_template=True,
        )

        assert calls_of(answer(engine, request())) == [("weather", {"city": "Lyon"})]

    def test_text_is_shown_as_it_comes(self) -> None:
        pieces = answer(ScriptedEngine(["It ", "rains."], tool_template=True), request())

        assert [piece.text for piece in pieces if piece.text] == ["It ", "rains."]

    def test_text_that_looked_like_a_call_is_shown_in_the_end(self) -> None:
        pieces = answer(ScriptedEngine(["Use ", '{"a": 1}', " here."], tool_template=True), request())

        assert text_of(pieces) == 'Use {"a": 1} here.'
        assert pieces[-1].finish_reason == "stop"

    def test_a_call_in_the_words_that_tell_earlier_calls_is_taken(self) -> None:
        engine = ScriptedEngine(["Calling", " weather(", '{"city": "Lyon"}', ")"], tool_template=True)
        pieces = answer(engine, request())

        assert (text_of(pieces), calls_of(pieces)) == ("", [("weather", {"city": "Lyon"})])

    @pytest.mark.parametrize(
        "again",
        [
            '{"name": "weather", "arguments": {"city": "Lyon"}}',
            '{"name": "weather", "arguments": {"city": "Lyon", "weather": "rain"}}',
            'Calling weather({"city": "Lyon"})',
        ],
        ids=["the same", "with its result", "told"],
    )
    def test_a_call_that_was_made_before_is_answered_from_its_result(self, again: str) -> None:
        made = {"id": "abcDEF123", "function": {"name": "weather", "arguments": '{"city": "Lyon"}'}}
        messages = [
            USER,
            {"role": "assistant", "tool_calls": [made]},
            {"role": "tool", "content": "rain", "tool_call_id": "abcDEF123"},
        ]
        engine = ScriptedEngine([again], ["It rains."], tool_template=True)
        pieces = answer(engine, request(messages=messages))

        assert (text_of(pieces), calls_of(pieces)) == ("It rains.", [])
        assert pieces[-1].usage.prompt_tokens == 20

    def test_an_answer_that_has_a_schema_is_asked_for_in_steps(self) -> None:
        response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
        engine = ScriptedEngine(['{"function": "none"}'], ["{}"], tool_template=True)

        assert text_of(answer(engine, request(response_format=response_format))) == "{}"


class TestFindCall:
    @pytest.mark.parametrize(
        "text",
        [
            '{"name": "f", "arguments": {"a": 1}}',
            'Sure:\n```json\n{"name": "f", "arguments": {"a": 1}}\n```',
            '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>',
            '{"name": "f", "arguments": "{\\"a\\": 1}"}',
            '{"name": "f", "parameters": {"a": 1}}',
            'Calling f({"a": 1})',
            '{broken {"x": 2} {"name": "f", "arguments": {"a": 1}}',
        ],
    )
    def test_a_call_is_found_in_every_dress(self, text: str) -> None:
        assert find_call(text, {"f"}) == ("f", {"a": 1})

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "no call",
            '{"name": "g", "arguments": {}}',
            '{"name": "f", "arguments": [1]}',
            '{"name": "f", "arguments": "not json"}',
            '{"name": ["f"], "arguments": {}}',
            '{"name": "f", "argum',
            'Calling g({"a": 1})',
            "{" * 3000,
        ],
    )
    def test_what_is_no_call_is_none(self, text: str) -> None:
        assert find_call(text, {"f"}) is None

    @given(st.text(max_size=200))
    def test_no_text_breaks_it(self, text: str) -> None:
        assert find_call(text, {"f"}) is None or '"f"' in text or "Calling f(" in text

    @given(st.text(max_size=30), st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=3))
    def test_a_call_behind_any_prose_is_found(self, prose: str, arguments: dict[str, Any]) -> None:
        written = json.dumps({"name": "f", "arguments": arguments})

        assert find_call(prose.replace("{", "(") + written, {"f"}) == ("f", arguments)
