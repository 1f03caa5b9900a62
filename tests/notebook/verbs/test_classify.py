"""``classify`` through the accessor: against the fake API, which answers by rule, and on the embedded model."""

import enum
import json
from decimal import Decimal
from typing import Any, ClassVar, Literal

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.engine.current import close_current_session
from mistral_nb.engine.log_probabilities import LogProbabilities
from tests.engine.row_runs import is_pack, pack_sizes
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")

LABELS = ["billing", "delivery", "bug"]
TEXTS = ["a question about billing", None, "the delivery is late", "I found a bug"]
DESCRIBED = {"billing": "invoices, refunds", "delivery": "parcels, couriers"}


def classified(rows: list[Any], labels: Any = LABELS, **options: Any) -> Any:
    return pd.Series(rows, dtype="object").mistral.classify(labels, **options)


class TestLabels:
    def test_a_description_says_what_a_label_means(self, api: FakeApi) -> None:
        assert classified(["my refunds", "two parcels"], DESCRIBED).tolist() == ["billing", "delivery"]

    def test_an_enum_gives_its_values(self, api: FakeApi) -> None:
        topic = enum.Enum("topic", {"BILLING": "billing", "BUG": "bug"})

        assert classified(["a bug"], topic).cat.categories.tolist() == ["billing", "bug"]

    @pytest.mark.parametrize("as_labels", [list, dict.fromkeys], ids=["list", "dict"])
    def test_members_of_an_enum_stand_for_their_texts(self, api: FakeApi, as_labels: Any) -> None:
        topic = enum.Enum("topic", {"BILLING": "billing", "BUG": "bug"})
        labels = classified(["a bug"], as_labels(topic), examples=[("it broke", topic["BUG"])])

        assert (labels.tolist(), labels.cat.categories.tolist()) == (["bug"], ["billing", "bug"])

    def test_a_literal_gives_its_texts(self, api: FakeApi) -> None:
        assert classified(["a bug"], Literal["billing", "bug"]).tolist() == ["bug"]

    def test_three_hundred_labels_are_told_apart(self, api: FakeApi) -> None:
        labels = [f"intent number {number:03}" for number in range(300)]
        rows = [f"this is {labels[number]}" for number in (0, 1, 12, 123, 299)]

        assert classified(rows, labels).tolist() == [labels[number] for number in (0, 1, 12, 123, 299)]

    def test_case_twins_and_prefixes_come_back_as_they_are(self, api: FakeApi) -> None:
        labels = ["Née", "née", "née au gratin", 'the "quoted" one', "返品"]
        for label in labels:
            api.play(Fault(content=json.dumps({"label": label}), when=f"text of {label}."))

        assert classified([f"text of {label}." for label in labels], labels).tolist() == labels

    def test_without_another_every_text_gets_one_of_the_labels(self, api: FakeApi) -> None:
        assert classified(["something else entirely"])[0] in LABELS

    def test_what_fits_none_gets_the_other_label(self, api: FakeApi) -> None:
        labels = classified([*TEXTS, "something else entirely"], other="other")

        assert labels.tolist()[-1] == "other"
        assert labels.cat.categories.tolist() == [*LABELS, "other"]

    def test_a_long_label_is_answered_by_its_key(self, api: FakeApi) -> None:
        labels = classified(TEXTS, ["billing", "the delivery is late", "I found a bug"])
        schema = api.requests[0].body["response_format"]["json_schema"]["schema"]

        assert schema["properties"]["label"]["enum"] == ["billing", "the deli", "I found a"]
        assert labels.tolist()[2:] == ["the delivery is late", "I found a bug"]

    def test_examples_and_instructions_reach_the_model(self, api: FakeApi) -> None:
        classified(["a bug"], examples=[("it broke", "bug")], instructions="Be strict.")
        system = api.requests[0].body["messages"][0]["content"]

        assert ('"it broke": bug' in system, "Be strict." in system) == (True, True)

    @pytest.mark.parametrize(
        "options",
        [{"instructions": " "}, {"examples": [("it broke", "bugs")]}, {"rationale": "yes"}, {"confidence": 1}, {"votes": 1},
         {"votes": True}, {"votes": 17}, {"multi_label": "lists"}, {"multi_label": 1}],
        ids=str,
    )  # fmt: skip
    def test_an_option_that_can_not_be_is_refused_before_any_request(
        self, api: FakeApi, options: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.InvalidOption):
            classified(["a bug"], **options)

        assert api.requests == []


