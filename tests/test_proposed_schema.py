"""A class out of what a model proposed: whatever it writes, Python takes it, and nothing of it is run."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.answer_schema import answer_schema
from mistral_nb.errors import InvalidAnswer
from mistral_nb.proposed_schema import KINDS, checked_proposal, proposed_class, proposed_source

FIELDS = st.fixed_dictionaries(
    {
        "name": st.one_of(
            st.text(max_size=20), st.sampled_from(["json", "class", "copy", "model_dump", "Due date", "2nd"])
        ),
        "kind": st.sampled_from(list(KINDS)),
        "choices": st.lists(st.text(max_size=10), max_size=4),
        "description": st.text(max_size=30),
    }
)


def proposal(*fields: dict[str, Any], name: str = "Complaint") -> dict[str, Any]:
    full = [{"kind": "text", "choices": [], "description": "", **field} for field in fields]
    return checked_proposal({"name": name, "fields": full})


def names(*said: str) -> list[str]:
    return [field["name"] for field in proposal(*({"name": one} for one in said))["fields"]]


@given(
    name=st.text(max_size=20), fields=st.lists(FIELDS, min_size=1, max_size=6), what=st.text(min_size=1, max_size=30)
)
def test_the_source_makes_the_same_class(name: str, fields: list[dict[str, Any]], what: str) -> None:
    try:
        checked = checked_proposal({"name": name, "fields": fields})
    except InvalidAnswer:
        return
    namespace: dict[str, Any] = {}
    exec(compile(proposed_source(checked, what), "proposed", "exec"), namespace)
    written, made = namespace[checked["name"]], proposed_class(checked, what)

    assert written.model_json_schema()["properties"] == made.model_json_schema()["properties"]


def test_names_become_python_and_stand_once() -> None:
    assert names("Due date", "dueDate", "2nd name", "class", "json", "model_config", "№ 7") == [
        "due_date",
        "field_2nd_name",
        "class_",
        "json_",
        "the_model_config",
        "field_7",
    ]


def test_a_choice_of_one_is_a_text() -> None:
    assert proposal({"name": "kind", "kind": "choice", "choices": ["a", "a"]})["fields"][0]["kind"] == "text"


def test_a_proposal_without_a_usable_name_is_none() -> None:
    with pytest.raises(InvalidAnswer, match="proposed no field"):
        proposal({"name": "???"})


def test_every_field_may_stay_open() -> None:
    fields = [{"name": f"f{number}", "kind": kind, "choices": ["a", "b"]} for number, kind in enumerate(KINDS)]

    assert answer_schema(proposed_class(proposal(*fields), "all")).read("{}").f0 is None


def test_text_of_the_model_is_a_literal_in_the_source() -> None:
    source = proposed_source(proposal({"name": "a", "description": '"); import os; ("'}), 'x""" import os """')

    assert compile(source, "proposed", "exec").co_names.count("os") == 0
