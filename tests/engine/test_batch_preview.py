"""The first rows now and the rest as a job; and what is said unasked of jobs that are not finished."""

import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

import mistral_nb
from mistral_nb import BatchJob
from mistral_nb.errors import BudgetReached
from mistral_nb.notebook import job_notices
from mistral_nb.notebook.job_notices import PendingRowsWarning, UnfetchedJobsWarning
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.engine.job_runs import made, make_older, new_kernel, remote_jobs, sent_live
from tests.engine.row_runs import LABELS, labels_of, texts
from tests.fake_api import FakeApi, Fault


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_notices, "_warned", set())


def frame(count: int = 20) -> pd.DataFrame:
    return pd.DataFrame({"text": texts(count)})


def previewed(df: pd.DataFrame, **options: Any) -> Any:
    chosen = {"preview": 0.2, "rows_per_request": 1, **options}
    with pytest.warns(PendingRowsWarning):
        return df.mistral.classify("text", LABELS, mode="preview+batch", **chosen)


@pytest.mark.usefixtures("library")
class TestPreview:
    @pytest.mark.parametrize(("preview", "rows"), [(0.2, 4), (0.01, 1), (3, 3), (None, 1)], ids=str)
    def test_the_first_rows_are_there_at_once(self, api: FakeApi, preview: float | None, rows: int) -> None:
        labels = previewed(frame(), preview=preview)

        assert labels.notna().tolist() == [True] * rows + [False] * (20 - rows)
        assert len(sent_live(api)) == rows

    def test_the_rest_is_in_a_job(self, api: FakeApi) -> None:
        previewed(frame())

        assert [len(one.requests) for one in remote_jobs(api)] == [16]

    def test_the_column_of_the_job_is_whole(self, api: FakeApi) -> None:
        df = frame()
        df["topic"] = previewed(df)
        df["topic"] = df.mistral.last_job.result()

        assert df["topic"].tolist() == labels_of(texts(20))

    def test_the_same_line_fills_the_column_once_the_job_has_ended(self, api: FakeApi) -> None:
        df = frame()
        df["topic"] = previewed(df)
        df["topic"] = previewed(df)
        mistral_nb.jobs()
        mistral_nb.jobs()
        df["topic"] = df.mistral.classify("text", LABELS, mode="preview+batch", preview=0.2)

        assert df["topic"].tolist() == labels_of(texts(20))
        assert (len(sent_live(api)), len(made(api))) == (4, 1)

    def test_the_same_line_does_so_in_a_new_kernel(self, api: FakeApi) -> None:
        previewed(frame())
        new_kernel()
        previewed(frame())
        labels = frame().mistral.last_job.result()

        assert labels.tolist() == labels_of(texts(20))
        assert len(made(api)) == 1

    def test_bills_of_both_parts_are_in_the_result(self, priced: FakeApi) -> None:
        previewed(frame())
        frame().mistral.last_job.result()
        run = mistral_nb.session().last_run.result
        live, batch = (
            sum(line.cost_usd for line in mistral_nb.session().ledger.records() if line.door == door)
            for door in ("accessor", "batch")
        )

        assert (run.requests, run.cost_usd) == (20, live + batch)
        assert run.usage.prompt_tokens == priced.stats.prompt_tokens

    def test_the_receipt_counts_the_first_rows_at_the_full_price(self, priced: FakeApi) -> None:
        options: dict[str, Any] = {"dry_run": True, "rows_per_request": 1}
        live = frame().mistral.classify("text", LABELS, **options)
        receipt = frame().mistral.classify("text", LABELS, mode="preview+batch", preview=10, **options)

        assert (receipt.requests, receipt.cached) == (20, 0)
        assert live.cost_usd_most / 2 < receipt.batch_cost_usd_most < live.cost_usd_most
        assert receipt.cost_usd_most == live.cost_usd_most

    def test_one_budget_holds_for_both_parts(self, priced: FakeApi) -> None:
        receipt = frame().mistral.classify("text", LABELS, dry_run=True, rows_per_request=1)
        most = float(receipt.cost_usd_most / 20 * 4 + receipt.batch_cost_usd_most / 20 * 8)
        with pytest.warns(FailedRowsWarning, match=BudgetReached.__name__):
            previewed(frame(), budget_usd=most)
        run = frame().mistral.last_job.wait(progress=False)

        assert float(run.progress.cost_usd) <= most
        assert 0 < run.progress.failed < 16

    def test_a_row_that_fails_live_is_not_sent_again(self, api: FakeApi) -> None:
        api.play(Fault(status=422, when="no 1", times=None))
        with pytest.warns(FailedRowsWarning, match="1 of 20"):
            previewed(frame())

        assert [len(one.requests) for one in remote_jobs(api)] == [16]

    def test_all_kept_means_no_job_and_no_warning(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS)
        labels = frame().mistral.classify("text", LABELS, mode="preview+batch")

        assert labels.tolist() == labels_of(texts(20))
        assert made(api) == []


