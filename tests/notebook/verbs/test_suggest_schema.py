"""A class proposed from a sample: what is asked, and that the class can be used."""

import json
from typing import Any

import pandas as pd
import pytest

from mistral_nb import Receipt, errors
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")

TEXTS = pd.Series([f"Lamp {number} broke; number: {number}" for number in range(100)], name="text")
PROPOSAL = {
    "name": "complaint about a lamp",
    "fields": [
        {"name": "Lamp number", "kind": "whole number", "choices": [], "description": "Which lamp"},
        {"name": "number", "kind": "number", "choices": [], "description": ""},
        {"name": "state", "kind": "choice", "choices": ["broke", "works"], "description": "How it is"},
    ],
}


@pytest.fixture
def proposing(api: FakeApi) -> FakeApi:
    api.play(Fault(content=json.dumps(PROPOSAL), when="Lamp 0 broke"))
    return api


def test_the_class_has_the_fields_that_were_proposed(proposing: FakeApi) -> None:
    proposed = TEXTS.mistral.suggest_schema("what broke")

    assert (proposed.__name__, list(proposed.model_fields), proposed.__doc__) == (
        "ComplaintAboutALamp",
        ["lamp_number", "number", "state"],
        "what broke",
    )


def test_the_class_can_be_extracted_with(proposing: FakeApi) -> None:
    proposed = TEXTS.mistral.suggest_schema("what broke")
    found = TEXTS.head(3).mistral.extract(proposed)

    assert (found["number"].tolist(), found["state"].tolist()) == ([0, 1, 2], ["broke"] * 3)


def test_its_source_is_shown(proposing: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    proposed = pd.DataFrame({"text": TEXTS}).mistral.suggest_schema("text", "what broke")
    shown = capsys.readouterr().out

    assert ("class ComplaintAboutALamp(BaseModel):" in shown, proposed.__source__ in shown) == (True, True)


def test_one_request_reads_texts_from_all_over_the_column(proposing: FakeApi) -> None:
    TEXTS.mistral.suggest_schema("what broke", sample=4)

    assert proposing.requests[0].text.splitlines() == [json.dumps(TEXTS[place]) for place in (0, 25, 50, 75)]


def test_the_same_sample_is_paid_for_once(proposing: FakeApi) -> None:
    TEXTS.mistral.suggest_schema("what broke")
    TEXTS.mistral.suggest_schema("what broke")

    assert len(proposing.requests) == 1


def test_a_proposal_without_a_field_is_asked_for_again(api: FakeApi) -> None:
    api.play(Fault(content=json.dumps({"name": "x", "fields": []})))
    api.play(Fault(content=json.dumps(PROPOSAL)))

    assert len(TEXTS.mistral.suggest_schema("what broke").model_fields) == 3


def test_what_can_not_be_proposed_is_raised(api: FakeApi) -> None:
    api.play(Fault(content="no JSON", times=None))
    with pytest.raises(errors.InvalidAnswer):
        TEXTS.mistral.suggest_schema("what broke")


def test_what_was_masked_is_put_back_into_the_class(api: FakeApi) -> None:
    field = {"name": "who", "kind": "choice", "choices": ["[NAME_1]", "[NAME_2]"], "description": "[NAME_1] or another"}
    api.play(Fault(content=json.dumps({"name": "letter", "fields": [field]})))
    proposed = pd.Series(["Dear Anna, hello", "Dear Ben, hello"]).mistral.suggest_schema("who wrote", mask=True)

    assert "Literal['Anna', 'Ben']" in str(proposed.model_fields["who"].annotation)
    assert proposed.model_fields["who"].description == "Anna or another"


def test_a_secret_at_the_place_where_a_long_text_is_cut_is_not_sent(api: FakeApi) -> None:
    api.play(Fault(content=json.dumps(PROPOSAL)))
    text = "word " * 299 + "+49 171 2345678"
    pd.Series([text]).mistral.suggest_schema("who wrote", mask=True)

    assert "+49" not in api.requests[0].text


def test_temperature_and_instructions_reach_the_model(proposing: FakeApi) -> None:
    TEXTS.mistral.suggest_schema("what broke", temperature=0.5, instructions="Name the fields in French.")
    body = proposing.requests[0].body

    assert body["temperature"] == 0.5
    assert "Name the fields in French." in body["messages"][0]["content"]


def test_the_temperature_is_0_by_default(proposing: FakeApi) -> None:
    TEXTS.mistral.suggest_schema("what broke")

    assert proposing.requests[0].body["temperature"] == 0


def test_a_dry_run_sends_nothing(api: FakeApi) -> None:
    receipt = TEXTS.mistral.suggest_schema("what broke", dry_run=True)

    assert (isinstance(receipt, Receipt), receipt.requests, api.requests) == (True, 1, [])


@pytest.mark.parametrize(
    ("column", "options", "error"),
    [
        (TEXTS, {"what": " "}, errors.InvalidOption),
        (TEXTS, {"what": "x", "sample": 0}, errors.InvalidOption),
        (TEXTS, {"what": "x", "instructions": " "}, errors.InvalidOption),
        (pd.Series([None], dtype=object), {"what": "x"}, errors.EmptyPrompt),
        (pd.Series([1]), {"what": "x"}, errors.NotText),
    ],
    ids=["nothing wanted", "no sample", "no instructions", "no text", "numbers"],
)
def test_what_can_not_be_asked_is_refused(column: Any, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        column.mistral.suggest_schema(**options)


@pytest.mark.usefixtures("embedded")
def test_the_embedded_model_proposes_a_class() -> None:
    texts = pd.Series(["Invoice 12: 40 euros for Anna.", "Invoice 13: 55 euros for Bo."])

    assert texts.mistral.suggest_schema("customer and amount").model_fields
