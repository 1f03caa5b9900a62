"""Verbs as batch jobs, through the public door: sent once, at half price, kept, the same column as live."""

import json
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import price_list
from mistral_nb.engine import batches
from mistral_nb.engine.batch_parts import JobBounds
from mistral_nb.errors import (
    BatchExpired,
    BatchUnanswered,
    BudgetReached,
    InvalidAnswer,
    InvalidOption,
    NotSupported,
    RowsFailed,
    ServerProblem,
    UnknownPrice,
)
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.engine.job_runs import failing, made, make_older, new_kernel, remote_jobs, sent_live, uploads
from tests.engine.row_runs import LABELS, labels_of, texts
from tests.fake_api import FakeApi, Fault

ALONE = {"rows_per_request": 1}


def column(count: int = 6) -> "pd.Series[Any]":
    return pd.Series(texts(count), index=[f"row {number}" for number in range(count)], name="text")


def classified(rows: "pd.Series[Any]", **options: Any) -> Any:
    return rows.mistral.classify(LABELS, **options)


class TestResult:
    def test_it_is_the_column_of_a_live_call(self, api: FakeApi) -> None:
        rows = column(100)
        job = classified(rows, mode="batch")
        live = classified(rows, cache=False, rows_per_request=1)

        pd.testing.assert_series_equal(job.result(), live)

    def test_nothing_is_sent_live(self, api: FakeApi) -> None:
        classified(column(), mode="batch").result()

        assert sent_live(api) == []

    def test_equal_rows_are_asked_once_and_missing_ones_not_at_all(self, api: FakeApi) -> None:
        rows = pd.Series(["billing a", None, "billing a", " ", "bug b"])
        job = classified(rows, mode="batch", **ALONE)

        assert job.result().tolist() == ["billing", None, "billing", None, "bug"] or job.result().isna().sum() == 2
        assert len(remote_jobs(api)[0].requests) == 2

    def test_kept_answers_are_not_asked_again(self, api: FakeApi) -> None:
        classified(column(4))
        job = classified(column(6), mode="batch", **ALONE)

        assert job.result().tolist() == labels_of(texts(6))
        assert len(remote_jobs(api)[0].requests) == 2

    def test_many_rows_share_requests_as_live_ones_do(self, few_at_once: FakeApi) -> None:
        receipt = classified(column(100), dry_run=True)
        job = classified(column(100), mode="batch")

        assert len(remote_jobs(few_at_once)[0].requests) == receipt.requests < 100
        assert job.result().tolist() == labels_of(texts(100))

    def test_packing_is_audited(self, few_at_once: FakeApi) -> None:
        classified(column(100), mode="batch").result()
        audit = mistral_nb.session().last_run.audit

        assert (audit.rows, audit.packed_disagreements) == (5, 0)

    def test_a_plain_call_afterwards_sends_nothing(self, api: FakeApi) -> None:
        classified(column(), mode="batch").result()
        before = len(api.requests)

        assert classified(column()).tolist() == labels_of(texts(6))
        assert len(api.requests) == before

    def test_details_hold_tokens_and_the_share_of_the_bill(self, api: FakeApi) -> None:
        details = classified(column(), mode="batch", details=True, **ALONE).result()

        assert details["value"].tolist() == labels_of(texts(6))
        assert details["prompt_tokens"].gt(0).all()
        assert details["latency_seconds"].isna().all()

    def test_an_empty_column_needs_no_job(self, api: FakeApi) -> None:
        job = classified(pd.Series([None, " "], dtype="str"), mode="batch")

        assert (job.status, job.ids, job.result().isna().all()) == ("SUCCESS", [], True)
        assert made(api) == []

    def test_vectors_can_be_had_so_too(self, api: FakeApi) -> None:
        rows = column(3)
        array = rows.mistral.embed(mode="batch", as_array=True).result()
        live = rows.mistral.embed(as_array=True, cache=False)

        assert (array == live).all()
        assert made(api)[0].body["endpoint"] == "/v1/embeddings"

    def test_moderations_can_be_had_so_too(self, api: FakeApi) -> None:
        rows = pd.Series(["they attack us", "a fine day"])
        live = rows.mistral.moderate(cache=False)

        pd.testing.assert_frame_equal(rows.mistral.moderate(mode="batch").result(), live)


