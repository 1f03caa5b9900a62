"""Every kind of schema: what is asked for with it, what is read with it, and what is refused."""

import contextlib
import dataclasses
import enum
import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model, field_validator

from mistral_nb.answer_schema import answer_schema
from mistral_nb.errors import InvalidAnswer, InvalidSchema
from tests.fake_api.validation import check_body
from tests.test_wire import CassetteLoader

WIRE = Path(__file__).parents[2] / "shared" / "wire"
# What a hosted model is sent: keywords that say how a value is built, and nothing that limits it.
STRUCTURE = {"type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "$ref", "$defs"}
STRUCTURE |= {"description"}


class Topic(enum.Enum):
    BILLING = "billing"
    BUG = "bug"


class Address(BaseModel):
    """Where something goes."""

    street: str
    zip_code: str | None = None


class Item(TypedDict):
    name: str
    count: int


@dataclasses.dataclass
class Order:
    number: int
    tags: list[str] = dataclasses.field(default_factory=list)


class Point(NamedTuple):
    x: int
    y: int


class Tags(RootModel[list[str]]):
    pass


class Node(BaseModel):
    name: str
    children: "list[Node]" = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Plan(BaseModel):
    summary: str
    action_items: list[str] = Field(max_length=5)


class Rich(BaseModel):
    model_config = ConfigDict(strict=True)

    due: date
    price: Decimal = Field(ge=Decimal("0.5"))
    wait: timedelta
    id: UUID
    topic: Topic
    where: Address = Field(description="not the billing address")
    scores: dict[str, float] = {}
    by_name: str = Field(alias="byName")
    unique: set[int] = set()
    pair: tuple[int, str] = (1, "a")
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    extra: Any = None
    retries: int = 3


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("the number must be even")
        return number


class Empty(BaseModel):
    pass


class NoMember(enum.Enum):
    pass


class Plain:
    pass


JSON_SCHEMA = {
    "title": "an order!",
    "type": "object",
    "properties": {
        "number": {"type": "integer", "minimum": 1},
        "due": {"type": "string", "format": "date"},
        "note": {"type": "string"},
    },
    "required": ["number", "due"],
}

READ = [
    (Plan, {"summary": "s", "action_items": []}, Plan(summary="s", action_items=[])),
    (Item, {"name": "n", "count": 1}, {"name": "n", "count": 1}),
    (Order, {"number": 1, "tags": ["a"]}, Order(1, ["a"])),
    (Order, {"number": 1, "tags": None}, Order(1, [])),
    (Node, {"name": "a", "children": [{"name": "b", "children": None}]}, Node(name="a", children=[Node(name="b")])),
    (list[Address], {"answer": [{"street": "s", "zip_code": None}]}, [Address(street="s")]),
    (list[Item], {"answer": [{"name": "n", "count": 1}]}, [{"name": "n", "count": 1}]),
    (Topic, {"answer": "bug"}, Topic.BUG),
    (Literal["a", 1, None], {"answer": 1}, 1),
    (Literal["a", 1, None], {"answer": None}, None),
    (int, {"answer": 3}, 3),
    (date, {"answer": "2026-01-05"}, date(2026, 1, 5)),
    (Decimal, {"answer": 12.5}, Decimal("12.5")),
    (Address | None, {"answer": None}, None),
    (Cat | Dog, {"answer": {"kind": "dog", "tricks": None}}, Dog(kind="dog")),
    (dict[str, int], {"answer": [{"key": "a", "value": 1}]}, {"a": 1}),
    (dict[int, str], {"answer": [{"key": "1", "value": "a"}]}, {1: "a"}),
    (dict[Topic, int], {"billing": 1, "bug": None}, {Topic.BILLING: 1}),
    (dict[Literal["a", "b"], int | None], {"a": 1, "b": None}, {"a": 1, "b": None}),
    (tuple[int, str], {"answer": [1, "a"]}, (1, "a")),
    (set[str], {"answer": ["a", "a"]}, {"a"}),
    (Point, {"answer": [1, 2]}, Point(1, 2)),
    (Tags, {"answer": ["a"]}, Tags(["a"])),
    (list, {"answer": ["a", 1, None]}, ["a", 1, None]),
    (Any, {"answer": "x"}, "x"),
    (JSON_SCHEMA, {"number": 1, "due": "2026-01-05", "note": None}, {"number": 1, "due": "2026-01-05"}),
    ({"type": "array", "items": {"type": "integer"}}, {"answer": [1]}, [1]),
    ({"enum": ["a", "b"]}, {"answer": "b"}, "b"),
]
RICH = {
    "due": "2026-01-05",
    "price": 12.5,
    "wait": "PT5M",
    "id": "00000000-0000-4000-8000-000000000000",
    "topic": "bug",
    "where": {"street": "s", "zip_code": None},
    "scores": [{"key": "a", "value": 0.5}],
    "byName": "x",
    "unique": None,
    "pair": None,
    "pet": {"kind": "cat", "lives": None},
    "extra": None,
    "retries": None,
}
ANY_JSON = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["summary", "action_items", "answer", "key"]), inner)
    ),
)


