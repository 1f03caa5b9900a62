"""Verbs as batch jobs, through the public door: sent once, kept, the same column as live."""

import json
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.engine import batches
from mistral_nb.engine.batch_parts import JobBounds
from mistral_nb.errors import (
    InvalidOption,
    NotSupported,
)
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.engine.job_runs import (
    ALONE,
    classified,
    column,
    made,
    new_kernel,
    remote_jobs,
    sent_live,
    uploads,
)
from tests.engine.row_runs import labels_of, texts
from tests.fake_api import FakeApi


@pytest.mark.usefixtures("library")
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


@pytest.mark.usefixtures("library")
def test_masked_texts_come_back_whole(api: FakeApi) -> None:
    rows = pd.Series(["Write to ada@example.org about the bug"])
    job = rows.mistral.ask("Repeat: {text}", mode="batch", mask=True)

    assert "ada@example.org" not in json.dumps(made(api)[0].body)
    assert "ada@example.org" in job.result()[0]
