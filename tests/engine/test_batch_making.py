"""A job is paid once: calls that fail before, in the middle of, and after making it."""

import os
import socket
import sqlite3
import subprocess
import sys
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.engine import batch_making
from mistral_nb.errors import InvalidKey, MistralNotebookError, RequestRejected, ServerProblem
from tests.engine.job_runs import JOBS, made, new_kernel, remote_jobs, uploads
from tests.engine.row_runs import LABELS, labels_of, texts
from tests.fake_api import FakeApi, Fault, SeenRequest


def batch(count: int = 4, **options: Any) -> Any:
    return pd.Series(texts(count)).mistral.classify(LABELS, mode="batch", rows_per_request=1, **options)


def is_making(request: SeenRequest) -> bool:
    return (request.method, request.path) == ("POST", JOBS)


def is_listing(request: SeenRequest) -> bool:
    return (request.method, request.path) == ("GET", JOBS)


LOST = Fault(truncate_after_bytes=10, when=is_making)
REFUSED = Fault(reset=True, when=is_making)


def states() -> list[str]:
    return mistral_nb.jobs(refresh=False)["status"].tolist()


def set_creator(creator: str) -> None:
    """Let another process have begun the jobs of the file."""
    path = mistral_nb.cache_info().path
    new_kernel()
    with sqlite3.connect(path) as file:
        file.execute("UPDATE batch_jobs SET creator = ?", [creator])
    file.close()


def ended_process() -> str:
    """Return the name of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{socket.gethostname()}:{process.pid}"


class TestFailedCalls:
    @pytest.mark.parametrize("lost", [1, 2, 3], ids=str)
    def test_an_answer_that_was_lost_leads_to_the_job_that_was_made(self, api: FakeApi, lost: int) -> None:
        api.play(*[LOST] * lost)
        job = batch()

        assert (len(made(api)), len(remote_jobs(api))) == (1, 1)
        assert job.result().tolist() == labels_of(texts(4))

    def test_a_call_that_took_too_long_leads_to_the_job_that_was_made(self, api: FakeApi) -> None:
        mistral_nb.configure(timeout_seconds=2)
        api.play(Fault(bytes_per_second=0.001, when=is_making))
        job = batch()

        assert (len(made(api)), len(remote_jobs(api))) == (1, 1)
        assert job.result().tolist() == labels_of(texts(4))

    @pytest.mark.parametrize(
        "fault",
        [REFUSED, Fault(status=503, when=is_making), Fault(status=429, when=is_making)],
        ids=["reset", "503", "429"],
    )
    def test_a_job_that_was_not_made_is_made_again(self, api: FakeApi, fault: Fault) -> None:
        api.play(fault, fault)
        job = batch()

        assert (len(made(api)), len(remote_jobs(api))) == (3, 1)
        assert job.result().tolist() == labels_of(texts(4))

    def test_a_file_is_uploaded_once_however_often_the_job_is_tried(
        self, api: FakeApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batch_making.JobPart, "is_inline", lambda self, bounds: False)
        api.play(Fault(status=503, when=is_making))
        batch()

        assert (len(uploads(api)), len(remote_jobs(api))) == (1, 1)

    def test_an_upload_that_fails_leaves_nothing_behind(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batch_making.JobPart, "is_inline", lambda self, bounds: False)
        api.play(Fault(status=503, path="/v1/files", times=None))

        with pytest.raises(ServerProblem):
            batch()
        assert states() == []

    @pytest.mark.parametrize(
        ("status", "error"), [(401, InvalidKey), (422, RequestRejected)], ids=["wrong key", "refused"]
    )
    def test_a_refusal_leaves_nothing_behind(
        self, api: FakeApi, status: int, error: type[MistralNotebookError]
    ) -> None:
        api.play(Fault(status=status, when=is_making))

        with pytest.raises(error):
            batch()
        assert states() == []
        assert batch().result().tolist() == labels_of(texts(4))

    def test_an_outage_that_leaves_it_open_is_settled_by_the_next_call(self, api: FakeApi) -> None:
        api.play(LOST, Fault(status=503, when=is_listing, times=None))
        with pytest.raises(ServerProblem):
            batch()
        assert states() == ["CREATING"]
        api._faults.clear()
        job = batch()

        assert (len(made(api)), job.ids) == (1, [remote_jobs(api)[0].shown["id"]])
        assert job.result().tolist() == labels_of(texts(4))

    def test_an_outage_before_it_was_made_is_settled_too(self, api: FakeApi) -> None:
        api.play(REFUSED, Fault(status=503, when=is_listing, times=None))
        with pytest.raises(ServerProblem):
            batch()
        api._faults.clear()

        assert batch().result().tolist() == labels_of(texts(4))
        assert len(remote_jobs(api)) == 1


class TestTwins:
    def test_a_second_job_with_our_id_is_cancelled(self, api: FakeApi) -> None:
        """The list does not show a job at once, so that it is made a second time."""
        api.settings.batch_statuses = ["RUNNING", "RUNNING", "SUCCESS"]
        api.play(LOST, *[Fault(body={"data": [], "object": "list", "total": 0}, when=is_listing)] * 2)
        job = batch()
        assert len(remote_jobs(api)) == 2
        labels = job.result()

        assert sorted(one.status for one in remote_jobs(api)) == ["CANCELLATION_REQUESTED", "SUCCESS"]
        assert labels.tolist() == labels_of(texts(4))

    def test_it_is_paid_for_once(self, api: FakeApi) -> None:
        api.settings.batch_statuses = ["RUNNING", "RUNNING", "SUCCESS"]
        api.play(LOST, *[Fault(body={"data": [], "object": "list", "total": 0}, when=is_listing)] * 2)
        batch().result()

        assert len(list(mistral_nb.session().ledger.records())) == 4


class TestOtherProcesses:
    def test_a_job_that_a_dead_kernel_made_is_found(self, api: FakeApi) -> None:
        api.play(LOST, Fault(status=503, when=is_listing, times=None))
        with pytest.raises(ServerProblem):
            batch()
        api._faults.clear()
        set_creator(ended_process())

        assert batch().ids == [remote_jobs(api)[0].shown["id"]]
        assert len(made(api)) == 1

    def test_a_job_that_a_dead_kernel_did_not_come_to_make_is_made(self, api: FakeApi) -> None:
        api.play(REFUSED, Fault(status=503, when=is_listing, times=None))
        with pytest.raises(ServerProblem):
            batch()
        api._faults.clear()
        set_creator(ended_process())

        assert batch().result().tolist() == labels_of(texts(4))
        assert len(remote_jobs(api)) == 1

    @pytest.mark.parametrize(
        "creator", [f"{socket.gethostname()}:{os.getppid()}", "another-machine:1"], ids=["alive", "elsewhere"]
    )
    def test_a_job_that_another_kernel_is_making_is_waited_for(self, api: FakeApi, creator: str) -> None:
        api.play(LOST, Fault(status=503, when=is_listing, times=None))
        with pytest.raises(ServerProblem):
            batch()
        api._faults.clear()
        set_creator(creator)
        job = batch()

        assert (job.status, job.ids, len(made(api))) == ("CREATING", [], 1)

    def test_jobs_settles_what_was_left_open(self, api: FakeApi) -> None:
        api.play(LOST, Fault(status=503, when=is_listing, times=None))
        with pytest.raises(ServerProblem):
            batch()
        api._faults.clear()
        new_kernel()
        mistral_nb.jobs()

        assert mistral_nb.jobs()["status"].tolist() == ["SUCCESS"]
