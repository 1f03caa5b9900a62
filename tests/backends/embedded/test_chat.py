"""Mistral's request in llama.cpp's words, and llama.cpp's chunks as pieces of an answer."""

import asyncio
from typing import Any

import pytest

from mistral_nb.backends.embedded.api_requests import ChatRequest, FillInMiddleRequest
from mistral_nb.backends.embedded.chat import (
    AGAINST_LOOPS,
    DEFAULT_MAX_TOKENS,
    Piece,
    Usage,
    engine_request,
    fill_in_middle,
    flattened,
    plain_answer,
)
from tests.backends.embedded.conftest import collected
from tests.backends.embedded.scripted_engine import ScriptedEngine

USER = {"role": "user", "content": "Hi"}
CALL = {"id": "abcDEF123", "function": {"name": "weather", "arguments": '{"city": "Lyon"}'}}


def request(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": [USER]} | fields)


def answer(engine: ScriptedEngine, asked: ChatRequest) -> list[Piece]:
    return asyncio.run(collected(plain_answer(engine, asked)))  # type: ignore[arg-type]


class TestRequest:
    def test_the_apis_names_become_the_engines(self) -> None:
        words = engine_request(request(random_seed=5, repetition_penalty=1.1, stop="x", top_k=3, top_p=0.5))

        assert {name: words[name] for name in ("seed", "repeat_penalty", "stop", "top_k", "top_p")} == {
            "seed": 5,
            "repeat_penalty": 1.1,
            "stop": ["x"],
            "top_k": 3,
            "top_p": 0.5,
        }

    def test_temperature_zero_is_a_temperature(self) -> None:
        assert engine_request(request(temperature=0))["temperature"] == 0

    def test_an_answer_is_bounded_where_the_request_does_not_say(self) -> None:
        assert engine_request(request())["max_tokens"] == DEFAULT_MAX_TOKENS

    def test_what_was_not_asked_is_left_to_the_engine(self) -> None:
        assert engine_request(request()).keys() - AGAINST_LOOPS == {"messages", "temperature", "max_tokens"}

    def test_an_answer_that_must_keep_to_a_form_is_free_to_repeat(self) -> None:
        assert not engine_request(request(response_format={"type": "json_object"})).keys() & AGAINST_LOOPS

    def test_each_choice_has_a_seed_of_its_own(self) -> None:
        seeds = [engine_request(request(random_seed=2**32 - 2), choice_index=index)["seed"] for index in range(3)]

        assert seeds == [2**32 - 2, 0, 1]


class TestMessages:
    def test_a_tools_result_is_told_in_words(self) -> None:
        messages = request(
            messages=[
                USER,
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "content": "rain", "tool_call_id": "abcDEF123"},
            ]
        ).messages

        assert flattened(messages)[1:] == [
            {"role": "assistant", "content": 'Calling weather({"city": "Lyon"})'},
            {"role": "user", "content": "Result of weather: rain\nAnswer my question from this result."},
        ]

    def test_results_of_several_tools_are_one_message(self) -> None:
        result = {"role": "tool", "name": "f", "content": "1"}

        assert [message["role"] for message in flattened(request(messages=[USER, result, result]).messages)] == ["user"]

    def test_thinking_is_not_told(self) -> None:
        content = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hi"}]

        assert flattened(request(messages=[{"role": "assistant", "content": content}, USER]).messages)[0] == {
            "role": "assistant",
            "content": "Hi",
        }


class TestAnswer:
    def test_the_first_piece_says_that_the_request_was_accepted(self) -> None:
        assert answer(ScriptedEngine(["Hello"]), request())[0] == Piece()

    def test_the_last_piece_has_reason_and_usage(self) -> None:
        assert answer(ScriptedEngine(["Hel", "lo"]), request())[-1] == Piece(
            finish_reason="stop", usage=Usage(prompt_tokens=10, completion_tokens=2)
        )

    @pytest.mark.parametrize(("max_tokens", "reason"), [(2, "length"), (3, "model_length")])
    def test_a_full_window_is_told_from_a_reached_bound(self, max_tokens: int, reason: str) -> None:
        pieces = answer(ScriptedEngine(["Hel", "lo"], reason="length"), request(max_tokens=max_tokens))

        assert pieces[-1].finish_reason == reason

    def test_an_answer_begins_with_its_prefix(self) -> None:
        begun = {"role": "assistant", "content": "Once", "prefix": True}
        pieces = answer(ScriptedEngine([" upon"]), request(messages=[USER, begun]))

        assert "".join(piece.text for piece in pieces) == "Once upon"


class TestFillInMiddle:
    def words(self, **fields: Any) -> dict[str, Any]:
        engine = ScriptedEngine([{"choices": [{"index": 0, "text": "b"}]}])
        asked = FillInMiddleRequest.model_validate({"model": "m", "prompt": "a"} | fields)
        pieces = asyncio.run(collected(fill_in_middle(engine, asked)))  # type: ignore[arg-type]
        assert "".join(piece.text for piece in pieces) == "b"
        return engine.requests[0]

    def test_prompt_and_suffix_are_marked(self) -> None:
        assert self.words(suffix="c")["prompt"] == "<|fim_prefix|>a<|fim_suffix|>c<|fim_middle|>"

    def test_without_a_suffix_the_prompt_is_continued(self) -> None:
        assert self.words()["prompt"] == "a"

    def test_sampling_is_passed_on(self) -> None:
        words = self.words(top_p=0.5, random_seed=3, stop=["x"], temperature=0.2)

        assert (words["top_p"], words["seed"], words["temperature"], words["stop"][-1]) == (0.5, 3, 0.2, "x")
