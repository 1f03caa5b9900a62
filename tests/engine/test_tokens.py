"""Counts, estimates and bounds of tokens; the recorded counts are the API's own."""

import csv
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mistral_nb.completion import CompletionRequest
from mistral_nb.engine import tokens
from mistral_nb.engine.tokens import TokenCounter, estimated_tokens, most_tokens, token_counter

TICKETS = Path(__file__).parent.parent.parent / "data" / "tickets.csv"
SMALL = "mistral-small-latest"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Gets current weather for a location",
        "parameters": {
            "type": "object",
            "properties": {
                "latitude": {"type": "string", "description": "Latitude (e.g., 52.5200)"},
                "longitude": {"type": "string", "description": "Longitude (e.g., 13.4050)"},
            },
            "required": ["latitude", "longitude"],
            "additionalProperties": False,
            "strict": True,
        },
    },
}
PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "response",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
FRANCE = {"role": "user", "content": "What is the capital of France?"}
BERLIN = {"role": "user", "content": "What's the weather in Berlin? (52.5200, 13.4050)"}
ROME = {"role": "user", "content": "When was the fall of Rome?"}
BOB = {"role": "user", "content": "Generate a person named Bob"}
TWELVE = {"role": "user", "content": "What is 12 * 12? Answer with just the number."}
PHRASE = {
    "role": "system",
    "content": 'You must include the exact phrase "XKCD7392" somewhere in your response.',
}
ANSWERED = (
    BOB,
    {"role": "assistant", "content": '{"name": "Bob", "age": 30}'},
    {"role": "user", "content": "Now just tell me about Ruby"},
)
# usage.prompt_tokens of mistral-small-latest, 2026-08-19, in the recorded traffic of crmne/ruby_llm (MIT).
RECORDED: list[tuple[str, int, dict[str, Any]]] = [
    ("one question", 22, {"messages": (FRANCE,)}),
    ("a system prompt", 43, {"messages": (PHRASE, {"role": "user", "content": "Tell me about the weather."})}),
    ("several turns", 42, {"messages": ANSWERED}),
    ("tools", 159, {"messages": (BERLIN,), "tools": (WEATHER,)}),
    ("tools that may not be called", 40, {"messages": (BERLIN,), "tools": (WEATHER,), "tool_choice": "none"}),
    (
        "a tool that must be called",
        144,
        {
            "messages": (ROME,),
            "tools": (WEATHER,),
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
        },
    ),
    ("a schema", 8, {"messages": (BOB,), "response_format": PERSON}),
    ("reasoning", 31, {"messages": (TWELVE,), "options": {"reasoning_effort": "high"}}),
]


def request(*messages: Any, **more: Any) -> CompletionRequest:
    asked = {"messages": messages, **more} if messages else more
    return CompletionRequest(model=SMALL, **asked)


def user(text: str, **more: Any) -> CompletionRequest:
    return request({"role": "user", "content": text}, **more)


@pytest.fixture(scope="module")
def exact() -> TokenCounter:
    pytest.importorskip("mistral_common")
    return token_counter("ministral-8b-latest")


@pytest.fixture(scope="module")
def small() -> TokenCounter:
    pytest.importorskip("mistral_common")
    return token_counter(SMALL)


@pytest.fixture(scope="module")
def estimate() -> TokenCounter:
    return token_counter("local-small")


@pytest.fixture(scope="module")
def tickets() -> list[str]:
    with TICKETS.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file) if row["text"].strip()]


@pytest.mark.parametrize(
    ("counted", "asked"), [case[1:] for case in RECORDED], ids=[name.replace(" ", "-") for name, _, _ in RECORDED]
)
def test_the_count_is_what_the_api_reported(small: TokenCounter, counted: int, asked: dict[str, Any]) -> None:
    assert small.prompt_tokens(request(**asked)) == counted


@pytest.mark.parametrize(
    "asked", [case[2] for case in RECORDED], ids=[name.replace(" ", "-") for name, _, _ in RECORDED]
)
def test_the_bound_is_never_below_what_the_api_reported(small: TokenCounter, asked: dict[str, Any]) -> None:
    counted = small.prompt_tokens(request(**asked))

    assert counted <= small.most_prompt_tokens(request(**asked))
    assert counted <= token_counter("codestral-latest").most_prompt_tokens(request(**asked))


@given(text=st.text(min_size=1))
@settings(deadline=None, max_examples=200)
def test_no_text_has_more_tokens_than_the_bound(exact: TokenCounter, text: str) -> None:
    assert exact.text_tokens(text) <= most_tokens(text)


@given(texts=st.lists(st.text(min_size=1), min_size=1, max_size=3))
@example(texts=[" ", "0"])
@settings(deadline=None, max_examples=100)
def test_texts_counted_alone_add_up_to_the_whole_prompt(exact: TokenCounter, texts: list[str]) -> None:
    from mistral_common.protocol.instruct.messages import AssistantMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    turns = [turn for text in texts for turn in (("user", text), ("assistant", text))][:-1]
    classes = {"user": UserMessage, "assistant": AssistantMessage}
    theirs = ChatCompletionRequest(messages=[classes[role](content=text) for role, text in turns])
    ours = request(*({"role": role, "content": text} for role, text in turns))

    whole = tekken().encode_chat_completion(theirs).tokens

    assert exact.prompt_tokens(ours) == len(whole)


@cache
def tekken() -> Any:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    return MistralTokenizer.v3(is_tekken=True)