class TestSending:
    def test_few_requests_are_sent_with_the_call(self, api: FakeApi) -> None:
        classified(column(), mode="batch")

        assert (len(made(api)), len(uploads(api))) == (1, 0)

    def test_many_are_uploaded_as_files_and_split(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batches, "JobBounds", lambda: JobBounds(inline_requests=2, file_requests=4))
        job = classified(column(10), mode="batch", **ALONE)

        assert [len(one.requests) for one in remote_jobs(api)] == [4, 4, 2]
        assert (len(uploads(api)), len(job.ids)) == (2, 3)
        assert job.result().tolist() == labels_of(texts(10))

    def test_the_body_leaves_the_model_to_the_job(self, api: FakeApi) -> None:
        classified(column(1), mode="batch", model="mistral-medium-latest")
        (request,) = made(api)

        assert request.body is not None
        assert request.body["model"] == "mistral-medium-latest"
        assert "model" not in request.body["requests"][0]["body"]

    def test_a_text_that_can_not_be_sent_loses_only_itself(self, api: FakeApi) -> None:
        rows = pd.Series(["billing a", "bug \ud800"], dtype=object)
        job = classified(rows, mode="batch")

        with pytest.warns(FailedRowsWarning, match="surrogate"):
            assert job.result().tolist()[0] == "billing"

    def test_the_same_call_again_finds_the_job(self, api: FakeApi) -> None:
        first = classified(column(), mode="batch")
        again = classified(column(), mode="batch")

        assert (again.ids, len(made(api))) == (first.ids, 1)

    def test_a_new_kernel_finds_the_job_and_its_result(self, api: FakeApi) -> None:
        first = classified(column(), mode="batch")
        new_kernel()
        again = classified(column(), mode="batch")

        assert again.ids == first.ids
        assert again.result().tolist() == labels_of(texts(6))
        assert len(made(api)) == 1

    def test_only_rows_that_are_in_no_job_are_sent(self, api: FakeApi) -> None:
        classified(column(4), mode="batch", **ALONE)
        job = classified(column(6), mode="batch", **ALONE)

        assert [len(one.requests) for one in remote_jobs(api)] == [4, 2]
        assert job.result().tolist() == labels_of(texts(6))

    def test_refresh_asks_again_what_is_kept(self, api: FakeApi) -> None:
        classified(column())
        job = classified(column(), mode="batch", refresh=True, **ALONE)

        assert len(remote_jobs(api)[0].requests) == 6
        assert job.result().tolist() == labels_of(texts(6))

    def test_the_job_is_in_the_file_before_the_call_returns(self, api: FakeApi) -> None:
        job = classified(column(), mode="batch")
        new_kernel()

        assert mistral_nb.jobs(refresh=False).index.tolist() == job.ids

    def test_the_job_carries_an_id_of_ours(self, api: FakeApi) -> None:
        classified(column(), mode="batch")

        assert remote_jobs(api)[0].shown["metadata"].keys() == {"mistral_nb_job", "verb"}


