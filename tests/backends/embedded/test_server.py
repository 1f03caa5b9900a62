"""The embedded server through the official SDK: what a client of Mistral's API may rely on."""

import enum
import json
from pathlib import Path
from typing import Any

import pydantic
import pytest

from mistral_nb.backends.embedded.weights import LOCAL_MODELS
from tests.backends.embedded.conftest import RawClient

QUESTION = [{"role": "user", "content": "Name three colours."}]
PLAIN = {"model": "local-tiny", "messages": QUESTION, "temperature": 0, "max_tokens": 12}
TOOL_CALL_ID = r"^[a-zA-Z0-9]{9}$"


def function(name: str, description: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


WEATHER = function("get_weather", "Weather of a city", city={"type": "string"})
REFUND = function("refund", "Refund an order", order={"type": "integer"}, urgent={"type": "boolean"})


def calls_of(answer: Any) -> list[tuple[str, dict[str, Any]]]:
    message = answer.choices[0].message
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]


class Mood(enum.StrEnum):
    good = "good"
    bad = "bad"


class Item(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str


class Ticket(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    order: int
    mood: Mood
    items: list[Item] = pydantic.Field(max_length=2)


class TestComplete:
    def test_an_answer_has_text_and_names_the_model_that_was_asked(self, sdk: Any) -> None:
        answer = sdk.chat.complete(**PLAIN)

        assert answer.choices[0].message.content
        assert answer.model == "local-tiny"

    def test_usage_adds_up(self, sdk: Any) -> None:
        usage = sdk.chat.complete(**PLAIN).usage

        assert usage.prompt_tokens > 10
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens

    def test_an_answer_that_reaches_max_tokens_says_so(self, sdk: Any) -> None:
        answer = sdk.chat.complete(**PLAIN | {"max_tokens": 3})

        assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 3)

    def test_the_same_request_gets_the_same_words_whatever_came_between(self, sdk: Any) -> None:
        first = sdk.chat.complete(**PLAIN).choices[0].message.content
        sdk.chat.complete(**PLAIN | {"messages": [*QUESTION[:0], {"role": "user", "content": "Name three towns."}]})

        assert sdk.chat.complete(**PLAIN).choices[0].message.content == first

    def test_the_seed_decides_the_words_at_high_temperature(self, sdk: Any) -> None:
        warm = PLAIN | {"temperature": 1.5, "random_seed": 7}

        assert sdk.chat.complete(**warm).choices[0].message == sdk.chat.complete(**warm).choices[0].message

    def test_several_choices_are_drawn_differently(self, sdk: Any) -> None:
        answer = sdk.chat.complete(**PLAIN | {"temperature": 1.5, "n": 3, "random_seed": 1})

        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        assert len({choice.message.content for choice in answer.choices}) > 1

    def test_a_stop_sequence_ends_the_answer(self, sdk: Any) -> None:
        whole = sdk.chat.complete(**PLAIN).choices[0].message.content
        stop = whole[len(whole) // 2]
        answer = sdk.chat.complete(**PLAIN | {"stop": [stop]}).choices[0]

        assert (answer.message.content, answer.finish_reason) == (whole.partition(stop)[0], "stop")

    def test_an_answer_goes_on_from_its_prefix(self, sdk: Any) -> None:
        begun = {"role": "assistant", "content": "1, 2, 3,", "prefix": True}
        answer = sdk.chat.complete(**PLAIN | {"messages": [{"role": "user", "content": "Count."}, begun]})

        assert answer.choices[0].message.content.startswith("1, 2, 3,")

    def test_text_chunks_are_read_as_text(self, sdk: Any) -> None:
        chunks = [{"type": "text", "text": "Name three"}, {"type": "text", "text": " colours."}]
        answer = sdk.chat.complete(**PLAIN | {"messages": [{"role": "user", "content": chunks}]})

        assert answer.choices[0].message.content == sdk.chat.complete(**PLAIN).choices[0].message.content


class TestStream:
    def test_the_pieces_are_the_answer(self, sdk: Any) -> None:
        with sdk.chat.stream(**PLAIN) as stream:
            text = "".join(event.data.choices[0].delta.content for event in stream)

        assert text == sdk.chat.complete(**PLAIN).choices[0].message.content

    def test_the_first_chunk_has_the_role_and_only_the_last_has_reason_and_usage(self, sdk: Any) -> None:
        with sdk.chat.stream(**PLAIN) as stream:
            chunks = [event.data for event in stream]

        assert chunks[0].choices[0].delta.role == "assistant"
        assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        assert [bool(chunk.choices[0].finish_reason) for chunk in chunks] == [bool(chunk.usage) for chunk in chunks]

    def test_the_usage_is_that_of_the_whole_answer(self, sdk: Any) -> None:
        with sdk.chat.stream(**PLAIN) as stream:
            last = [event.data for event in stream][-1]

        assert last.usage.total_tokens == sdk.chat.complete(**PLAIN).usage.total_tokens

    def test_each_choice_streams_with_its_index(self, sdk: Any) -> None:
        with sdk.chat.stream(**PLAIN | {"n": 2, "max_tokens": 3}) as stream:
            choices = [event.data.choices[0] for event in stream]

        assert [choice.index for choice in choices if choice.finish_reason] == [0, 1]

    def test_what_is_refused_before_it_begins_has_its_own_status(self, raw: RawClient) -> None:
        status, _ = raw.chat("word " * 9000, stream=True)

        assert status == 400


class TestSchemas:
    def test_parse_gives_the_pydantic_model(self, sdk: Any) -> None:
        message = [{"role": "user", "content": "Order 4711: two blue cups came broken, I am angry."}]
        answer = sdk.chat.parse(Ticket, **PLAIN | {"messages": message, "max_tokens": 200})

        assert isinstance(answer.choices[0].message.parsed, Ticket)

    def test_a_text_without_a_bound_comes_to_an_end(self, sdk: Any) -> None:
        schema = {"type": "object", "properties": {"story": {"type": "string"}}, "required": ["story"]}
        response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": True}}
        ask = [{"role": "user", "content": "Tell a very long story about a wolf, over and over."}]
        answer = sdk.chat.complete(
            **PLAIN | {"messages": ask, "max_tokens": 500, "response_format": response_format}
        ).choices[0]

        assert answer.finish_reason == "stop"
        assert len(json.loads(answer.message.content)["story"]) <= 400

    def test_json_mode_gives_an_object(self, sdk: Any) -> None:
        ask = [{"role": "user", "content": 'Answer as JSON with one field "colour".'}]
        answer = sdk.chat.complete(
            **PLAIN | {"messages": ask, "max_tokens": 60, "response_format": {"type": "json_object"}}
        ).choices[0]

        assert answer.message.content.startswith("{")
        assert answer.finish_reason == "length" or isinstance(json.loads(answer.message.content), dict)

    def test_a_schema_without_a_grammar_is_refused(self, raw: RawClient) -> None:
        schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}
        status, body = raw.chat(response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}})

        assert status == 400
        assert body["message"].startswith("JSON schema error at #/properties/a")


