"""One label for a text: what is asked, and how the answer is read."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.completion import Completion, TokenLogProbability
from mistral_nb.errors import InvalidAnswer
from mistral_nb.tasks.classify import Classify, classify_task
from mistral_nb.tasks.confidence import ConfidenceSource
from mistral_nb.tasks.multi_label import multi_label_task

one_line = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(str.strip)
labels = st.lists(one_line, min_size=2, max_size=40, unique_by=str.strip)
LABELS = ["billing", "delivery", "bug"]
LONG = ["complaint about billing", "complaint about delivery", "complaint about bugs"]


def answer(text: str, **more: Any) -> Completion:
    return Completion(text=text, model="m", **more)


def said(label: str, **more: Any) -> Completion:
    return answer(json.dumps({"label": label, **more}))


def with_confidence(votes: int | None) -> Classify:
    return replace(classify_task(LONG, shows_confidence=True), confidence=ConfidenceSource(votes))


@given(labels=labels, data=st.data())
def test_every_key_is_read_back_as_its_label(labels: list[str], data: st.DataObject) -> None:
    task = classify_task(labels)
    place = data.draw(st.integers(0, len(labels) - 1))

    assert task.value(said(task.labels.keys[place])) == labels[place]


@given(labels=labels, data=st.data())
def test_a_label_that_is_written_out_is_read_as_itself_or_as_a_key(labels: list[str], data: st.DataObject) -> None:
    """Servers that don't enforce the schema let models do that."""
    task = classify_task(labels)
    label = data.draw(st.sampled_from(labels))

    assert label in task.labels.keys or task.value(said(label)) == label


@given(labels=labels)
def test_the_longest_key_fits_into_the_answer(labels: list[str]) -> None:
    """A token holds at least one byte."""
    task = classify_task(labels)

    longest = max(len(json.dumps({"label": key}).encode()) for key in task.labels.keys)

    assert longest <= (task.request("text", model="m").max_tokens or 0)


@given(text=st.text(max_size=200))
def test_the_text_is_sent_as_it_is_and_alone(text: str) -> None:
    request = classify_task(["a", "b"]).request(text, model="m")

    assert request.messages[-1] == {"role": "user", "content": text}


@pytest.mark.parametrize("content", ['{"label": "c"}', '{"label": ["x"]}', '{"topic": "x"}', '"x"', "x", "{", "null"])
def test_whatever_is_not_a_label_is_an_error(content: str) -> None:
    with pytest.raises(InvalidAnswer):
        classify_task(["x", "y"]).value(answer(content))


@pytest.mark.parametrize("content", ['```json\n{"label": "x"}\n```', '```\n{"label": "x"}```'])
def test_json_in_a_code_block_is_read(content: str) -> None:
    assert classify_task(["x", "y"]).value(answer(content)) == "x"


class TestPrompt:
    @staticmethod
    def system(labels: Any = LABELS, **options: Any) -> str:
        return str(classify_task(labels, **options).request("text", model="m").messages[0]["content"])

    def test_it_has_a_line_for_each_label(self) -> None:
        assert "\n- billing\n- delivery\n- bug\n" in self.system()

    def test_long_labels_stand_with_their_keys(self) -> None:
        assert "\nA: complaint about billing\nB: complaint about delivery\nC: complaint about bugs\n" in self.system(
            LONG
        )

    def test_a_description_stands_beside_its_label(self) -> None:
        task = classify_task({"billing": "invoices,\n refunds", "bug": "something broken"})

        assert task.labels.lines == "- billing (invoices, refunds)\n- bug (something broken)"

    def test_the_label_for_all_else_says_so(self) -> None:
        assert "\n- other (none of the above fits)\n" in self.system(other="other")

    def test_examples_stand_with_their_keys(self) -> None:
        assert '\nExamples:\n"card \\"charged\\" twice": A\n' in self.system(
            LONG, examples=[('card "charged" twice', LONG[0])]
        )

    def test_instructions_stand_in_it(self) -> None:
        assert "\nIrony counts as what is meant.\n" in self.system(instructions=" Irony counts as what is meant. ")

    def test_what_was_not_asked_for_costs_nothing(self) -> None:
        system = self.system()

        assert not any(word in system for word in ("Examples", "rationale", "other"))


class TestScoring:
    """The embedded model may score the labels instead of answering the messages."""

    def test_the_choice_has_the_labels_and_their_keys(self) -> None:
        choice = classify_task(LONG).request("text", model="m").choice

        assert choice is not None
        assert (choice.labels, choice.answers, choice.hints) == (tuple(LONG), ("A", "B", "C"), ())

    def test_descriptions_and_examples_are_hints(self) -> None:
        task = classify_task({"billing": "invoices", "bug": None}, examples={"it broke": "bug"})
        choice = task.request("text", model="m").choice

        assert choice is not None
        assert choice.hints == (("invoices",), ("it broke",))

    def test_the_label_for_all_other_texts_is_known_as_such_and_has_no_hints(self) -> None:
        choice = classify_task({"billing": "invoices", "bug": None}, other="none").request("text", model="m").choice

        assert choice is not None
        assert (choice.labels, choice.other, choice.hints) == (
            ("billing", "bug", "none"),
            "none",
            (("invoices",), (), ()),
        )

    def test_instructions_are_there_and_what_they_say_of_one_label_is_a_hint(self) -> None:
        said = "Refunds are Billing. Late parcels are delivery, not billing.\nBe strict."
        choice = classify_task(LABELS, instructions=said).request("text", model="m").choice

        assert choice is not None
        assert (choice.instructions, choice.hints) == (said, (("Refunds are Billing.",), (), ()))

    def test_a_part_of_a_word_names_no_label(self) -> None:
        choice = classify_task(LABELS, instructions="Debugging takes long.").request("text", model="m").choice

        assert choice is not None
        assert choice.hints == ()

    def test_any_number_of_several_labels_may_apply(self) -> None:
        choice = multi_label_task(LABELS, other="none").request("text", model="m").choice

        assert choice is not None
        assert (choice.labels, choice.other, choice.is_several) == ((*LABELS, "none"), "none", True)

    def test_votes_are_written(self) -> None:
        assert with_confidence(5).request("text", model="m").choice is None