class TestMoney:
    def test_it_costs_half(self, priced: FakeApi) -> None:
        classified(column(), mode="batch", **ALONE).result()
        run = mistral_nb.session().last_run.result

        assert run.cost_usd == price_list.cost_usd(run.model, run.usage) / 2
        assert run.usage.prompt_tokens == priced.stats.prompt_tokens

    def test_every_request_is_a_line_of_the_ledger_at_that_price(self, priced: FakeApi) -> None:
        classified(column(), mode="batch", **ALONE).result()
        lines = list(mistral_nb.session().ledger.records())

        assert [(line.door, line.verb, line.rows) for line in lines] == [("batch", "classify", 1)] * 6
        assert sum(line.cost_usd or 0 for line in lines) == mistral_nb.session().last_run.result.cost_usd
        assert mistral_nb.jobs()["cost_usd"].sum() == pytest.approx(float(sum(line.cost_usd or 0 for line in lines)))

    def test_a_budget_sends_what_fits_at_the_most_it_can_cost(self, priced: FakeApi) -> None:
        most = classified(column(), mode="batch", dry_run=True, **ALONE).batch_cost_usd_most
        job = classified(column(), mode="batch", budget_usd=float(most / 2), **ALONE)

        assert len(remote_jobs(priced)[0].requests) == 3
        with pytest.warns(FailedRowsWarning, match="BudgetReached"):
            assert job.result().notna().sum() == 3

    def test_what_did_not_fit_has_its_error(self, priced: FakeApi) -> None:
        job = classified(column(), mode="batch", budget_usd=0.000001)

        assert set(job.failed["error"]) == {BudgetReached.__name__}
        assert made(priced) == []

    @pytest.mark.parametrize("name", ["budget_usd_per_session", "budget_usd_per_day"])
    def test_budgets_of_kernel_and_day_hold_the_most_a_job_can_cost(self, priced: FakeApi, name: str) -> None:
        most = classified(column(), mode="batch", dry_run=True, **ALONE).batch_cost_usd_most
        mistral_nb.configure(**{name: float(most * Decimal("1.5"))})
        classified(column(), mode="batch", **ALONE)
        job = pd.Series(texts(6, start=50)).mistral.classify(LABELS, mode="batch", **ALONE)

        assert set(job.failed["error"]) == {BudgetReached.__name__}
        assert 0 < len(job.failed) < 6

    def test_a_day_holds_it_in_another_kernel_too(self, priced: FakeApi) -> None:
        most = classified(column(), mode="batch", dry_run=True, **ALONE).batch_cost_usd_most
        mistral_nb.configure(budget_usd_per_day=float(most * Decimal("1.1")))
        classified(column(), mode="batch", **ALONE)
        new_kernel()

        assert len(pd.Series(texts(6, start=50)).mistral.classify(LABELS, mode="batch", **ALONE).failed) == 6

    def test_a_day_counts_what_it_did_cost_once_that_is_known(self, priced: FakeApi) -> None:
        most = classified(column(), mode="batch", dry_run=True, **ALONE).batch_cost_usd_most
        mistral_nb.configure(budget_usd_per_day=float(most * Decimal("1.6")))
        classified(column(), mode="batch", **ALONE).wait(progress=False)

        assert pd.Series(texts(6, start=50)).mistral.classify(LABELS, mode="batch", **ALONE).failed.empty

    def test_a_budget_without_a_price_is_refused(self, api: FakeApi) -> None:
        with pytest.raises(UnknownPrice):
            classified(column(), mode="batch", budget_usd=1)

    def test_the_receipt_says_both_prices_and_sends_nothing(self, priced: FakeApi) -> None:
        receipt = classified(column(), mode="batch", dry_run=True)

        assert receipt.batch_cost_usd_most == receipt.cost_usd_most / 2
        assert "asked live" in str(receipt)
        assert made(priced) == []

    def test_the_job_keeps_its_receipt(self, priced: FakeApi) -> None:
        job = classified(column(), mode="batch", **ALONE)

        assert (job.receipt.requests, job.receipt.is_batch) == (6, True)
        assert "nothing was sent" not in str(job.receipt)

    def test_a_receipt_of_rows_in_a_job_says_so(self, priced: FakeApi) -> None:
        classified(column(), mode="batch")
        receipt = classified(column(), mode="batch", dry_run=True)

        assert (receipt.waiting, receipt.cached, receipt.requests) == (6, 0, 0)
        assert "all else is in batch jobs already" in str(receipt)