class TestNotices:
    def test_asking_live_what_is_in_a_job_says_that_it_is_paid_twice(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")

        with pytest.warns(PendingRowsWarning, match=r"20 of the texts .* paid for twice"):
            frame().mistral.classify("text", LABELS)

    def test_asking_live_what_is_in_no_job_says_nothing(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame().mistral.classify("text", ["good", "bad"])

    def test_answers_that_will_soon_be_forgotten_are_warned_of_once(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")
        make_older(hours=14)
        with pytest.warns(UnfetchedJobsWarning, match=r"classify of 20 rows, made 14 hours ago"):
            frame().mistral.classify("text", ["good", "bad"])

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame().mistral.classify("text", ["new", "old"])

    @pytest.mark.parametrize(
        "asks",
        [
            lambda: frame().mistral.classify("text", ["good", "bad"], mode="batch"),
            lambda: frame().mistral.summarize("text", whole=True),
            lambda: frame().mistral.answer("Why?", "text"),
        ],
        ids=["as a job", "whole", "answer"],
    )
    def test_they_are_warned_of_by_every_way_of_asking(self, api: FakeApi, asks: Callable[[], Any]) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")
        make_older(hours=14)

        with pytest.warns(UnfetchedJobsWarning):
            asks()

    def test_they_are_warned_of_when_the_extension_is_loaded(self, api: FakeApi, shell: InteractiveShell) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")
        make_older(hours=14)

        with pytest.warns(UnfetchedJobsWarning):
            shell.run_line_magic("reload_ext", "mistral_nb")

    def test_loading_the_extension_makes_no_file(self, api: FakeApi, shell: InteractiveShell) -> None:
        shell.run_line_magic("reload_ext", "mistral_nb")

        assert not mistral_nb.session().cache.database.path.exists()

    def test_jobs_that_were_just_made_are_not_warned_of(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")
        make_older(hours=2)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame().mistral.classify("text", ["good", "bad"])

    def test_clearing_the_cache_clears_answers_that_nobody_has_read(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")
        mistral_nb.jobs()
        mistral_nb.jobs()
        mistral_nb.clear_cache()
        new_kernel()
        frame().mistral.classify("text", LABELS)

        assert len(sent_live(api)) == 20


class TestJobs:
    def test_there_are_none_at_first(self) -> None:
        assert mistral_nb.jobs().empty

    def test_a_line_says_what_is_known(self, priced: FakeApi) -> None:
        job = frame().mistral.classify("text", LABELS, mode="batch", rows_per_request=1)
        before = mistral_nb.jobs().loc[job.ids[0]]
        after = mistral_nb.jobs().loc[job.ids[0]]

        assert before[["verb", "status", "rows", "requests", "is_fetched"]].tolist() == [
            "classify",
            "RUNNING",
            20,
            20,
            False,
        ]
        assert before["fetch_before"] > before["created"]
        assert (after["status"], after["is_fetched"], after["cost_usd"] > 0) == ("SUCCESS", True, True)
        assert pd.isna(after["fetch_before"])

    def test_the_types_are_the_same_with_and_without_jobs(self, api: FakeApi) -> None:
        empty = mistral_nb.jobs().dtypes
        frame().mistral.classify("text", LABELS, mode="batch")

        pd.testing.assert_series_equal(mistral_nb.jobs().dtypes, empty)

    def test_without_refresh_nothing_is_asked(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")
        before = len(api.requests)
        mistral_nb.jobs(refresh=False)

        assert len(api.requests) == before

    def test_a_finished_job_is_not_looked_at_again(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS, mode="batch").result()
        before = len(api.requests)
        mistral_nb.jobs()

        assert len(api.requests) == before

    def test_one_job_that_can_not_be_looked_at_does_not_hold_up_the_others(self, api: FakeApi) -> None:
        lost = frame().mistral.classify("text", LABELS, mode="batch")
        found = frame().mistral.classify("text", ["good", "bad"], mode="batch")
        del api._endpoints._batches._jobs[lost.ids[0]]
        mistral_nb.jobs()
        jobs = mistral_nb.jobs()

        assert jobs["is_fetched"].to_dict() == {lost.ids[0]: False, found.ids[0]: True}
        assert jobs["problem"].dropna().to_dict() == {
            lost.ids[0]: f"The API does not know the job {lost.ids[0]}.",
        }

    def test_what_they_fetched_is_taken_by_a_live_call_in_another_kernel(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")
        mistral_nb.jobs()
        mistral_nb.jobs()
        new_kernel()
        details = frame().mistral.classify("text", LABELS, details=True)

        assert details["value"].tolist() == labels_of(texts(20))
        assert details["from_cache"].all()
        assert sent_live(api) == []

    def test_the_last_job_is_at_hand(self, api: FakeApi) -> None:
        assert frame().mistral.last_job is None
        job = frame().mistral.classify("text", LABELS, mode="batch")

        assert isinstance(job, BatchJob)
        assert frame().mistral.last_job is job

    def test_no_prompt_and_no_key_is_in_the_file(self, api: FakeApi) -> None:
        frame().mistral.classify("text", LABELS, mode="batch")
        path = mistral_nb.cache_info().path
        new_kernel()
        content = b"".join(file.read_bytes() for file in path.parent.glob("mistral_nb.sqlite*"))

        assert b"delivery no 1" not in content
        assert api.api_key.encode() not in content
