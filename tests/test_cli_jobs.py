"""``mistral-nb jobs``."""

import time

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import cli
from tests.engine.job_runs import new_kernel, sent_live
from tests.engine.row_runs import LABELS, texts
from tests.fake_api import FakeApi


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