class TestConfidence:
    def test_it_comes_from_log_probabilities_where_the_model_gives_them(self, api: FakeApi) -> None:
        frame = classified(TEXTS, confidence=True)

        assert frame["label"].tolist()[2:] == ["delivery", "bug"]
        assert frame["confidence"].round(6).tolist() == [0.9, pd.NA, 0.9, 0.9]
        assert frame["confidence_from"].tolist()[2:] == ["log-probabilities"] * 2

    def test_a_text_that_says_no_label_gets_less(self, api: FakeApi) -> None:
        assert classified(["hello"], confidence=True)["confidence"].round(6).tolist() == [0.5]

    @pytest.mark.parametrize("kind", ["left out", "refused"])
    def test_it_comes_from_votes_where_the_model_gives_none(self, api: FakeApi, kind: Any) -> None:
        api.settings.log_probabilities = kind
        frame = classified(TEXTS, confidence=True)

        assert frame["confidence"].tolist() == [1.0, pd.NA, 1.0, 1.0]
        assert frame["confidence_from"].tolist()[2:] == ["votes"] * 2

    def test_what_the_model_gives_is_found_out_once(self, api: FakeApi) -> None:
        api.settings.log_probabilities = "left out"
        for rows in (["a bug"], ["another bug"]):
            classified(rows, confidence=True)

        assert [request.text for request in api.requests] == ["Answer yes.", "a bug", "another bug"]

    def test_what_the_model_gives_is_remembered_in_the_file(self, api: FakeApi) -> None:
        api.settings.log_probabilities = "left out"
        classified(["a bug"], confidence=True)
        close_current_session()
        frame = classified(["a bug", "another bug"], confidence=True)

        assert [request.text for request in api.requests] == ["Answer yes.", "a bug", "another bug"]
        assert frame["confidence_from"].tolist() == ["votes"] * 2

    @pytest.mark.parametrize("kind", ["given", "left out"])
    def test_kept_answers_are_shown_without_asking_also_when_the_key_is_revoked(self, api: FakeApi, kind: Any) -> None:
        api.settings.log_probabilities = kind
        before = classified(TEXTS, confidence=True)
        sent = len(api.requests)
        mistral_nb.configure(api_key="revoked")

        assert classified(TEXTS, confidence=True).equals(before)
        assert len(api.requests) == sent

    @pytest.mark.parametrize("kind", ["given", "left out"])
    def test_kept_answers_are_shown_also_when_the_finding_is_lost(
        self, api: FakeApi, kind: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.settings.log_probabilities = kind
        before = classified(TEXTS, confidence=True)
        sent = len(api.requests)
        monkeypatch.setattr(LogProbabilities, "known", lambda self, model: None)

        assert classified(TEXTS, confidence=True).equals(before)
        assert len(api.requests) == sent

    def test_a_finding_is_as_old_as_answers_may_be(self, api: FakeApi) -> None:
        mistral_nb.configure(cache_days=1e-9)
        for rows in (["a bug"], ["another bug"]):
            classified(rows, confidence=True)

        assert [request.text for request in api.requests][::2] == ["Answer yes."] * 2

    @pytest.mark.parametrize("escalation", [{}, {"model": "ministral", "escalate": "large"}], ids=["one model", "two"])
    def test_a_column_without_text_asks_for_nothing(self, api: FakeApi, escalation: dict[str, Any]) -> None:
        frame = classified([None, " "], confidence=True, **escalation)

        assert (frame["label"].isna().tolist(), api.requests) == ([True, True], [])

    def test_finding_out_is_within_the_budget(self, priced: FakeApi) -> None:
        with pytest.warns(mistral_nb.FailedRowsWarning, match="BudgetReached"):
            frame = classified(TEXTS, confidence=True, budget_usd=1e-9)

        assert (frame["label"].isna().all(), priced.requests) == (True, [])

    def test_finding_out_leaves_less_of_the_budget(self, priced: FakeApi) -> None:
        priced.settings.log_probabilities = "left out"
        enough_for_the_row = classified(["a bug"], dry_run=True, confidence=True).cost_usd_most
        with pytest.warns(mistral_nb.FailedRowsWarning, match="BudgetReached"):
            classified(["a bug"], confidence=True, budget_usd=enough_for_the_row)

        assert [request.text for request in priced.requests] == ["Answer yes."]

    @pytest.mark.parametrize("options", [{}, {"background": True}, {"details": True}], ids=str)
    def test_finding_out_is_on_the_bill_of_the_run(self, priced: FakeApi, options: dict[str, Any]) -> None:
        given = classified(TEXTS, confidence=True, **options)
        if "background" in options:
            given.result()
        result = mistral_nb.session().last_run.result
        written_down = sum(record.cost_usd or 0 for record in mistral_nb.session().ledger.records())

        assert (result.requests, result.progress.requests) == (4, 4)
        assert result.cost_usd == result.progress.cost_usd == written_down

    def test_what_all_rows_cost_is_the_bill(self, priced: FakeApi) -> None:
        details = classified(TEXTS, confidence=True, details=True)

        assert details["cost_usd"].sum() == pytest.approx(float(mistral_nb.session().last_run.result.cost_usd))

    def test_finding_out_for_a_batch_job_is_on_its_bill(self, priced: FakeApi) -> None:
        classified(TEXTS, confidence=True, mode="batch").result()
        result = mistral_nb.session().last_run.result
        written_down = sum(record.cost_usd or 0 for record in mistral_nb.session().ledger.records())

        assert (result.requests, result.cost_usd) == (4, written_down)

    def test_finding_out_for_a_batch_job_is_within_its_budget(self, priced: FakeApi) -> None:
        job = classified(TEXTS, confidence=True, mode="batch", budget_usd=1e-9)

        assert (set(job.failed["error"]), priced.requests) == ({"BudgetReached"}, [])

    def test_where_there_are_no_batch_jobs_nothing_is_found_out(self, api: FakeApi) -> None:
        mistral_nb.configure(region="eu", endpoint="")
        with pytest.raises(errors.NotSupported):
            classified(TEXTS, confidence=True, mode="batch")

        assert api.requests == []

    def test_finding_out_is_written_down_as_a_request_of_the_verb(self, api: FakeApi) -> None:
        classified(["a bug"], confidence=True)

        assert {(record.door, record.verb) for record in mistral_nb.session().ledger.records()} == {
            ("accessor", "classify")
        }

    @pytest.mark.parametrize(
        "options", [{"votes": 5}, {"confidence": True, "votes": 2}, {"multi_label": True, "votes": 3},
                    {"multi_label": True, "confidence": True}], ids=str,
    )  # fmt: skip
    def test_votes_at_temperature_0_are_refused_since_all_would_be_one(
        self, api: FakeApi, options: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.InvalidOption, match=r"votes would be one\.\nLeave temperature out"):
            classified(["a bug"], temperature=0, **options)

        assert api.requests == []

    def test_votes_in_the_place_of_log_probabilities_are_refused_at_temperature_0_as_well(self, api: FakeApi) -> None:
        api.settings.log_probabilities = "left out"
        with pytest.raises(errors.InvalidOption, match="5 votes would be one"):
            classified(["a bug"], temperature=0, confidence=True)

        assert [request.text for request in api.requests] == ["Answer yes."]

    def test_log_probabilities_are_given_at_temperature_0(self, api: FakeApi) -> None:
        assert classified(["a bug"], temperature=0, confidence=True)["confidence_from"].tolist() == [
            "log-probabilities"
        ]

    def test_votes_that_differ_lower_it(self, api: FakeApi) -> None:
        frame = classified([f"hello {number}" for number in range(20)], confidence=True, votes=5)

        assert set(frame["confidence"]) > {0.6}
        assert set(frame["confidence"]) <= {0.4, 0.6, 0.8, 1.0}

    def test_votes_alone_give_the_label_that_most_answers_say(self, api: FakeApi) -> None:
        labels = classified(TEXTS, votes=3)

        assert (labels.dtype, labels.tolist()[2:]) == (pd.CategoricalDtype(LABELS), ["delivery", "bug"])
        assert {request.body["n"] for request in api.requests} == {3}

    def test_the_receipt_of_votes_holds_all_of_them(self, priced: FakeApi) -> None:
        once, five = (classified(TEXTS, dry_run=True, **more) for more in ({}, {"votes": 5}))

        assert five.completion_tokens_most == 5 * once.completion_tokens_most
        assert five.completion_tokens_expected == 5 * once.completion_tokens_expected
        assert five.prompt_tokens == once.prompt_tokens

    def test_a_budget_holds_all_votes(self, priced: FakeApi) -> None:
        receipt = classified(TEXTS, dry_run=True, votes=5)
        classified(TEXTS, votes=5, budget_usd=receipt.budget_usd)

        assert mistral_nb.session().last_run.result.cost_usd <= receipt.cost_usd_most

    def test_a_budget_that_all_votes_may_exceed_asks_for_none(self, priced: FakeApi) -> None:
        most = classified(["a bug"], dry_run=True, votes=5).cost_usd_most
        with pytest.warns(mistral_nb.FailedRowsWarning, match="BudgetReached"):
            classified(["a bug"], votes=5, budget_usd=most - Decimal("0.0000001"))

        assert priced.requests == []

    def test_a_dry_run_sends_nothing(self, api: FakeApi) -> None:
        classified(TEXTS, confidence=True, dry_run=True)

        assert api.requests == []


class TestTemperature:
    @pytest.mark.parametrize(
        ("options", "temperature"),
        [
            ({}, 0),
            ({"multi_label": True}, 0),
            ({"multi_label": "columns"}, 0),
            ({"rationale": True}, 0),
            ({"confidence": True}, 0),
            ({"rows_per_request": 3}, 0),
            ({"multi_label": True, "rows_per_request": 3}, 0),
            ({"votes": 3}, 0.7),
            ({"multi_label": True, "votes": 3}, 0.7),
            ({"temperature": 0.3}, 0.3),
        ],
        ids=str,
    )
    def test_it_is_0_but_for_votes_unless_one_is_given(
        self, api: FakeApi, options: dict[str, Any], temperature: float
    ) -> None:
        classified(TEXTS, **options)
        asked = [request for request in api.requests if request.text != "Answer yes."]

        assert {(request.body or {}).get("temperature") for request in asked} == {temperature}


class TestRationale:
    def test_it_stands_beside_the_label(self, api: FakeApi) -> None:
        frame = classified(TEXTS, rationale=True)

        assert (frame.columns.tolist(), str(frame["rationale"].dtype)) == (["label", "rationale"], "str")
        assert frame["rationale"].isna().tolist() == [False, True, False, False]

    def test_the_receipt_shows_what_it_costs(self, api: FakeApi) -> None:
        without, with_it = (classified(TEXTS, dry_run=True, rationale=value) for value in (False, True))

        assert with_it.completion_tokens_expected > without.completion_tokens_expected + 3 * 40

    @pytest.mark.parametrize(
        ("options", "tokens"),
        [({}, 150), ({"multi_label": True}, 150), ({"votes": 2}, 300), ({"mode": "preview+batch", "preview": 1}, 150),
         ({"model": "ministral", "escalate": "large"}, 300)],
        ids=str,
    )  # fmt: skip
    def test_the_receipt_says_how_many_tokens_it_costs(
        self, priced: FakeApi, options: dict[str, Any], tokens: int
    ) -> None:
        receipt = classified(TEXTS, dry_run=True, rationale=True, **options)

        assert receipt.rationale_tokens_expected == tokens
        assert f"({tokens} of them for reasons)" in str(receipt)

    def test_the_receipt_says_nothing_of_reasons_that_nobody_asked_for(self, api: FakeApi) -> None:
        assert "reasons" not in str(classified(TEXTS, dry_run=True))

    def test_it_may_be_packed(self, api: FakeApi) -> None:
        rows = [f"{LABELS[number % 3]} no {number}" for number in range(12)]
        frame = classified(rows, rationale=True, rows_per_request=4)

        assert (frame["label"].tolist(), pack_sizes(api)) == (LABELS * 4, [4] * 3)


class TestMultiLabel:
    ROWS = ("billing and a bug", None, "hello", "the bug of the delivery")

    def test_it_gives_lists_in_the_order_of_the_labels(self, api: FakeApi) -> None:
        lists = classified(list(self.ROWS), multi_label=True)

        assert lists.tolist() == [["billing", "bug"], None, [], ["delivery", "bug"]]

    def test_it_gives_a_boolean_column_for_each_label(self, api: FakeApi) -> None:
        frame = classified(list(self.ROWS), multi_label="columns")

        assert (frame.columns.tolist(), [str(dtype) for dtype in frame.dtypes]) == (LABELS, ["boolean"] * 3)
        assert frame["bug"].tolist() == [True, pd.NA, False, True]

    def test_what_fits_none_gets_the_other_label_alone(self, api: FakeApi) -> None:
        assert classified(list(self.ROWS), multi_label=True, other="other").tolist()[2] == ["other"]

    def test_rows_that_share_a_request_get_their_own(self, api: FakeApi) -> None:
        rows = [f"{LABELS[number % 3]} and {LABELS[(number + 1) % 3]}, {number}" for number in range(9)]
        lists = classified(rows, multi_label=True, rows_per_request=3)

        assert lists.tolist() == [["billing", "delivery"], ["delivery", "bug"], ["billing", "bug"]] * 3
        assert all(map(is_pack, api.requests[:3]))

    def test_confidence_is_each_labels_share_of_votes(self, api: FakeApi) -> None:
        frame = classified(["billing and a bug"], multi_label=True, confidence=True, votes=4)

        assert frame.loc[0].tolist() == [["billing", "bug"], {"billing": 1.0, "bug": 1.0}, "votes"]

    def test_columns_say_where_their_confidence_comes_from(self, api: FakeApi) -> None:
        frame = classified(list(self.ROWS), multi_label="columns", confidence=True)

        assert frame["confidence_from"].isna().tolist() == [False, True, False, False]
        assert set(frame["confidence_from"].dropna()) == {"votes"}

    def test_a_label_that_is_none_fails_its_row(self, api: FakeApi) -> None:
        api.play(Fault(content='{"labels": ["Z"]}', when="hello"))
        with pytest.warns(mistral_nb.FailedRowsWarning):
            lists = classified(list(self.ROWS), multi_label=True)

        assert lists.isna().tolist() == [False, True, True, False]

    def test_a_label_with_the_name_of_another_column_is_refused(self, api: FakeApi) -> None:
        with pytest.raises(errors.InvalidLabels, match="'rationale' has the name of a column"):
            classified(["a"], ["rationale", "b"], multi_label="columns", rationale=True)


class TestShownInAnotherForm:
    """What is kept of a question serves every way of showing it, whichever was asked for first."""

    FORMS: ClassVar[dict[str, list[dict[str, Any]]]] = {
        "several labels": [{"multi_label": True}, {"multi_label": "columns"}],
        "votes": [{"votes": 3}, {"votes": 3, "confidence": True}],
        "votes on several labels": [
            {"multi_label": form, "votes": 3, "confidence": confidence}
            for form in (True, "columns")
            for confidence in (False, True)
        ],
        "votes with reasons": [{"votes": 3, "rationale": True, "confidence": shown} for shown in (False, True)],
    }

    @pytest.mark.parametrize("forms", FORMS.values(), ids=FORMS)
    def test_it_is_what_asking_anew_gives_and_costs_nothing(self, api: FakeApi, forms: list[dict[str, Any]]) -> None:
        anew = [classified(TEXTS, **options, cache=False) for options in forms]
        for options in forms:
            mistral_nb.clear_cache()
            classified(TEXTS, **options)
            before = len(api.requests)
            for other, expected in zip(forms, anew, strict=True):
                assert classified(TEXTS, **other).equals(expected)
            assert len(api.requests) == before


@pytest.mark.usefixtures("embedded")
class TestOnTheEmbeddedModel:
    def test_label_scores_are_the_confidence(self) -> None:
        frame = classified(["I was charged twice for my invoice", None], DESCRIBED, confidence=True)

        assert (frame["label"].tolist()[0], frame["confidence_from"].tolist()[0]) == ("billing", "label scores")
        assert 0.5 < frame["confidence"][0] < 1

    def test_examples_teach_it_what_a_label_means(self) -> None:
        rows = ["the zorp of my bicycle squeaks", "my invoice is wrong"]
        examples = [("the bicycle squeaks", "L1"), ("a wrong invoice", "L2")]

        assert classified(rows, ["L1", "L2"], examples=examples).tolist() == ["L1", "L2"]

    def test_a_rationale_is_written_for_the_label_that_scored_best(self) -> None:
        frame = classified(["I was charged twice for my invoice"], DESCRIBED, rationale=True)

        assert frame["label"].tolist() == ["billing"]
        assert frame["rationale"].str.len()[0] > 0

    def test_several_labels_are_scored_part_by_part(self) -> None:
        text = "My invoice has a refund that is wrong. And the courier lost my parcel."
        frame = classified([text], DESCRIBED, multi_label=True, confidence=True, rationale=True)

        assert frame["labels"].tolist() == [["billing", "delivery"]]
        assert frame["confidence_from"].tolist() == ["label scores"]
        assert {name for name, applies in frame["confidence"][0].items() if applies > 0.5} == {"billing", "delivery"}
        assert frame["rationale"].str.len()[0] > 0

    def test_several_labels_are_columns_as_well(self) -> None:
        texts = ["My invoice has a refund that is wrong. And the courier lost my parcel."]
        frame = classified(texts, DESCRIBED, multi_label="columns")

        assert frame.iloc[0].to_dict() == {name: name in {"billing", "delivery"} for name in DESCRIBED}

    def test_rows_that_share_a_request_are_written_which_is_said(self) -> None:
        with pytest.warns(UserWarning, match="Leave rows_per_request out"):
            labels = classified(["I was charged twice", "My parcel is late"], DESCRIBED, rows_per_request=2)

        assert labels.isin(list(DESCRIBED)).all()

    def test_a_text_that_no_label_fits_is_another(self) -> None:
        texts = ["I was charged twice, the invoice is wrong", "The cat sleeps on the roof"]

        assert classified(texts, DESCRIBED, other="other").tolist() == ["billing", "other"]

    def test_votes_are_scores_as_well(self) -> None:
        frame = classified(["I was charged twice for my invoice"], DESCRIBED, confidence=True, votes=5)

        assert frame["confidence_from"].tolist() == ["label scores"]

    def test_what_instructions_say_of_a_label_counts(self) -> None:
        instructions = "Anything about bicycles is L1. Anything about invoices is L2."

        assert classified(["my invoice is wrong"], ["L1", "L2"], instructions=instructions).tolist() == ["L2"]

    def test_what_was_written_for_rows_that_shared_a_request_is_not_shown_where_labels_are_scored(self) -> None:
        texts = ["My invoice is wrong.", "The courier lost my parcel."]
        with pytest.warns(UserWarning, match="Leave rows_per_request out"):
            classified(texts, DESCRIBED, multi_label=True, rows_per_request=2)
        frame = classified(texts, DESCRIBED, multi_label=True, confidence=True)

        assert frame["labels"].tolist() == [["billing"], ["delivery"]]
        assert frame["confidence"].notna().all()
