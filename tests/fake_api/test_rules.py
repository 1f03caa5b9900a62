"""The answers a test may count on: tokens, text, schemas, tools, vectors, categories."""

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from tests.fake_api import rules, wire
from tests.fake_api.schema_rules import Row, fill, rows_in
from tests.fake_api.wire import Answer, Choice

Json = dict[str, Any]


def asked(text: str, **more: Any) -> Json:
    return {"model": "any", "messages": [{"role": "user", "content": text}], **more}


def said(body: Json, tokens_left: int = 10_000) -> Choice:
    return rules.chat_choices(body, tokens_left=tokens_left)[0]


def test_four_characters_are_a_token() -> None:
    assert [rules.count_tokens(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]


def test_a_plain_answer_quotes_the_first_twelve_words() -> None:
    text = " ".join(map(str, range(20)))

    assert said(asked(text)).text == "Answer to: 0 1 2 3 4 5 6 7 8 9 10 11"


def test_max_tokens_cuts_the_answer_to_exactly_so_many_tokens() -> None:
    choice = said(asked("a question that goes on", max_tokens=3))

    assert (choice.finish_reason, rules.completion_tokens([choice])) == ("length", 3)


def test_a_full_context_window_is_its_own_finish_reason() -> None:
    assert said(asked("a question that goes on", max_tokens=9), tokens_left=3).finish_reason == "model_length"


def test_thinking_is_paid_for_before_the_answer() -> None:
    choice = said(asked("why", reasoning_effort="high", max_tokens=2))

    assert (choice.thinking, choice.text) == ("Thinking", "")


def test_a_stop_text_ends_the_answer_before_it() -> None:
    assert said(asked("one two three", stop=["two"])).text == "Answer to: one "


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I was POSITIVE about it", "positive"),
        ("Labels: positive, negative. Text: what a negative day", "negative"),
        ("this is a positive feedback", "positive feedback"),
    ],
)
def test_the_enum_value_in_the_text_is_the_label(text: str, label: str) -> None:
    assert fill({"enum": ["negative", "positive", "positive feedback"]}, text) == label


def test_without_an_enum_value_in_the_text_one_is_chosen_for_good() -> None:
    schema = {"enum": ["a-label", "b-label", "c-label"]}

    assert {fill(schema, "no hint") for _ in range(5)} < {"a-label", "b-label", "c-label"}


def test_what_the_text_tells_is_what_the_schema_gets() -> None:
    class Person(BaseModel):
        full_name: str
        age: int
        is_member: bool

    text = "full name: Ada Lovelace; age: 36; is_member: yes"

    assert fill(Person.model_json_schema(), text) == {"full_name": "Ada Lovelace", "age": 36, "is_member": True}


def test_a_nullable_field_is_null_unless_the_text_tells_it() -> None:
    class Order(BaseModel):
        price: float | None
        city: str | None

    assert fill(Order.model_json_schema(), "price: 12.5 and nothing else") == {"price": 12.5, "city": None}


class Tag(BaseModel):
    kind: Literal["new", "used"]
    score: float = Field(ge=0, le=1)
    children: list["Tag"] = Field(default_factory=list, max_length=2)


class Everything(BaseModel):
    title: str = Field(min_length=3, max_length=20)
    count: int = Field(gt=2, lt=9)
    tags: list[Tag] = Field(min_length=2, max_length=4)
    flags: list[Literal["x1", "x2", "x3"]] = Field(min_length=2)
    day: str = Field(json_schema_extra={"format": "date"})
    code: str = Field(pattern=r"^[A-Z]{2}-\d+$")
    other: Tag | None
    fixed: Literal["only"]
    either: int | str


@given(st.text())
def test_any_text_fills_a_schema_with_a_valid_value(text: str) -> None:
    value = fill(Everything.model_json_schema(), f"AB-12 {text}")

    assert Everything.model_validate(value)


@pytest.mark.parametrize(
    "text",
    [
        'Label these.\n<row id="r1">so good</row>\n<row id="r2">so\nbad</row>',
        'Label these.\n[{"id": "r1", "text": "so good"}, {"id": "r2", "text": "so\\nbad"}]',
        'Label these.\n{"id": "r1", "text": "so good"}\n{"id": "r2", "text": "so\\nbad"}',
        "Label these.\n[r1] so good\n[r2] so\nbad",
    ],
)
def test_packed_rows_are_found_however_they_are_written(text: str) -> None:
    assert rows_in(text) == [Row("r1", "so good"), Row("r2", "so\nbad")]