@given(text=st.text(), instructions=st.text())
@settings(deadline=None, max_examples=100)
def test_no_request_has_more_tokens_than_its_bound(
    exact: TokenCounter, estimate: TokenCounter, text: str, instructions: str
) -> None:
    asked = request(
        {"role": "system", "content": instructions}, {"role": "user", "content": text}, response_format=PERSON
    )

    assert exact.prompt_tokens(asked) <= exact.most_prompt_tokens(asked) <= estimate.most_prompt_tokens(asked)


def test_the_bound_counts_the_schema(small: TokenCounter) -> None:
    extra = small.most_prompt_tokens(user("Bob", response_format=PERSON)) - small.most_prompt_tokens(user("Bob"))

    assert extra >= 30


def test_the_estimate_of_our_own_data_is_within_5_percent(exact: TokenCounter, tickets: list[str]) -> None:
    counted, estimated = (sum(map(count, tickets)) for count in (exact.text_tokens, estimated_tokens))

    assert abs(estimated / counted - 1) < 0.05


@pytest.mark.parametrize(
    "text",
    [
        "С меня дважды списали деньги за один и тот же заказ, пожалуйста, верните одну из сумм.",
        "我的订单被扣了两次款，请退还其中一笔。包裹还没有到。",
        "同じ注文で二回請求されました。片方を返金してください。荷物はまだ届いていません。",
    ],
)
def test_the_estimate_holds_in_other_scripts(exact: TokenCounter, text: str) -> None:
    assert estimated_tokens(text) == pytest.approx(exact.text_tokens(text), rel=0.35)


@given(text=st.text())
def test_an_estimate_is_never_above_the_bound(text: str) -> None:
    assert estimated_tokens(text) <= most_tokens(text)


def test_an_empty_text_has_no_tokens(exact: TokenCounter) -> None:
    assert [estimated_tokens(""), most_tokens(""), exact.text_tokens("")] == [0, 0, 0]


def test_half_a_surrogate_pair_is_counted(exact: TokenCounter) -> None:
    assert exact.text_tokens("\ud83d") <= most_tokens("\ud83d") == 3


def test_a_text_that_the_tokenizer_gives_up_on_is_counted_in_pieces(exact: TokenCounter) -> None:
    assert exact.text_tokens(" " * 1_000_000) > 1_000


def test_texts_in_chunks_are_read_as_one(exact: TokenCounter) -> None:
    parts = [{"type": "text", "text": "Hello wor"}, {"type": "text", "text": "ld"}]

    assert exact.prompt_tokens(request({"role": "user", "content": parts})) == exact.prompt_tokens(user("Hello world"))


def test_images_are_not_counted(exact: TokenCounter) -> None:
    parts = [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": "https://example.com/a.png"}]

    assert exact.prompt_tokens(request({"role": "user", "content": parts})) == exact.prompt_tokens(user("Hello"))


def test_thinking_is_counted_between_its_marks(exact: TokenCounter) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hello"}]}
    plain = {"type": "text", "text": "Hello"}
    question = {"role": "user", "content": "Hi"}

    thought, said = (
        exact.prompt_tokens(request(question, {"role": "assistant", "content": [chunk]}, question))
        for chunk in (thinking, plain)
    )

    assert thought == said + 2


@pytest.mark.parametrize(
    ("arguments", "read"),
    [('{"a":1}', '{"a": 1}'), ({"a": 1}, '{"a": 1}'), ("not JSON", "not JSON"), ('{"ä": 1}', '{"ä": 1}')],
)
def test_a_call_is_counted_as_the_model_reads_it(exact: TokenCounter, arguments: Any, read: str) -> None:
    call = {"id": "abcdefghi", "function": {"name": "weather", "arguments": arguments}}
    question = {"role": "user", "content": "Hi"}
    without = exact.prompt_tokens(request(question, {"role": "assistant", "content": ""}))

    counted = exact.prompt_tokens(request(question, {"role": "assistant", "content": None, "tool_calls": [call]}))

    assert counted == without + exact.text_tokens("weather") + exact.text_tokens(read) + 2


def test_an_answer_that_is_to_be_continued_has_no_end(exact: TokenCounter) -> None:
    ended, continued = (
        exact.prompt_tokens(request({"role": "assistant", "content": "Hello", "prefix": is_prefix}))
        for is_prefix in (False, True)
    )

    assert continued == ended - 1


@pytest.mark.parametrize("model", ["small", "mistral-small-latest", "mistral-large-2512", "ministral"])
def test_models_with_a_published_tokenizer_are_counted_exactly(model: str) -> None:
    pytest.importorskip("mistral_common")

    assert token_counter(model).is_exact


@pytest.mark.parametrize("model", ["local-small", "codestral-latest", "mistral-large-4-0", "gpt-oss", "/models/x.gguf"])
def test_other_models_are_estimated(model: str) -> None:
    assert not token_counter(model).is_exact


def test_a_name_says_nothing_of_the_tokenizer_of_another_server() -> None:
    assert not token_counter(SMALL, is_hosted=False).is_exact


def test_without_mistral_common_the_count_is_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mistral_common.tokens.tokenizers.mistral", None)

    counter = TokenCounter(tokens._tekken_count.__wrapped__(), has_settings=False)

    assert not counter.is_exact
    assert counter.text_tokens("Hello world") == estimated_tokens("Hello world")


def test_the_vocabulary_is_loaded_once() -> None:
    assert token_counter("small") is token_counter(SMALL)


def test_the_same_instructions_are_counted_once_for_all_rows() -> None:
    counted: list[str] = []
    counter = TokenCounter(lambda text: counted.append(text) or len(text), has_settings=False)  # type: ignore[func-returns-value]

    for row in ("one", "two", "three"):
        counter.prompt_tokens(request({"role": "system", "content": "Classify."}, {"role": "user", "content": row}))

    assert counted == ["Classify.", "one", "two", "three"]
