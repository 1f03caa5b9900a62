"""``mistral-nb jobs``."""

import time

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import cli
from tests.engine.job_runs import JOBS, new_kernel, sent_live
from tests.engine.row_runs import LABELS, texts
from tests.fake_api import FakeApi, Fault, SeenRequest


def made_job() -> None:
    pd.Series(texts(4)).mistral.classify(LABELS, mode="batch", rows_per_request=1)
    new_kernel()


def test_without_jobs_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["jobs"]) == 0
    assert "No batch jobs" in capsys.readouterr().out


def test_it_lists_jobs_and_how_far_they_are(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    made_job()

    assert cli.main(["jobs"]) == 0
    assert "classify  RUNNING     4         4" in capsys.readouterr().out


def test_watching_goes_on_until_all_is_fetched(
    api: FakeApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    api.settings.batch_statuses = ["QUEUED", "RUNNING", "RUNNING", "SUCCESS"]
    made_job()

    assert cli.main(["jobs", "--watch", "--every", "7"]) == 0
    shown = capsys.readouterr().out
    assert [state for state in ("QUEUED", "RUNNING", "SUCCESS") if shown.count(state) == 1] == [
        "QUEUED",
        "RUNNING",
        "SUCCESS",
    ]
    assert pauses == [7, 7, 7]


def test_watching_goes_on_while_the_api_can_not_be_asked(
    api: FakeApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def is_outage(request: SeenRequest) -> bool:
        nonlocal looks
        looks += request.method == "GET" and request.path.startswith(f"{JOBS}/")
        return 2 < looks < 20

    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    api.settings.batch_statuses = ["RUNNING", "RUNNING", "SUCCESS"]
    made_job()
    api.play(Fault(status=503, times=None, when=is_outage))

    assert cli.main(["jobs", "--watch"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("Asking again every 30 s.") == 1
    assert "SUCCESS" in shown


def test_watching_ends_when_all_is_fetched_that_this_key_and_endpoint_have(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    made_job()
    with FakeApi() as other:
        mistral_nb.configure(endpoint=other.url, api_key=other.api_key)

        assert cli.main(["jobs", "--watch"]) == 0
    assert "QUEUED" in capsys.readouterr().out


def test_a_job_that_the_api_does_not_know_is_listed_as_that(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    made_job()
    api._endpoints._batches._jobs.clear()

    assert cli.main(["jobs", "--watch"]) == 0
    assert "The API does not know the job" in capsys.readouterr().out


def test_what_it_fetched_is_there_for_the_notebook(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    made_job()
    cli.main(["jobs"])
    cli.main(["jobs"])
    new_kernel()

    assert pd.Series(texts(4)).mistral.classify(LABELS).notna().all()
    assert sent_live(api) == []


def test_a_wrong_key_is_one_message_and_no_traceback(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    made_job()
    mistral_nb.configure(api_key="another-key-than-before")

    assert cli.main(["jobs"]) == 1
    assert capsys.readouterr().err.startswith("mistral-nb: The API did not accept the key")
