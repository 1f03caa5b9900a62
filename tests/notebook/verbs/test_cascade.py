"""``classify(escalate=…)``: the fake API is 0.9 sure of a label that a text says, and 0.5 where it says none."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mistral_nb
from mistral_nb import errors
from tests.fake_api import FakeApi, Fault, SeenRequest

pytestmark = pytest.mark.usefixtures("library")

LABELS = ["billing", "delivery", "bug"]
FIRST, SECOND = "ministral-8b-latest", "mistral-large-latest"
ROWS = ["a question about billing", None, "hello", "I found a bug", "good morning", "hello"]


def cascaded(rows: list[Any] = ROWS, labels: Any = LABELS, **options: Any) -> Any:
    wanted = {"model": "ministral", "escalate": "large"} | options
    return pd.Series(rows, dtype="object").mistral.classify(labels, **wanted)


def last_run() -> Any:
    return pd.Series(ROWS, dtype="object").mistral.last_run


def asked(api: FakeApi, model: str) -> list[str]:
    """Return the texts that a model was asked about, but what finds out whether it gives log-probabilities."""
    texts = [request.text for request in api.requests if (request.body or {})["model"] == model]
    return [text for text in texts if text != "Answer yes."]


def is_second(request: SeenRequest) -> bool:
    return bool((request.body or {})["model"] == SECOND)


def is_about(text: str, model: str) -> Any:
    return lambda request: (request.body or {})["model"] == model and request.text == text


class TestWhoIsAsked:
    def test_only_texts_with_less_confidence_go_on(self, api: FakeApi) -> None:
        cascaded(below=0.8)

        assert sorted(asked(api, FIRST)) == ["I found a bug", "a question about billing", "good morning", "hello"]
        assert sorted(asked(api, SECOND)) == ["good morning", "hello"]

    @pytest.mark.parametrize(("below", "count"), [(0.4, 0), (1, 4)])
    def test_the_threshold_decides_how_many(self, api: FakeApi, below: float, count: int) -> None:
        cascaded(below=below)

        assert len(asked(api, SECOND)) == count

    def test_an_answer_that_can_not_be_read_goes_on(self, api: FakeApi) -> None:
        api.play(Fault(content='{"label": "spam"}', when=is_about("I found a bug", FIRST), times=None))
        labels = cascaded()

        assert "I found a bug" in asked(api, SECOND)
        assert labels[3] == "bug"

    def test_the_second_models_label_counts(self, api: FakeApi) -> None:
        api.play(Fault(content='{"label": "delivery"}', when=is_about("hello", SECOND), times=None))

        assert cascaded()[[2, 5]].tolist() == ["delivery", "delivery"]

    def test_votes_of_the_first_model_decide_as_well(self, api: FakeApi) -> None:
        api.settings.log_probabilities = "refused"
        cascaded(["a bug", *(f"hello {number}" for number in range(12))], votes=5, below=1)
        asked_of_second = [(request.body or {}) for request in api.requests if is_second(request)]

        assert 0 < len(asked_of_second) < 13
        assert [body for body in asked_of_second if "n" in body] == []

    def test_without_confidence_and_votes_it_is_refused_with_the_votes_to_paste(self, api: FakeApi) -> None:
        api.settings.log_probabilities = "left out"
        with pytest.raises(errors.NotSupported, match="votes=5"):
            cascaded()

        assert asked(api, FIRST) == []


class TestWhatComes:
    def test_it_is_a_column_like_that_of_one_model(self, api: FakeApi) -> None:
        labels = cascaded()

        assert labels.dtype == pd.CategoricalDtype(LABELS)
        assert labels.isna().tolist() == [False, True, False, False, False, False]

    def test_details_say_which_model_answered(self, api: FakeApi) -> None:
        details = cascaded(details=True)

        assert details["model"].dropna().tolist() == [FIRST, SECOND, FIRST, SECOND, SECOND]

    def test_details_say_it_of_kept_answers_too(self, api: FakeApi) -> None:
        cascaded()
        details = cascaded(details=True)

        assert details["model"].dropna().tolist() == [FIRST, SECOND, FIRST, SECOND, SECOND]
        assert details["from_cache"].dropna().all()

    def test_details_say_it_where_only_the_first_answer_is_new(self, api: FakeApi) -> None:
        cascaded(["hello"], model=SECOND, escalate=None, below=None)
        details = cascaded(["hello"], details=True)

        assert (details["model"].tolist(), asked(api, SECOND)) == ([SECOND], ["hello"])

    def test_what_a_row_cost_is_what_both_models_took(self, priced: FakeApi) -> None:
        details = cascaded(details=True)

        assert details["cost_usd"].sum() == pytest.approx(float(last_run().result.cost_usd or 0))
        assert details.loc[2, "prompt_tokens"] > details.loc[0, "prompt_tokens"]

    def test_the_confidence_is_that_of_the_model_that_answered(self, api: FakeApi) -> None:
        api.settings.log_probabilities = "given"
        frame = cascaded(confidence=True, below=0.95)

        assert frame["confidence"].round(6).tolist() == [0.9, pd.NA, 0.5, 0.9, 0.5, 0.5]

    def test_a_rationale_stands_beside_the_label(self, api: FakeApi) -> None:
        frame = cascaded(rationale=True)

        assert frame.columns.tolist() == ["label", "rationale"]
        assert frame["rationale"].isna().tolist() == [False, True, False, False, False, False]

    def test_masked_texts_stay_here(self, api: FakeApi) -> None:
        cascaded(["hello from ada@example.org"], mask=True)

        assert asked(api, FIRST) == asked(api, SECOND) == ["hello from [EMAIL_1]"]


class TestWhatFails:
    def test_a_row_without_the_second_answer_has_none(self, api: FakeApi) -> None:
        api.play(Fault(content="no JSON", when=is_about("hello", SECOND), times=None))
        with pytest.warns(mistral_nb.FailedRowsWarning, match="2 of 6 rows failed"):
            labels = cascaded()

        assert labels.isna().tolist() == [False, True, True, False, False, True]
        assert last_run().failed["error"].tolist() == ["InvalidAnswer"] * 2

    def test_retry_asks_only_what_is_missing(self, api: FakeApi) -> None:
        api.play(Fault(content="no JSON", when=is_about("hello", SECOND)))
        with pytest.warns(mistral_nb.FailedRowsWarning):
            cascaded()
        before = len(api.requests)
        labels = last_run().retry()

        assert labels.notna().sum() == 5
        assert [(request.body or {})["model"] for request in api.requests[before:]] == [SECOND]

    def test_what_no_row_could_escape_stops_the_run_and_what_came_is_kept(self, api: FakeApi) -> None:
        api.play(Fault(status=401, when=is_second, times=None))
        with pytest.raises(errors.InvalidKey):
            cascaded()
        values = last_run().column

        assert values.isna().tolist() == [False, True, True, False, True, True]

    @pytest.mark.parametrize(
        "options",
        [{"below": 0}, {"below": 1.1}, {"below": "0.8"}, {"below": True}, {"escalate": " "}, {"escalate": 3},
         {"escalate": "ministral"}, {"escalate": None, "below": 0.8}, {"multi_label": True}],
        ids=str,
    )  # fmt: skip
    def test_an_option_that_can_not_be_is_refused_before_any_request(
        self, api: FakeApi, options: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.InvalidOption):
            cascaded(**options)

        assert api.requests == []

    def test_a_batch_job_is_refused_with_the_reason(self, api: FakeApi) -> None:
        with pytest.raises(errors.NotSupported, match="when the first has answered"):
            cascaded(mode="batch")

        assert api.requests == []


class TestWhatItCosts:
    def test_nothing_is_paid_twice(self, api: FakeApi) -> None:
        first = cascaded()
        sent = len(api.requests)
        again = cascaded()

        assert len(api.requests) == sent
        assert again.equals(first)
        assert last_run().progress.cached == 5

    def test_another_threshold_pays_for_what_is_new(self, api: FakeApi) -> None:
        cascaded(below=0.8)
        sent = len(api.requests)
        cascaded(below=1)

        assert {(request.body or {})["model"] for request in api.requests[sent:]} == {SECOND}

    def test_each_models_answers_serve_it_alone_too(self, api: FakeApi) -> None:
        cascaded(below=1)
        sent = len(api.requests)
        cascaded(escalate=None, confidence=True)
        cascaded(model="large", escalate=None)

        assert len(api.requests) == sent

    def test_one_text_is_said_to_be_one(self, api: FakeApi) -> None:
        cascaded(["a bug"], below=1)

        assert "1 of 1 text (100%) went on to" in repr(last_run())

    def test_the_report_says_how_many_went_on_and_what_was_saved(self, priced: FakeApi) -> None:
        rows = [*(f"the bug of page {number}" for number in range(18)), "hello", "good morning"]
        cascaded(rows, rows_per_request=1)
        report = last_run().cascade
        assert report is not None
        sent = len(priced.requests)
        alone = cascaded(rows, model="large", escalate=None, rows_per_request=1, dry_run=True, cache=False)

        assert (report.texts, report.escalated, len(priced.requests)) == (20, 2, sent)
        assert report.cost_usd == last_run().result.cost_usd
        assert report.saved_usd == alone.cost_usd_expected - last_run().result.cost_usd > 0
        assert "2 of 20 texts (10%) went on to mistral-large-latest" in repr(last_run())

    def test_kept_answers_have_the_price_they_had(self, priced: FakeApi) -> None:
        cascaded(["what a model gives is found out once"])
        reports = []
        for _ in range(2):
            cascaded()
            reports.append(last_run().cascade)

        assert reports[0] == reports[1]

    def test_it_says_where_it_cost_more(self, priced: FakeApi) -> None:
        cascaded(below=1)

        assert "more)" in str(last_run().cascade)

    def test_finding_out_what_both_models_give_is_on_the_bill(self, priced: FakeApi) -> None:
        cascaded(confidence=True)
        written_down = sum(record.cost_usd or 0 for record in mistral_nb.session().ledger.records())

        assert [request.text for request in priced.requests].count("Answer yes.") == 2
        assert (last_run().result.requests, last_run().result.cost_usd) == (len(priced.requests), written_down)

    def test_finding_out_is_within_the_budget(self, priced: FakeApi) -> None:
        with pytest.warns(mistral_nb.FailedRowsWarning, match="BudgetReached"):
            cascaded(budget_usd=1e-9)

        assert priced.requests == []

    def test_kept_answers_are_shown_in_another_kernel_without_asking(self, api: FakeApi) -> None:
        before = cascaded(confidence=True)
        sent = len(api.requests)
        mistral_nb.configure(api_key="revoked")

        assert cascaded(confidence=True).equals(before)
        assert len(api.requests) == sent

    def test_votes_of_the_second_model_are_refused_where_they_would_be_one(self, api: FakeApi) -> None:
        api.settings.log_probabilities = "left out"
        cascaded(votes=5)
        with pytest.raises(errors.InvalidOption, match="votes would be one"):
            cascaded(votes=5, temperature=0)

    def test_an_unknown_price_is_said(self, api: FakeApi) -> None:
        cascaded()

        assert "at a price that is not known" in str(last_run().cascade)

    def test_a_run_of_one_model_has_no_such_report(self, api: FakeApi) -> None:
        cascaded(escalate=None)

        assert last_run().cascade is None

    def test_the_receipt_has_what_both_models_may_cost(self, priced: FakeApi) -> None:
        both = cascaded(dry_run=True)
        first, second = (cascaded(model=name, escalate=None, dry_run=True) for name in ("ministral", "large"))

        assert both.cost_usd_most == first.cost_usd_most + second.cost_usd_most
        assert both.of_first_model.cost_usd_most == first.cost_usd_most
        assert "4 to ministral-8b-latest, then at most 4 to mistral-large-latest" in str(both)
        assert "if no text goes on; if all do" in str(both)
        assert priced.requests == []

    def test_the_receipt_says_that_the_second_models_answers_are_kept(self, priced: FakeApi) -> None:
        cascaded(model="large", escalate=None)

        assert "then none to mistral-large-latest, whose answers are kept already" in str(cascaded(dry_run=True))

    def test_the_receipt_knows_what_is_kept(self, priced: FakeApi) -> None:
        cascaded()
        assert cascaded(dry_run=True).requests == 0

        assert cascaded(dry_run=True, below=1).requests == 2

    def test_a_budget_of_the_receipt_is_enough_for_both(self, priced: FakeApi) -> None:
        receipt = cascaded(dry_run=True, below=1)
        labels = cascaded(below=1, budget_usd=receipt.cost_usd_most)

        assert labels.notna().sum() == 5

    def test_one_budget_holds_for_both(self, priced: FakeApi) -> None:
        receipt = cascaded(dry_run=True)
        budget_usd = receipt.of_first_model.cost_usd_most
        with pytest.warns(mistral_nb.FailedRowsWarning, match="BudgetReached"):
            labels = cascaded(budget_usd=budget_usd)

        assert labels.isna().tolist() == [False, True, True, False, True, True]
        assert last_run().result.cost_usd <= budget_usd

    def test_a_budget_without_the_second_price_is_refused_before_anything_is_sent(self, priced: FakeApi) -> None:
        with pytest.raises(errors.UnknownPrice):
            cascaded(escalate="a-model-of-mine", budget_usd=1)

        assert asked(priced, FIRST) == []


class TestInTheBackground:
    def test_it_gives_what_the_foreground_does(self, api: FakeApi) -> None:
        run = cascaded(background=True)

        assert run.result().equals(cascaded())
        assert (run.progress.done, run.progress.failed) == (6, 0)

    def test_a_cancelled_one_leaves_nothing_unsure_behind(self, api: FakeApi) -> None:
        run = cascaded(background=True)
        run.cancel()
        labels = run.result()

        assert set(labels[labels.notna()].index) <= {0, 3} or labels.notna().sum() == 5


@given(
    rows=st.lists(st.sampled_from([*(f"a {label}" for label in LABELS), "hello", "what", "", None]), max_size=12),
    below=st.sampled_from([0.3, 0.8, 1.0]),
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_has_the_label_of_the_model_that_is_to_answer_it(api: FakeApi, rows: list[Any], below: float) -> None:
    details = cascaded(rows, details=True, below=below)
    has_text = [bool(row) for row in rows]
    goes_on = [bool(row) and below > (0.9 if row.startswith("a ") else 0.5) for row in rows]
    models = [(SECOND if on else FIRST) if text else None for on, text in zip(goes_on, has_text, strict=True)]

    assert details["model"].astype(object).where(details["model"].notna(), None).tolist() == models
    assert details["value"].notna().tolist() == has_text
