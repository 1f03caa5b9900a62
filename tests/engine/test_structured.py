"""Answers in the form of a schema, asked for and corrected over HTTP."""

import dataclasses
import enum
import json
from typing import Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, Field, field_validator

import mistral_nb
from mistral_nb.answer_schema import answer_schema
from mistral_nb.completion import Completion, CompletionRequest, TokenUsage
from mistral_nb.engine.structured import complete_as, structured_request
from mistral_nb.errors import InvalidAnswer, InvalidOption, InvalidSchema, Refused, ServerProblem, TruncatedAnswer
from tests.fake_api import FakeApi, Fault

WORDS = "count: 3; number: 4; name: lamp; a high"  # eight of them: what the fake API fills a text with
NOTES = "Churn rose to 5% in March, after the price change. Billing tickets doubled."
TOO_MANY = json.dumps({"summary": "s", "action_items": ["a"] * 6})
RIGHT = json.dumps({"summary": "s", "action_items": ["a"]})


class ActionPlan(BaseModel):
    summary: str
    action_items: list[str] = Field(max_length=5)


class Recommendation(BaseModel):
    rationale: str
    next_steps: list[str]


class Topic(enum.Enum):
    BILLING = "billing"
    BUG = "bug"


class Item(TypedDict):
    name: str
    count: int


@dataclasses.dataclass
class Order:
    number: int
    note: str = "none"


def said(text: str, times: int | None = 1) -> Fault:
    return Fault(content=text, times=times)


def question(**more: Any) -> CompletionRequest:
    return CompletionRequest(model="m", messages=({"role": "user", "content": "Hello"},), **more)


def sent_messages(api: FakeApi, number: int = -1) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in api.requests[number].body["messages"]]


class TestKinds:
    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            (Item, {"name": "lamp", "count": 3}),
            (Order, Order(4)),
            (ActionPlan, ActionPlan(summary=WORDS, action_items=[WORDS])),
            (list[Item], [{"name": "lamp", "count": 3}]),
            (Topic, Topic.BUG),
            (Literal["low", "high"], "high"),
            (int, 3),
            ({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}, {"name": "lamp"}),
        ],
    )
    def test_each_kind_of_schema_gives_its_own_kind_of_value(self, api: FakeApi, schema: Any, value: Any) -> None:
        answer = mistral_nb.session().complete("count: 3; number: 4; name: lamp; a high bug", schema=schema)

        assert (answer.parsed, type(answer.parsed)) == (value, type(value))

    @pytest.mark.parametrize("schema", [ActionPlan, Recommendation])
    def test_the_seeds_examples_give_instances(self, api: FakeApi, schema: type[BaseModel]) -> None:
        assert isinstance(mistral_nb.session().complete(f"What now? {NOTES}", schema=schema).parsed, schema)

    def test_the_text_of_the_answer_is_kept_beside_its_value(self, api: FakeApi) -> None:
        answer = mistral_nb.session().complete("a bug", schema=Topic)

        assert answer.text == '{"answer": "bug"}'

    def test_without_a_schema_nothing_is_parsed(self, api: FakeApi) -> None:
        assert mistral_nb.session().complete("Hello").parsed is None