def sent(schema: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer_schema(schema).response_format["json_schema"]["schema"]
    return found


def errors_of(schema: Any, text: str) -> tuple[str, ...]:
    with pytest.raises(InvalidAnswer) as caught:
        answer_schema(schema).read(text)
    return caught.value.errors


class TestReading:
    @pytest.mark.parametrize(("schema", "answer", "value"), READ)
    def test_an_answer_becomes_what_the_schema_is_of(self, schema: Any, answer: Any, value: Any) -> None:
        found = answer_schema(schema).read(json.dumps(answer))

        assert (found, type(found)) == (value, type(value))

    def test_every_type_of_field_is_read_also_by_a_strict_model(self) -> None:
        found = answer_schema(Rich).read(json.dumps(RICH))

        assert found == Rich(
            due=date(2026, 1, 5),
            price=Decimal("12.5"),
            wait=timedelta(minutes=5),
            id=UUID(int=0x4000 << 64 | 0x8000 << 48),
            topic=Topic.BUG,
            where=Address(street="s"),
            scores={"a": 0.5},
            byName="x",
            pet=Cat(kind="cat"),
        )

    def test_a_name_is_read_where_only_names_are_valid(self) -> None:
        named = create_model(
            "Named", __config__=ConfigDict(validate_by_alias=False, validate_by_name=True), x=(int, Field(alias="y"))
        )

        assert answer_schema(named).read('{"y": 1}').x == 1

    @pytest.mark.parametrize(
        "text",
        [
            ' {"answer": "bug"}\n',
            '```json\n{"answer": "bug"}\n```',
            '```\n{"answer": "bug"}\n```',
            'Here it is:\n```json\n{"answer": "bug"}\n```\nAnything else?',
            'Sure! {"answer": "bug"} Anything else?',
            '"bug"',
        ],
    )
    def test_what_is_around_the_json_is_forgiven(self, text: str) -> None:
        assert answer_schema(Topic).read(text) is Topic.BUG

    def test_a_raw_line_end_in_a_string_is_forgiven(self) -> None:
        assert answer_schema(str).read('{"answer": "two\nlines"}') == "two\nlines"

    @pytest.mark.parametrize("schema", [str, {"type": "string"}])
    def test_half_an_emoji_becomes_a_question_mark(self, schema: Any) -> None:
        assert answer_schema(schema).read(r'{"answer": "half \ud83d, whole \ud83d\ude00"}') == "half ?, whole 😀"

    def test_a_schema_that_was_made_already_is_taken_as_it_is(self) -> None:
        schema = answer_schema(Topic)

        assert answer_schema(schema) is schema


class TestWrongAnswers:
    @pytest.mark.parametrize(
        ("schema", "text", "error"),
        [
            (Plan, "", "The answer is empty"),
            (Plan, " \n", "The answer is empty"),
            (Plan, "sorry", "The answer: it is no JSON: Expecting value: line 1 column 1 (char 0)"),
            (Plan, '{"summary": "s"', "The answer: it is no JSON: Expecting ',' delimiter: line 1 column 16 (char 15)"),
            (Plan, '{"summary": "s"}', "action_items: Field required"),
            (Plan, "[" * 100_000, "The answer is nested too deeply"),
            (float, '{"answer": NaN}', "The answer: it is no JSON: NaN is no JSON number"),
            (bool, '{"answer": [1]}', "The answer: Input should be a valid boolean"),
            (Topic, '{"answer": "praise"}', "The answer: Input should be 'billing' or 'bug' (it is \"praise\")"),
            (list[Item], '{"answer": [{"name": "n", "count": []}]}', "[0].count: Input should be a valid integer"),
            (Even, '{"number": 3}', "number: Value error, the number must be even (it is 3)"),
            (Decimal, '{"answer": "€"}', 'The answer: Input should be a valid decimal (it is "€")'),
            (JSON_SCHEMA, '{"number": 0, "due": "2026-01-05"}', "number: 0 is less than the minimum of 1"),
            (JSON_SCHEMA, '{"number": 1, "due": "soon"}', "due: 'soon' is not a 'date'"),
            (JSON_SCHEMA, '{"number": 1}', "The answer: 'due' is a required property"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_with_its_place(self, schema: Any, text: str, error: str) -> None:
        assert errors_of(schema, text) == (error,)

    def test_the_seeds_sixth_action_item_is_too_many(self) -> None:
        (error,) = errors_of(Plan, json.dumps({"summary": "s", "action_items": ["a"] * 6}))

        assert error == "action_items: List should have at most 5 items after validation, not 6"

    def test_many_errors_are_counted_rather_than_listed(self) -> None:
        errors = errors_of(list[int], json.dumps({"answer": ["x"] * 20}))

        assert (len(errors), errors[-1]) == (9, "and 12 more")

    def test_a_long_error_is_shortened(self) -> None:
        (error,) = errors_of({"enum": ["a"]}, json.dumps("b" * 1000))

        assert len(error) == 200

    def test_the_answer_is_kept_as_it_came(self) -> None:
        with pytest.raises(InvalidAnswer) as caught:
            answer_schema(Plan).read("sorry")

        assert (caught.value.text, caught.value.attempts, caught.value.usage) == ("sorry", 1, None)

    def test_what_a_validator_itself_gets_wrong_is_not_the_models_fault(self) -> None:
        class Broken(BaseModel):
            number: int

            @field_validator("number")
            @classmethod
            def fails(cls, number: int) -> float:
                return 1 / (number - number)

        with pytest.raises(ZeroDivisionError):
            answer_schema(Broken).read('{"number": 1}')

    @given(text=st.text() | ANY_JSON.map(json.dumps))
    def test_any_text_is_read_or_an_invalid_answer(self, text: str) -> None:
        with contextlib.suppress(InvalidAnswer):
            assert isinstance(answer_schema(Plan).read(text), Plan)


class TestAsking:
    @pytest.mark.parametrize("schema", [*[schema for schema, _, _ in READ], Rich])
    def test_every_form_is_one_that_the_api_takes(self, schema: Any) -> None:
        form = answer_schema(schema)
        messages = [{"role": "user", "content": "Hello"}]

        for response_format in (form.response_format, form.local_response_format):
            check_body("/v1/chat/completions", {"model": "m", "messages": messages, "response_format": response_format})

    @pytest.mark.parametrize(
        ("schema", "name"),
        [
            (Plan, "Plan"),
            (list[Address], "list_Address"),
            (Literal["a", "b c"], "Literal_a_b_c"),
            (Address | None, "Address_None"),
            (JSON_SCHEMA, "an_order"),
            ({"type": "string"}, "answer"),
            ({"type": "string", "title": "é" * 3 + "x" * 100}, "x" * 64),
        ],
    )
    def test_a_name_is_one_that_the_api_takes(self, schema: Any, name: str) -> None:
        assert answer_schema(schema).name == name

    def test_the_prompt_shows_what_the_api_is_not_sent(self) -> None:
        form = answer_schema(Plan)

        assert ('"maxItems":5' in form.shown, "maxItems" in json.dumps(form.response_format)) == (True, False)

    def test_the_embedded_grammar_is_held_to_the_length_of_a_list(self) -> None:
        items = answer_schema(Plan).local_response_format["json_schema"]["schema"]["properties"]["action_items"]

        assert items["maxItems"] == 5

    def test_what_fields_mean_is_shown(self) -> None:
        assert "not the billing address" in answer_schema(Rich).shown

    def test_a_decimal_is_asked_for_as_a_number_within_its_bounds(self) -> None:
        assert '"price":{"type":"number","minimum":0.5}' in answer_schema(Rich).shown

    def test_a_mapping_of_any_kind_is_a_json_schema(self) -> None:
        from types import MappingProxyType

        assert answer_schema(MappingProxyType(JSON_SCHEMA)).name == "an_order"

    def test_importing_it_loads_neither_pydantic_nor_jsonschema(self) -> None:
        from tests.test_layers import heavy_modules_after

        assert heavy_modules_after("import mistral_nb.extraction, mistral_nb.answer_schema") == set()


def without_address(schema: object) -> str:
    """Name a case alike in every process that collects it, so that processes can share the tests."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(schema))


class TestRefused:
    @pytest.mark.parametrize(
        "schema",
        [
            None,
            "Plan",
            5,
            print,
            lambda text: text,
            Plan(summary="s", action_items=[]),
            Plain,
            Plain(),
            type,
            Empty,
            NoMember,
            create_model("Unfinished", x=("Nowhere", ...)),
            list["Nowhere"],  # type: ignore[name-defined]  # noqa: F821
            {},
            {"type": "strin"},
            {"type": "json_schema", "json_schema": {}},
            {"type": "object", "properties": {"x": {"$ref": "https://example.org/x.json"}}},
            {"type": "object", "properties": {}},
            {"default": Plain()},
        ],
        ids=without_address,
    )
    def test_what_is_no_schema_is_refused_with_what_would_be(self, schema: Any) -> None:
        with pytest.raises(InvalidSchema) as caught:
            answer_schema(schema)

        assert (bool(caught.value.remedy), "Set `" in caught.value.problem) == (True, False)


def subschemas(schema: Any) -> list[dict[str, Any]]:
    """Return all schemas inside a schema, itself included."""
    inside = [schema.get("items"), *schema.get("anyOf", ()), *schema.get("prefixItems", ())]
    inside += [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    return [schema, *(found for inner in inside if inner is not None for found in subschemas(inner))]


def as_asked(value: Any) -> Any:
    """Return a value as a model that keeps to the schema would write it."""
    match value:
        case BaseModel():
            return {name: as_asked(getattr(value, name)) for name in type(value).model_fields}
        case dict():
            return [{"key": key, "value": as_asked(inner)} for key, inner in value.items()]
        case list():
            return [as_asked(inner) for inner in value]
        case date():
            return value.isoformat()
        case enum.Enum():
            return value.value
        case _:
            return value


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, TEXTS),
    (int, st.integers(-(2**53), 2**53)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (date, st.dates()),
    (Topic, st.sampled_from(Topic)),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Address, st.builds(Address, street=TEXTS, zip_code=st.none() | TEXTS)),
]


@st.composite
def fields(draw: st.DrawFn) -> tuple[Any, st.SearchStrategy[Any]]:
    """Draw the type of a field, and a strategy for its values."""
    kind, values = draw(st.sampled_from(SCALARS))
    for _ in range(draw(st.integers(0, 2))):
        match draw(st.sampled_from(["list", "dict", "none"])):
            case "list":
                kind, values = list[kind], st.lists(values, max_size=3)
            case "dict":
                kind, values = dict[str, kind], st.dictionaries(TEXTS, values, max_size=3)
            case _:
                kind, values = kind | None, st.none() | values
    return kind, values


@st.composite
def instances(draw: st.DrawFn) -> BaseModel:
    """Draw an instance of a model made of simple fields, some with a default."""
    drawn = draw(st.lists(fields(), min_size=1, max_size=4))
    values = {f"field_{number}": draw(strategy) for number, (_, strategy) in enumerate(drawn)}
    definitions: dict[str, Any] = {
        f"field_{number}": (kind, draw(strategy) if draw(st.booleans()) else ...)
        for number, (kind, strategy) in enumerate(drawn)
    }
    return create_model("Made", **definitions)(**values)


class TestAnyModel:
    @settings(max_examples=150, deadline=None)
    @given(instance=instances())
    def test_an_instance_survives_the_way_through_the_model(self, instance: BaseModel) -> None:
        form = answer_schema(type(instance))

        assert form.read(json.dumps(as_asked(instance))) == instance

    @settings(max_examples=150, deadline=None)
    @given(instance=instances())
    def test_an_instance_fits_every_schema_that_is_sent(self, instance: BaseModel) -> None:
        form = answer_schema(type(instance))

        for response_format in (form.response_format, form.local_response_format):
            jsonschema.Draft202012Validator(response_format["json_schema"]["schema"]).validate(as_asked(instance))

    @settings(max_examples=150, deadline=None)
    @given(instance=instances())
    def test_its_schema_is_strict_and_of_plain_keywords(self, instance: BaseModel) -> None:
        schema = sent(type(instance))
        jsonschema.Draft202012Validator.check_schema(schema)
        objects = [found for found in subschemas(schema) if found.get("type") == "object"]

        assert {keyword for found in subschemas(schema) for keyword in found} <= STRUCTURE
        assert all(found["additionalProperties"] is False for found in objects)
        assert all(found["required"] == list(found["properties"]) for found in objects)

    @settings(max_examples=50, deadline=None)
    @given(instance=instances())
    def test_a_field_left_open_has_its_default(self, instance: BaseModel) -> None:
        optional = {name for name, field in type(instance).model_fields.items() if not field.is_required()}
        answer = {name: value for name, value in as_asked(instance).items() if name not in optional}
        read = answer_schema(type(instance)).read(json.dumps(answer))

        assert all(getattr(read, name) == type(instance).model_fields[name].default for name in optional)


@pytest.mark.skipif(not WIRE.is_dir(), reason="the recordings (../shared/wire) are not here")
class TestRecorded:
    def interactions(self) -> list[tuple[Any, Any]]:
        """Return the recorded requests with a JSON schema, each with its response."""
        import yaml

        found = []
        for file in WIRE.glob("*/**/*.yml"):
            text = file.read_bytes()
            if b'"json_schema"' not in text:
                continue
            for interaction in yaml.load(text, Loader=CassetteLoader)["http_interactions"]:
                request = json.loads(interaction["request"]["body"]["string"])
                if (request.get("response_format") or {}).get("type") == "json_schema":
                    found.append((request, json.loads(interaction["response"]["body"]["string"])))
        return found

    def test_the_recorded_answers_are_read(self) -> None:
        read = [
            answer_schema(request["response_format"]["json_schema"]["schema"]).read(
                response["choices"][0]["message"]["content"]
            )
            for request, response in self.interactions()
        ]

        assert read == [{"name": "Bob", "age": 30}]

    def test_the_recorded_schemas_are_sent_as_they_were(self) -> None:
        for request, _ in self.interactions():
            schema = request["response_format"]["json_schema"]["schema"]

            assert sent(schema) == schema


def test_a_form_is_shown_without_its_insides() -> None:
    assert repr(answer_schema(Plan)) == "AnswerSchema(name='Plan')"