class TestFailures:
    @pytest.mark.parametrize("shows_outputs", [True, False], ids=["inline outputs", "files"])
    def test_a_failed_row_has_the_error_of_a_live_call(self, api: FakeApi, shows_outputs: bool) -> None:
        api.settings.batch_shows_outputs = shows_outputs
        api.settings.batch_fault = failing({"no 2": Fault(status=503), "no 4": Fault(content="no JSON")})
        job = classified(column(), mode="batch", **ALONE)

        with pytest.warns(FailedRowsWarning, match="2 of 6 rows"):
            labels = job.result()
        assert labels.isna().tolist() == [False, False, True, False, True, False]
        assert job.failed["error"].to_dict() == {"row 2": ServerProblem.__name__, "row 4": InvalidAnswer.__name__}

    def test_a_request_that_was_not_processed_is_a_failed_row(self, api: FakeApi) -> None:
        api.settings.batch_fault = failing({"no 2": Fault(reset=True)})
        job = classified(column(), mode="batch", **ALONE)

        assert job.wait(progress=False).failed.index.tolist() == ["row 2"]

    def test_a_plain_call_afterwards_sends_only_what_failed(self, api: FakeApi) -> None:
        api.settings.batch_fault = failing({"no 2": Fault(status=503)})
        classified(column(), mode="batch", **ALONE).wait(progress=False)
        labels = classified(column())

        assert [request.text for request in sent_live(api)] == ["bug no 2"]
        assert labels.tolist() == labels_of(texts(6))

    def test_the_same_call_afterwards_sends_only_what_failed(self, api: FakeApi) -> None:
        api.settings.batch_fault = failing({"no 2": Fault(status=503)})
        classified(column(), mode="batch", **ALONE).wait(progress=False)
        api.settings.batch_fault = None
        job = classified(column(), mode="batch", **ALONE)

        assert job.result().tolist() == labels_of(texts(6))
        assert [len(one.requests) for one in remote_jobs(api)] == [6, 1]

    def test_a_row_that_is_missing_in_a_shared_answer_fails_alone(self, few_at_once: FakeApi, no_audit: None) -> None:
        answer = '{"rows": [{"id": 1, "label": "billing"}, {"id": 3, "label": "bug"}]}'
        few_at_once.settings.batch_fault = lambda text: Fault(content=answer)
        job = classified(column(3), mode="batch", rows_per_request=3)

        assert job.wait(progress=False).failed["error"].to_dict() == {"row 1": InvalidAnswer.__name__}

    def test_errors_can_be_raised_with_what_was_answered(self, api: FakeApi) -> None:
        api.settings.batch_fault = failing({"no 2": Fault(status=503)})
        job = classified(column(), mode="batch", errors="raise", **ALONE)

        with pytest.raises(RowsFailed) as caught:
            job.result()
        assert caught.value.result.notna().sum() == 5

    def test_retry_asks_failed_rows_live(self, api: FakeApi) -> None:
        api.settings.batch_fault = failing({"no 2": Fault(status=503)})
        with pytest.warns(FailedRowsWarning):
            classified(column(), mode="batch", **ALONE).result()

        assert mistral_nb.session().last_run.retry().tolist() == labels_of(texts(6))
        assert len(sent_live(api)) == 1

    def test_failures_are_on_the_ledger_for_nothing(self, priced: FakeApi) -> None:
        priced.settings.batch_fault = lambda text: Fault(status=503)
        classified(column(1), mode="batch").wait(progress=False)
        (line,) = mistral_nb.session().ledger.records()

        assert (line.error, line.cost_usd) == ("HTTP 503", 0)

    def test_errors_are_there_in_another_kernel_too(self, api: FakeApi) -> None:
        api.settings.batch_fault = lambda text: Fault(status=503)
        job = classified(column(2), mode="batch")
        mistral_nb.jobs()
        mistral_nb.jobs()
        new_kernel()

        assert mistral_nb.jobs().loc[job.ids[0], "failed_requests"] == 2