def test_each_packed_row_is_answered_from_its_own_text() -> None:
    class Label(BaseModel):
        id: int
        label: Literal["good", "bad"]

    class Labels(BaseModel):
        rows: list[Label]

    text = 'good or bad?\n<row id="1">bad soup</row><row id="2">good bread</row>'

    assert fill(Labels.model_json_schema(), text) == {"rows": [{"id": 1, "label": "bad"}, {"id": 2, "label": "good"}]}


def test_a_request_has_as_many_rows_as_were_packed_into_it() -> None:
    text = "[1] a\n[2] b\n[3] c"

    assert rules.row_count(asked(text, response_format={"type": "json_object"})) == 3


def tool(name: str) -> Json:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


@pytest.mark.parametrize(
    ("text", "choice", "names"),
    [
        ("what weather, city: Oslo", "auto", ["weather"]),
        ("weather and news, please", "auto", ["weather", "news"]),
        ("hello", "auto", []),
        ("hello", "any", ["weather"]),
        ("the news", "required", ["news"]),
        ("the weather", "none", []),
        ("the weather", {"type": "function", "function": {"name": "news"}}, ["news"]),
    ],
)
def test_the_tools_that_are_called_follow_from_choice_and_text(text: str, choice: Any, names: list[str]) -> None:
    body = asked(text, tools=[tool("weather"), tool("news")], tool_choice=choice)

    assert [call["function"]["name"] for call in said(body).tool_calls] == names


def test_without_parallel_calls_only_one_tool_is_called() -> None:
    body = asked("weather and news", tools=[tool("weather"), tool("news")], parallel_tool_calls=False)

    assert len(said(body).tool_calls) == 1


def test_tool_arguments_are_told_by_the_text() -> None:
    body = asked("weather, city: Oslo", tools=[tool("weather")])

    assert json.loads(said(body).tool_calls[0]["function"]["arguments"]) == {"city": "Oslo"}


@given(st.text())
def test_tool_call_ids_are_nine_letters_and_digits(seed: str) -> None:
    call_id = rules.tool_call_id(seed)

    assert len(call_id) == 9
    assert call_id.isascii()
    assert call_id.isalnum()


def similarity(first: str, second: str) -> float:
    return sum(a * b for a, b in zip(rules.embed(first, 256), rules.embed(second, 256), strict=True))


@given(st.text())
def test_embeddings_have_length_one(text: str) -> None:
    assert similarity(text, text) == pytest.approx(1)


def test_texts_that_share_words_are_more_similar() -> None:
    text = "the river floods the old town"

    assert similarity(text, "the old town and the river") > similarity(text, "stocks fell in heavy trading")


def test_a_flagging_word_flags_its_category_only() -> None:
    categories = rules.moderate("They attack at dawn")["categories"]

    assert [name for name, is_flagged in categories.items() if is_flagged] == ["violence_and_threats"]


def streamed(answer: Answer, *, is_tool_call_split: bool = False) -> list[Json]:
    return list(wire.stream_chunks(answer, is_tool_call_split=is_tool_call_split))


@given(st.text())
def test_the_deltas_of_a_stream_add_up_to_the_text(text: str) -> None:
    answer = Answer(model="any", choices=(Choice(text=text),), prompt_tokens=1, completion_tokens=1)

    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in streamed(answer)) == text


def test_only_the_last_chunk_has_the_usage_and_every_chunk_has_one_choice() -> None:
    choices = (Choice(text="one two three"), Choice(text="four"))
    chunks = streamed(Answer(model="any", choices=choices, prompt_tokens=1, completion_tokens=5))

    assert ["usage" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {len(chunk["choices"]) for chunk in chunks} == {1}


def test_a_split_tool_call_adds_up_to_the_whole_one() -> None:
    choice = said(asked("weather, city: Oslo upon the fjord", tools=[tool("weather")]))
    answer = Answer(model="any", choices=(choice,), prompt_tokens=1, completion_tokens=1)
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed(answer, is_tool_call_split=True)]
    pieces = [call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", ())]

    assert "".join(pieces) == choice.tool_calls[0]["function"]["arguments"]
    assert len(pieces) > 2
