"""How batch jobs end, through the public door: with failures, early, or forgotten."""

import pytest

import mistral_nb
from mistral_nb.errors import (
    BatchExpired,
    BatchUnanswered,
    InvalidAnswer,
    RowsFailed,
    ServerProblem,
)
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.engine.job_runs import (
    ALONE,
    JOBS,
    classified,
    column,
    failing,
    make_older,
    new_kernel,
    remote_jobs,
    sent_live,
)
from tests.engine.row_runs import labels_of, texts
from tests.fake_api import FakeApi, Fault, SeenRequest


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

    def test_waiting_goes_on_while_the_api_can_not_be_asked(self, api: FakeApi) -> None:
        looks = 0

        def is_outage(request: SeenRequest) -> bool:
            nonlocal looks
            looks += request.method == "GET" and request.path.startswith(f"{JOBS}/")
            return 2 < looks < 20

        api.settings.batch_statuses = ["RUNNING", "RUNNING", "SUCCESS"]
        api.play(Fault(status=503, times=None, when=is_outage))

        assert classified(column(), mode="batch").result().tolist() == labels_of(texts(6))
        assert looks >= 20

    def test_waiting_for_what_can_not_be_asked_at_all_ends(self, api: FakeApi) -> None:
        job = classified(column(), mode="batch")
        api.play(Fault(status=503, times=None, path=f"{JOBS}/{job.ids[0]}"))

        with pytest.raises(ServerProblem):
            job.wait(progress=False)

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

        assert job.wait(progress=False).failed["error"].to_dict() == {"row 2": BatchExpired.__name__}

    @pytest.mark.parametrize("shows_outputs", [True, False], ids=["inline outputs", "files"])
    def test_answers_are_found_where_the_job_does_not_count_them(self, api: FakeApi, shows_outputs: bool) -> None:
        api.settings.batch_shows_outputs = shows_outputs
        api.settings.batch_fault = failing({"no 2": Fault(status=503)})
        job = classified(column(), mode="batch", **ALONE)
        fake = api._endpoints._batches
        for _ in range(2):
            fake._get(job.ids[0])
        fake._jobs[job.ids[0]].shown.update(succeeded_requests=0, failed_requests=None)

        assert job.wait(progress=False).failed["error"].to_dict() == {"row 2": ServerProblem.__name__}

    @pytest.mark.parametrize(("hours", "status"), [(47, "QUEUED"), (49, "EXPIRED")])
    def test_a_job_that_the_api_forgot_is_given_up_when_it_can_have_nothing_more(
        self, api: FakeApi, hours: int, status: str
    ) -> None:
        classified(column(), mode="batch")
        api._endpoints._batches._jobs.clear()
        make_older(hours=hours)
        mistral_nb.jobs()

        assert mistral_nb.jobs()["status"].tolist() == [status]

    def test_answers_that_no_verb_has_read_are_kept_as_long_as_others(self, api: FakeApi) -> None:
        mistral_nb.configure(cache_days=60)
        classified(column(), mode="batch")
        for _ in range(2):
            mistral_nb.jobs()
        make_older(hours=31 * 24)

        assert classified(column()).tolist() == labels_of(texts(6))
        assert sent_live(api) == []

    def test_a_job_of_another_key_is_not_given_up(self, api: FakeApi) -> None:
        job = classified(column(), mode="batch")
        api._endpoints._batches._jobs.clear()

        with pytest.raises(BatchExpired, match="another key"):
            job.wait(progress=False)
        assert not job.is_done
