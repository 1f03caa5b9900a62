import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.completion import Completion
from mistral_nb.errors import InvalidAnswer
from mistral_nb.tasks.classify import classify_task

one_line = st.text(st.characters(exclude_categories=["Cc"]), min_size=1).filter(str.strip)
labels = st.lists(one_line, min_size=2, max_size=8, unique_by=str.strip)


@given(labels=labels, data=st.data())
def test_every_label_is_read_back_as_it_was_given(labels: list[str], data: st.DataObject) -> None:
    task = classify_task(labels)
    label = data.draw(st.sampled_from(labels))

    assert task.value(Completion(text=json.dumps({"label": label}), model="m")) == label


@given(labels=labels)
def test_the_longest_label_fits_into_the_answer(labels: list[str]) -> None:
    """A token holds at least one byte, so the answer in bytes bounds its tokens."""
    request = classify_task(labels).request("text", model="m")
    longest = max(len(json.dumps({"label": label}).encode()) for label in labels)

    assert request.max_tokens is not None
    assert longest <= request.max_tokens


@given(text=st.text(max_size=200))
def test_the_text_is_sent_as_it_is_and_alone(text: str) -> None:
    request = classify_task(["a", "b"]).request(text, model="m")

    assert request.messages[-1] == {"role": "user", "content": text}


@pytest.mark.parametrize("answer", ['{"label": "c"}', '{"label": ["a"]}', '{"topic": "a"}', '"a"', "a", "{", "null"])
def test_whatever_is_not_a_label_is_an_error(answer: str) -> None:
    with pytest.raises(InvalidAnswer):
        classify_task(["a", "b"]).value(Completion(text=answer, model="m"))


@pytest.mark.parametrize("answer", ['```json\n{"label": "a"}\n```', '```\n{"label": "a"}```'])
def test_json_in_a_code_block_is_read(answer: str) -> None:
    assert classify_task(["a", "b"]).value(Completion(text=answer, model="m")) == "a"


def test_labels_may_come_from_any_iterable() -> None:
    assert classify_task(label for label in ("a", "b")).labels == ("a", "b")