class TestTools:
    @pytest.mark.parametrize("choice", ["any", "required"])
    def test_a_demanded_call_is_made(self, sdk: Any, choice: str) -> None:
        ask = [{"role": "user", "content": "Refund order 4711, it is urgent."}]
        answer = sdk.chat.complete(**PLAIN | {"messages": ask, "tools": [WEATHER, REFUND], "tool_choice": choice})
        ((name, arguments),) = calls_of(answer)

        assert answer.choices[0].finish_reason == "tool_calls"
        assert set(arguments) == {"get_weather": {"city"}, "refund": {"order", "urgent"}}[name]

    def test_a_named_function_is_called_with_arguments_of_its_types(self, sdk: Any) -> None:
        choice = {"type": "function", "function": {"name": "refund"}}
        ask = [{"role": "user", "content": "Refund order 4711, it is urgent."}]
        answer = sdk.chat.complete(**PLAIN | {"messages": ask, "tools": [WEATHER, REFUND], "tool_choice": choice})
        ((name, arguments),) = calls_of(answer)

        assert name == "refund"
        assert {key: type(value) for key, value in arguments.items()} == {"order": int, "urgent": bool}

    def test_a_call_has_an_id_of_nine_letters_or_digits(self, sdk: Any) -> None:
        answer = sdk.chat.complete(**PLAIN | {"tools": [WEATHER], "tool_choice": "any"})

        pydantic.TypeAdapter(pydantic.constr(pattern=TOOL_CALL_ID)).validate_python(
            answer.choices[0].message.tool_calls[0].id
        )

    def test_a_function_without_parameters_is_called_with_none(self, sdk: Any) -> None:
        answer = sdk.chat.complete(**PLAIN | {"tools": [function("now", "The time")], "tool_choice": "any"})

        assert calls_of(answer) == [("now", {})]

    def test_auto_either_answers_or_calls_one_of_the_functions(self, sdk: Any) -> None:
        answer = sdk.chat.complete(**PLAIN | {"tools": [WEATHER, REFUND], "tool_choice": "auto"})
        choice = answer.choices[0]

        assert (choice.finish_reason == "tool_calls") == bool(calls_of(answer))
        assert calls_of(answer) or choice.message.content

    def test_a_result_is_answered_with_text(self, sdk: Any) -> None:
        call = {"id": "abcDEF123", "function": {"name": "get_weather", "arguments": '{"city": "Lyon"}'}}
        messages = [
            {"role": "user", "content": "What is the weather in Lyon?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "abcDEF123", "name": "get_weather", "content": "rain, 9 degrees"},
        ]
        choice = sdk.chat.complete(**PLAIN | {"messages": messages, "tools": [WEATHER]}).choices[0]

        assert choice.message.content
        assert not choice.message.tool_calls

    def test_none_means_no_call(self, sdk: Any) -> None:
        answer = sdk.chat.complete(**PLAIN | {"tools": [WEATHER], "tool_choice": "none"})

        assert calls_of(answer) == []

    def test_a_streamed_call_comes_whole_with_reason_and_usage(self, sdk: Any) -> None:
        with sdk.chat.stream(**PLAIN | {"tools": [WEATHER], "tool_choice": "any"}) as stream:
            last = [event.data for event in stream][-1]

        assert last.choices[0].finish_reason == "tool_calls"
        assert json.loads(last.choices[0].delta.tool_calls[0].function.arguments).keys() == {"city"}
        assert last.usage.completion_tokens > 0

    def test_a_choice_that_is_no_tool_is_refused(self, raw: RawClient) -> None:
        choice = {"type": "function", "function": {"name": "missing"}}
        status, body = raw.chat(tools=[WEATHER], tool_choice=choice)

        assert (status, "missing" in body["message"]) == (400, True)

    def test_a_demand_without_tools_is_refused(self, raw: RawClient) -> None:
        assert raw.chat(tool_choice="any")[0] == 400


class TestEmbeddings:
    def test_each_text_gets_a_vector_of_length_one(self, sdk: Any) -> None:
        answer = sdk.embeddings.create(model="local-embed", inputs=["one", "two"])
        vectors = [entry.embedding for entry in answer.data]

        assert [len(vector) for vector in vectors] == [384, 384]
        assert all(sum(x * x for x in vector) == pytest.approx(1, abs=1e-3) for vector in vectors)

    def test_close_meanings_are_close(self, sdk: Any) -> None:
        texts = ["My parcel has not arrived", "The package was never delivered", "I like jazz"]
        first, second, third = (
            entry.embedding for entry in sdk.embeddings.create(model="local-embed", inputs=texts).data
        )

        def dot(a: list[float], b: list[float]) -> float:
            return sum(x * y for x, y in zip(a, b, strict=True))

        assert dot(first, second) > dot(first, third) + 0.2

    def test_no_text_gives_no_vector(self, raw: RawClient) -> None:
        status, body = raw.send("/v1/embeddings", {"model": "local-embed", "input": []})

        assert (status, body["data"]) == (200, [])

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"input": "word " * 600}, 400),
            ({"input": ["a"] * 1025}, 400),
            ({"input": "a", "model": "mistral-embed"}, 400),
            ({"input": "a", "model": "local-tiny"}, 400),
            ({"input": "a", "output_dimension": 10}, 422),
            ({"input": "a", "encoding_format": "base64"}, 422),
        ],
    )
    def test_what_it_cannot_embed_is_refused(self, raw: RawClient, fields: dict[str, Any], status: int) -> None:
        assert raw.send("/v1/embeddings", {"model": "local-embed"} | fields)[0] == status