class TestRequest:
    def test_the_api_is_held_to_the_strict_schema(self, api: FakeApi) -> None:
        mistral_nb.session().complete(NOTES, schema=ActionPlan)

        assert api.requests[0].body["response_format"] == answer_schema(ActionPlan).response_format

    def test_the_schema_is_shown_in_a_system_message(self, api: FakeApi) -> None:
        mistral_nb.session().complete(NOTES, schema=ActionPlan)
        (system, shown), asked = sent_messages(api)

        assert (system, answer_schema(ActionPlan).shown in shown, asked) == ("system", True, ("user", NOTES))

    def test_the_system_message_that_was_given_comes_first(self, api: FakeApi) -> None:
        mistral_nb.session().complete(NOTES, schema=ActionPlan, system="Be brief.")

        assert [role for role, _ in sent_messages(api)] == ["system", "user"]
        assert sent_messages(api)[0][1].startswith("Be brief.\n\nAnswer with JSON")

    def test_a_system_message_of_chunks_is_left_as_it_is(self) -> None:
        system = {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
        request = dataclasses.replace(question(), messages=(system, *question().messages))
        first, second, _ = structured_request(request, answer_schema(Topic)).messages

        assert (first["role"], second) == ("system", system)

    def test_an_embedded_model_is_held_to_more(self) -> None:
        form = answer_schema(ActionPlan)
        request = structured_request(dataclasses.replace(question(), model="local-small"), form)

        assert request.response_format == form.local_response_format

    def test_a_response_format_beside_the_schema_is_refused(self, api: FakeApi) -> None:
        with pytest.raises(InvalidOption, match="response_format"):
            mistral_nb.session().complete("Hello", schema=Topic, response_format={"type": "json_object"})
        assert api.requests == []

    def test_what_is_no_schema_costs_nothing(self, api: FakeApi) -> None:
        with pytest.raises(InvalidSchema):
            mistral_nb.session().complete("Hello", schema="ActionPlan")
        assert api.requests == []


class TestRepair:
    def test_an_answer_that_does_not_fit_is_asked_for_again(self, api: FakeApi) -> None:
        api.play(said(TOO_MANY), said(RIGHT))
        answer = mistral_nb.session().complete(NOTES, schema=ActionPlan)

        assert (answer.parsed, len(api.requests)) == (ActionPlan(summary="s", action_items=["a"]), 2)

    def test_the_model_is_shown_its_answer_and_what_is_wrong_with_it(self, api: FakeApi) -> None:
        api.play(said(TOO_MANY), said(RIGHT))
        mistral_nb.session().complete(NOTES, schema=ActionPlan)
        *asked, answered, (role, correction) = sent_messages(api)

        assert (asked, answered) == (sent_messages(api, 0), ("assistant", TOO_MANY))
        assert (role, "- action_items: List should have at most 5 items" in correction) == ("user", True)

    def test_only_the_last_wrong_answer_is_shown(self, api: FakeApi) -> None:
        api.play(said("sorry"), said(TOO_MANY), said(RIGHT))
        mistral_nb.session().complete(NOTES, schema=ActionPlan)

        assert [content for role, content in sent_messages(api) if role == "assistant"] == [TOO_MANY]

    @pytest.mark.parametrize("empty", ["", " \n"])
    def test_an_empty_answer_is_no_turn_of_the_conversation(self, api: FakeApi, empty: str) -> None:
        api.play(said(empty), said(RIGHT))
        mistral_nb.session().complete(NOTES, schema=ActionPlan)

        assert [role for role, _ in sent_messages(api)] == ["system", "user", "user"]

    def test_half_an_emoji_in_a_wrong_answer_does_no_harm(self, api: FakeApi) -> None:
        api.play(said("half \ud83d"), said(RIGHT))

        assert mistral_nb.session().complete(NOTES, schema=ActionPlan).parsed.summary == "s"

    def test_a_prefix_is_left_out_of_the_correction(self, api: FakeApi) -> None:
        api.play(said(TOO_MANY), said(RIGHT))
        prefix = {"role": "assistant", "content": "{", "prefix": True}
        mistral_nb.session().complete([{"role": "user", "content": NOTES}, prefix], schema=ActionPlan)

        assert [role for role, _ in sent_messages(api)] == ["system", "user", "assistant", "user"]

    def test_the_bill_has_all_attempts(self, api: FakeApi) -> None:
        api.play(said("sorry"), said(TOO_MANY), said(RIGHT))
        usage = mistral_nb.session().complete(NOTES, schema=ActionPlan).usage
        stats = api.stats

        assert (usage.prompt_tokens, usage.completion_tokens) == (stats.prompt_tokens, stats.completion_tokens)

    def test_the_seconds_of_all_attempts_add_up(self) -> None:
        texts = iter(["sorry", '"bug"'])

        def ask(request: CompletionRequest) -> Completion:
            return Completion(text=next(texts), model="m", latency_seconds=1.5)

        assert complete_as(question(), answer_schema(Topic), ask).latency_seconds == 3.0

    def test_the_models_own_validators_are_heeded(self, api: FakeApi) -> None:
        class Even(BaseModel):
            number: int

            @field_validator("number")
            @classmethod
            def is_even(cls, number: int) -> int:
                if number % 2:
                    raise ValueError("the number must be even")
                return number

        api.play(said('{"number": 3}'), said('{"number": 4}'))

        assert mistral_nb.session().complete("A number?", schema=Even).parsed.number == 4

    def test_a_validator_may_ask_a_model_itself(self, api: FakeApi) -> None:
        class Asking(BaseModel):
            note: str

            @field_validator("note")
            @classmethod
            def checked(cls, note: str) -> str:
                return mistral_nb.session().complete("Hello").text

        assert mistral_nb.session().complete("note: x", schema=Asking).parsed.note == "Answer to: Hello"

    def test_trouble_on_the_way_is_tried_again_as_ever(self, api: FakeApi) -> None:
        api.play(Fault(status=503, body={}), said(RIGHT))

        assert mistral_nb.session().complete(NOTES, schema=ActionPlan).parsed.summary == "s"

    def test_settings_that_change_in_between_cut_nothing(self, api: FakeApi) -> None:
        class Changing(BaseModel):
            note: str

            @field_validator("note")
            @classmethod
            def changes(cls, note: str) -> str:
                mistral_nb.configure(model="large")
                mistral_nb.session()
                if note == "wrong":
                    raise ValueError("wrong")
                return note

        api.play(said('{"note": "wrong"}'), said('{"note": "right"}'))

        assert mistral_nb.session().complete("Hello", schema=Changing).parsed.note == "right"


class TestGivingUp:
    def failure(self, api: FakeApi) -> InvalidAnswer:
        api.play(said("sorry"), said(TOO_MANY), said('{"summary": 1}'))
        with pytest.raises(InvalidAnswer) as caught:
            mistral_nb.session().complete(NOTES, schema=ActionPlan)
        return caught.value

    def test_after_two_corrections_the_answer_is_invalid(self, api: FakeApi) -> None:
        assert (self.failure(api).attempts, len(api.requests)) == (3, 3)

    def test_the_last_answer_and_its_errors_are_kept(self, api: FakeApi) -> None:
        error = self.failure(api)

        assert error.text == '{"summary": 1}'
        assert error.errors == ("summary: Input should be a valid string (it is 1)", "action_items: Field required")

    def test_all_attempts_are_on_the_bill_also_then(self, api: FakeApi) -> None:
        usage, stats = self.failure(api).usage, api.stats

        assert usage == TokenUsage(prompt_tokens=stats.prompt_tokens, completion_tokens=stats.completion_tokens)

    def test_the_message_has_what_was_written_what_is_wrong_and_what_to_try(self, api: FakeApi) -> None:
        message = str(self.failure(api))

        assert all(part in message for part in ("ActionPlan", "action_items", '{"summary": 1}', "3 times", "Try a"))

    def test_a_long_answer_is_shortened_in_the_message_only(self) -> None:
        with pytest.raises(InvalidAnswer) as caught:
            complete_as(question(), answer_schema(Topic), lambda _: Completion(text="x" * 5000, model="m"))

        assert (len(caught.value.text), len(caught.value.problem) < 1000) == (5000, True)

    def test_no_correction_at_all_can_be_asked_for(self) -> None:
        asked: list[CompletionRequest] = []

        def ask(request: CompletionRequest) -> Completion:
            asked.append(request)
            return Completion(text="sorry", model="m")

        with pytest.raises(InvalidAnswer):
            complete_as(question(), answer_schema(Topic), ask, max_repairs=0)
        assert len(asked) == 1

    @pytest.mark.parametrize("max_tokens", [3, None])
    def test_a_cut_answer_is_not_asked_for_again(self, api: FakeApi, max_tokens: int | None) -> None:
        api.play(Fault(content=RIGHT[:12], finish_reason="length"))
        with pytest.raises(TruncatedAnswer, match="max_tokens="):
            mistral_nb.session().complete(NOTES, schema=ActionPlan, max_tokens=max_tokens)

        assert len(api.requests) == 1

    def test_a_refused_answer_is_not_asked_for_again(self, api: FakeApi) -> None:
        api.play(Fault(content="I can't.", finish_reason="content_filter"))
        with pytest.raises(Refused, match="content_filter"):
            mistral_nb.session().complete(NOTES, schema=ActionPlan)

        assert len(api.requests) == 1

    def test_a_server_that_fails_is_not_an_invalid_answer(self, api: FakeApi) -> None:
        api.play(Fault(status=503, body={}, times=None))

        with pytest.raises(ServerProblem):
            mistral_nb.session().complete(NOTES, schema=ActionPlan)


def test_calls_of_tools_are_handed_over_as_they_are(api: FakeApi) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    answer = mistral_nb.session().complete("city: Paris", schema=Topic, tools=tools, tool_choice="any")

    assert ([call.name for call in answer.tool_calls], answer.parsed) == (["weather"], None)


def test_an_answer_with_a_value_can_still_be_compared_and_hashed() -> None:
    answer = Completion(text="{}", model="m", parsed={"a": []})

    assert (answer == Completion(text="{}", model="m"), isinstance(hash(answer), int)) == (True, True)


@pytest.mark.usefixtures("embedded")
class TestEmbedded:
    @pytest.mark.parametrize("schema", [ActionPlan, Recommendation])
    def test_the_seeds_examples_are_valid_instances(self, schema: type[BaseModel]) -> None:
        answer = mistral_nb.session().complete(NOTES, schema=schema, temperature=0.0)

        assert isinstance(answer.parsed, schema)

    @pytest.mark.parametrize(
        "schema",
        [
            Literal["billing", "bug"],
            Topic,
            int,
            bool,
            Item,
            Order,
            dict[Literal["a", "b"], bool],
            tuple[int, int],
            {"type": "string", "pattern": r"^[A-Z]{2}-\d{2}$"},
            {"type": "string", "format": "uuid"},
        ],
        ids=str,
    )
    def test_the_grammar_takes_every_kind_of_schema(self, schema: Any) -> None:
        asked: list[CompletionRequest] = []
        session, form = mistral_nb.session(), answer_schema(schema)
        request = structured_request(session.request("Ticket 4711 is about billing.", temperature=0.0), form)

        def ask(request: CompletionRequest) -> Completion:
            asked.append(request)
            return session.complete(
                list(request.messages), response_format=request.response_format, temperature=0.0, max_tokens=200
            )

        complete_as(request, form, ask)

        assert len(asked) == 1