def token(text: str, share: float = 1.0, **rivals: float) -> TokenLogProbability:
    likeliest = {other: math.log(rival) for other, rival in {text: share, **rivals}.items()}
    return TokenLogProbability(token=text, log_probability=math.log(share), likeliest=likeliest)


def with_tokens(*tokens: TokenLogProbability) -> Completion:
    return answer("".join(found.token for found in tokens), token_log_probabilities=tokens)


class TestConfidence:
    def test_log_probabilities_give_the_share_among_the_keys(self) -> None:
        completion = with_tokens(token('{"label": "'), token("B", 0.6, A=0.2, Z=0.2), token('"}'))

        assert with_confidence(None).value(completion) == {
            "label": LONG[1],
            "confidence": pytest.approx(0.75),
            "confidence_from": "log-probabilities",
        }

    def test_a_token_may_hold_more_than_the_key(self) -> None:
        completion = with_tokens(token('{"label":'), token(' "B"}', 0.6, **{' "A"}': 0.2, " 7": 0.2}))

        assert with_confidence(None).value(completion)["confidence"] == pytest.approx(0.75)

    def test_a_short_label_may_be_of_several_tokens(self) -> None:
        task = replace(classify_task(LABELS, shows_confidence=True), confidence=ConfidenceSource())
        completion = with_tokens(
            token('{"label": "'), token("b", 0.9, x=0.1), token("ug", 0.5, illing=0.25, read=0.25), token('"}')
        )

        assert task.value(completion)["confidence"] == pytest.approx(0.5 / 0.75)

    def test_a_key_of_several_tokens_is_as_likely_as_all_of_them_together(self) -> None:
        task = replace(
            classify_task([f"intent of customers {number}" for number in range(30)], shows_confidence=True),
            confidence=ConfidenceSource(),
        )
        completion = with_tokens(
            token('{"label": "'), token("1", 0.5, **{"2": 0.5}), token("2", 0.8, **{'"': 0.2}), token('"}')
        )

        assert task.value(completion)["confidence"] == pytest.approx(0.4)

    def test_an_answer_without_log_probabilities_has_none(self) -> None:
        assert with_confidence(None).value(said("B")) == {
            "label": LONG[1],
            "confidence": None,
            "confidence_from": None,
        }

    def test_label_scores_are_taken_as_they_are(self) -> None:
        completion = answer('{"label": "B"}', label_probabilities=dict(zip(LONG, (0.3, 0.6, 0.1), strict=True)))

        assert with_confidence(None).value(completion) == {
            "label": LONG[1],
            "confidence": 0.6,
            "confidence_from": "label scores",
        }

    def test_votes_give_the_share_of_choices_that_agree(self) -> None:
        completion = replace(said("A"), other_choices=(said("B"), said("B"), said("spam"), answer("no JSON")))

        assert with_confidence(5).value(completion) == {
            "label": LONG[1],
            "confidence": 0.4,
            "confidence_from": "votes",
        }

    def test_of_equal_votes_the_first_counts(self) -> None:
        completion = replace(said("C"), other_choices=(said("B"), said("B"), said("C")))

        assert with_confidence(4).value(completion)["label"] == LONG[2]

    def test_votes_of_which_none_can_be_read_are_an_error(self) -> None:
        with pytest.raises(InvalidAnswer, match="spam"):
            with_confidence(2).value(replace(said("spam"), other_choices=(said("ham"),)))

    def test_votes_are_not_all_the_same_one(self) -> None:
        request = with_confidence(5).request("text", model="m")

        assert (request.options, request.temperature) == ({"n": 5}, 0.7)
        assert request.most_completion_tokens == 5 * (request.max_tokens or 0)


class TestRationale:
    def test_it_stands_beside_the_label(self) -> None:
        task = classify_task(LONG, rationale=True)

        assert task.value(said("C", rationale=" It broke. ")) == {"label": LONG[2], "rationale": "It broke."}

    @pytest.mark.parametrize("rationale", [None, "", " ", 3])
    def test_an_answer_without_one_is_an_error(self, rationale: Any) -> None:
        with pytest.raises(InvalidAnswer, match="rationale"):
            classify_task(LONG, rationale=True).value(said("C", rationale=rationale))

    def test_it_may_share_a_request(self) -> None:
        packing = classify_task(LONG, rationale=True).packing
        assert packing is not None
        rows = [{"id": 1, "answer": {"label": "B", "rationale": "Late."}}, {"id": 2, "answer": {"label": "B"}}]
        first, second = packing.values(answer(json.dumps({"rows": rows})), count=2)

        assert (first, type(second)) == ({"label": LONG[1], "rationale": "Late."}, InvalidAnswer)