class TestModels:
    def test_the_models_that_are_here_are_listed(self, sdk: Any) -> None:
        cards = {card.id: card for card in sdk.models.list().data}

        assert {"local-tiny", "local-embed"} <= cards.keys()
        assert cards["local-tiny"].capabilities.completion_chat
        assert not cards["local-embed"].capabilities.completion_chat

    def test_nothing_but_models_is_listed(self, sdk: Any) -> None:
        ids = [card.id for card in sdk.models.list().data]

        assert [name for name in ids if name not in LOCAL_MODELS and not name.endswith(".gguf")] == []

    def test_a_model_is_described(self, sdk: Any) -> None:
        assert sdk.models.retrieve(model_id="local-tiny").max_context_length == 8192

    def test_an_unknown_one_is_not_found(self, raw: RawClient) -> None:
        assert raw.send("/v1/models/local-huge")[0] == 404

    def test_a_model_that_embeds_does_not_chat(self, raw: RawClient) -> None:
        status, body = raw.chat(model="local-embed")

        assert (status, body["code"]) == (400, "1500")

    def test_a_file_is_a_model(self, raw: RawClient, embedded_home: Any) -> None:
        (path,) = (embedded_home / "weights").glob("SmolLM2*.gguf")
        _, by_name = raw.chat()
        status, by_path = raw.chat(model=str(path))

        assert (status, by_path["model"]) == (200, str(path))
        assert by_path["choices"] == by_name["choices"]
        assert str(path) in [card["id"] for card in raw.send("/v1/models")[1]["data"]]

    def test_a_file_that_is_no_model_is_refused(self, raw: RawClient, tmp_path: Any) -> None:
        path = tmp_path / "broken.gguf"
        path.write_bytes(b"GGUF" + b"\x03\0\0\0" + b"\xff" * 100)
        status, body = raw.chat(model=str(path))

        assert (status, body["code"]) == (400, "1500")