class TestStates:
    def test_they_are_the_words_of_the_api(self, api: FakeApi) -> None:
        api.settings.batch_statuses = ["QUEUED", "RUNNING", "RUNNING", "SUCCESS"]
        job = classified(column(), mode="batch")

        assert [job.status for _ in range(5)] == ["QUEUED", "RUNNING", "RUNNING", "SUCCESS", "SUCCESS"]

    @pytest.mark.parametrize("status", ["FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"])
    def test_an_early_end_keeps_what_was_answered(self, api: FakeApi, status: str) -> None:
        api.settings.batch_statuses = ["RUNNING", status]
        job = classified(column(), mode="batch", **ALONE).wait(progress=False)

        assert (job.status, job.is_done, job.progress.done, job.progress.failed) == (status, True, 6, 3)
        assert set(job.failed["error"]) == {BatchUnanswered.__name__}
        assert job.failed["problem"].str.contains(status).all()

    def test_what_an_early_end_left_is_sent_by_the_same_call(self, api: FakeApi) -> None:
        api.settings.batch_statuses = ["TIMEOUT_EXCEEDED"]
        classified(column(), mode="batch", **ALONE).wait(progress=False)
        api.settings.batch_statuses = ["SUCCESS"]

        assert classified(column(), mode="batch", **ALONE).result().tolist() == labels_of(texts(6))
        assert [len(one.requests) for one in remote_jobs(api)] == [6, 3]

    def test_what_the_api_says_of_the_job_is_told(self, api: FakeApi) -> None:
        api.settings.batch_statuses = ["FAILED"]
        job = classified(column(), mode="batch", **ALONE).wait(progress=False)

        assert "The job ended: FAILED" in repr(job)
        assert job.failed["problem"].str.contains("The job ended: FAILED").all()

    def test_a_state_that_nobody_knows_yet_is_waited_for(self, api: FakeApi) -> None:
        api.settings.batch_statuses = ["PAUSED_BY_SOME_LATER_API", "SUCCESS"]
        job = classified(column(), mode="batch")

        assert job.status == "PAUSED_BY_SOME_LATER_API"
        assert job.result().tolist() == labels_of(texts(6))

    def test_cancelling_keeps_what_was_answered_by_then(self, api: FakeApi) -> None:
        api.settings.batch_statuses = ["RUNNING"]
        job = classified(column(), mode="batch", **ALONE)
        job.cancel()
        states = [job._run.status, job.status]

        assert states == ["CANCELLATION_REQUESTED", "CANCELLED"]
        assert (job.progress.failed, job.is_done) == (3, True)

    def test_cancelling_what_has_ended_changes_nothing(self, api: FakeApi) -> None:
        job = classified(column(), mode="batch").wait(progress=False)
        job.cancel()

        assert job.result().tolist() == labels_of(texts(6))

    def test_waiting_ends_when_its_time_is_over(self, api: FakeApi) -> None:
        api.settings.batch_statuses = ["RUNNING"]
        job = classified(column(), mode="batch")

        assert not job.wait(timeout_seconds=60, progress=False).is_done

    def test_the_line_of_waiting_tells_state_and_requests(
        self, api: FakeApi, capsys: pytest.CaptureFixture[str]
    ) -> None:
        classified(column(), mode="batch", **ALONE).wait()

        assert "SUCCESS, failed=0" in capsys.readouterr().err