class TestLabelChoices:
    def test_a_choice_has_a_probability_for_each_label(self, raw: RawClient) -> None:
        labels = ["billing", "delivery", "bug"]
        status, answer = raw.send(
            "/v1/mistral_nb/label_choices",
            {"model": "local-tiny", "text": "Where is my parcel?", "labels": labels},
        )

        assert status == 200
        assert list(answer["probabilities"]) == labels
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert answer["label"] == max(labels, key=answer["probabilities"].__getitem__)

    def test_the_tokens_of_the_labels_are_counted_once(self, raw: RawClient) -> None:
        body = {"model": "local-tiny", "text": "Where is my parcel?", "labels": ["late", "broken"]}
        first, second, third = (
            raw.send("/v1/mistral_nb/label_choices", body)[1]["usage"]["prompt_tokens"] for _ in range(3)
        )

        assert first == second == third
        assert second > 0

    def test_one_label_is_no_choice(self, raw: RawClient) -> None:
        body = {"model": "local-tiny", "text": "a", "labels": ["late"]}

        assert raw.send("/v1/mistral_nb/label_choices", body)[0] == 422


class TestSmall:
    """What only a model that was taught it can do."""

    def test_it_fills_in_the_middle(self, sdk: Any, small: str) -> None:
        answer = sdk.fim.complete(model=small, prompt="def add(a, b):\n    return ", suffix="\n", max_tokens=8)

        assert answer.choices[0].message.content

    def test_it_streams_the_middle(self, sdk: Any, small: str) -> None:
        with sdk.fim.stream(model=small, prompt="def add(a, b):\n    return ", suffix="\n", max_tokens=8) as stream:
            chunks = [event.data for event in stream]

        assert "".join(chunk.choices[0].delta.content for chunk in chunks)
        assert chunks[-1].usage.completion_tokens > 0

    def test_auto_calls_a_function_that_is_wanted(self, sdk: Any, small: str) -> None:
        ask = [{"role": "user", "content": "What is the weather in Paris?"}]
        answer = sdk.chat.complete(model=small, messages=ask, tools=[WEATHER, REFUND], temperature=0, max_tokens=60)

        assert calls_of(answer) == [("get_weather", {"city": "Paris"})]

    def test_auto_leaves_functions_alone_that_are_not_wanted(self, sdk: Any, small: str) -> None:
        ask = [{"role": "user", "content": "Write one sentence about the sea."}]
        answer = sdk.chat.complete(model=small, messages=ask, tools=[REFUND], temperature=0, max_tokens=30)

        assert calls_of(answer) == []
        assert answer.choices[0].message.content


def test_a_file_that_was_replaced_does_not_go_on_answering(raw: RawClient, embedded_home: Path, tmp_path: Path) -> None:
    (weights,) = (embedded_home / "weights").glob("SmolLM2*.gguf")
    path = tmp_path / "swapped.gguf"
    path.symlink_to(weights)
    before, _ = raw.chat(model=str(path))
    path.unlink()
    path.write_bytes(b"no longer a model")
    after, answer = raw.chat(model=str(path))

    assert (before, after, "swapped.gguf" in answer["message"]) == (200, 400, True)