class TestForgotten:
    def test_answers_that_the_api_forgot_are_an_error_of_their_own(self, api: FakeApi) -> None:
        api.settings.batch_kept_seconds = -1
        job = classified(column(), mode="batch").wait(progress=False)

        assert (job.status, set(job.failed["error"])) == ("EXPIRED", {BatchExpired.__name__})

    def test_they_are_asked_again_by_the_same_call(self, api: FakeApi) -> None:
        api.settings.batch_kept_seconds = -1
        classified(column(), mode="batch").wait(progress=False)
        api.settings.batch_kept_seconds = 86_400

        assert classified(column(), mode="batch").result().tolist() == labels_of(texts(6))

    def test_what_the_api_still_has_of_them_is_kept(self, api: FakeApi) -> None:
        api.settings.batch_fault = failing({"no 2": Fault(status=503)})
        job = classified(column(), mode="batch", **ALONE)
        assert job.status == "RUNNING"
        fake = api._endpoints._batches
        fake._get(job.ids[0])
        fake._files.clear()

        assert job.wait(progress=False).failed["error"].to_dict() == {"row 2": BatchUnanswered.__name__}

    def test_a_job_that_the_api_forgot_is_given_up_a_day_later(self, api: FakeApi) -> None:
        classified(column(), mode="batch")
        api._endpoints._batches._jobs.clear()
        make_older(hours=25)
        mistral_nb.jobs()

        assert mistral_nb.jobs()["status"].tolist() == ["EXPIRED"]

    def test_a_job_of_another_key_is_not_given_up(self, api: FakeApi) -> None:
        job = classified(column(), mode="batch")
        api._endpoints._batches._jobs.clear()

        with pytest.raises(BatchExpired, match="another key"):
            job.wait(progress=False)
        assert not job.is_done


class TestNoJobs:
    @pytest.mark.parametrize("mode", ["batch", "preview+batch"])
    def test_the_embedded_model_has_none(self, mode: str) -> None:
        with pytest.raises(NotSupported, match=r"(?s)embedded model has no batch jobs.*\$0"):
            classified(column(), mode=mode, model="local-tiny")

    def test_a_regional_endpoint_has_none_and_the_live_price_is_said(self) -> None:
        mistral_nb.configure(region="eu", api_key="not-a-real-key")

        with pytest.raises(
            NotSupported, match=r"(?s)api\.eu\.mistral\.ai has no batch jobs.*asked live, it costs under \$0\.0001"
        ):
            classified(column(), mode="batch")

    def test_another_server_without_them_is_found_out(self, api: FakeApi) -> None:
        api.settings.has_batch = False

        with pytest.raises(NotSupported, match=r"(?s)has no batch jobs.*unknown price"):
            classified(column(), mode="batch")
        assert mistral_nb.jobs(refresh=False).empty

    def test_a_receipt_names_no_batch_price_where_there_are_none(self) -> None:
        mistral_nb.configure(region="eu", api_key="not-a-real-key")

        assert classified(column(), dry_run=True).batch_cost_usd_most is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "bach"}, "'live', 'batch' or 'preview\\+batch'"),
        ({"mode": "batch", "background": True}, "goes on by itself"),
        ({"mode": "batch", "cache": False}, "through the cache"),
        ({"preview": 0.1}, 'mode="preview\\+batch"'),
        ({"mode": "preview+batch", "preview": 0}, "share of rows"),
        ({"mode": "preview+batch", "preview": 1.5}, "share of rows"),
        ({"mode": "preview+batch", "preview": True}, "share of rows"),
    ],
    ids=["mode", "background", "cache", "preview alone", "no preview", "half a row", "a flag"],
)
def test_options_that_do_not_go_together_are_refused(api: FakeApi, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        classified(column(), **options)


def test_a_verb_that_must_see_all_answers_takes_no_mode(api: FakeApi) -> None:
    with pytest.raises(InvalidOption, match="no option mode="):
        column().mistral.search("bug", mode="batch")


def test_a_verb_that_asks_about_its_own_answers_says_that_it_can_not(api: FakeApi) -> None:
    with pytest.raises(NotSupported, match="asks here about its own answers"):
        column().mistral.summarize(whole=True, mode="batch")


def test_masked_texts_come_back_whole(api: FakeApi) -> None:
    rows = pd.Series(["Write to ada@example.org about the bug"])
    job = rows.mistral.ask("Repeat: {text}", mode="batch", mask=True)

    assert "ada@example.org" not in json.dumps(made(api)[0].body)
    assert "ada@example.org" in job.result()[0]
