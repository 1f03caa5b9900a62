"""Batch jobs of the fake: as recorded where there is a recording, and scripted."""

import json
from typing import Any

import httpx2
import pytest

from tests.fake_api.asking import Clock, Json, user
from tests.fake_api.faults import Fault
from tests.fake_api.server import FakeApi

JOBS = "/v1/batch/jobs"


def wanted(*texts: str, **more: Any) -> Json:
    requests = [{"custom_id": str(number), "body": {"messages": user(text)}} for number, text in enumerate(texts)]
    return {"endpoint": "/v1/chat/completions", "model": "mistral-small-latest", "requests": requests, **more}


def created(client: httpx2.Client, *texts: str, **more: Any) -> Json:
    response = client.post(JOBS, json=wanted(*texts, **more))
    assert response.status_code == 200, response.text
    job: Json = response.json()
    return job


def seen(client: httpx2.Client, job: Json) -> Json:
    shown: Json = client.get(f"{JOBS}/{job['id']}").json()
    return shown


def ended(client: httpx2.Client, job: Json) -> Json:
    """Look at a job until it has ended."""
    for _ in range(10):
        job = seen(client, job)
        if job["completed_at"]:
            return job
    raise AssertionError(job)


@pytest.fixture
def server(shared: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    shared.reset()
    for name in [name for name in dir(shared.settings) if name.startswith("batch_")]:
        monkeypatch.setattr(shared.settings, name, getattr(shared.settings, name))
    return shared


def test_a_job_is_queued_then_runs_then_succeeds(client: httpx2.Client) -> None:
    job = created(client, "Hello")
    states = [job["status"], *(seen(client, job)["status"] for _ in range(3))]

    assert states == ["QUEUED", "RUNNING", "SUCCESS", "SUCCESS"]


def test_an_ended_inline_job_shows_its_outputs_as_recorded(client: httpx2.Client) -> None:
    (line,) = ended(client, created(client, "Hello"))["outputs"]

    assert list(line) == ["id", "custom_id", "error", "response"]
    assert line["response"]["body"]["choices"][0]["message"]["content"] == "Answer to: Hello"


def test_the_outputs_are_also_a_file(client: httpx2.Client) -> None:
    job = ended(client, created(client, "Hello", "there"))
    content = client.get(f"/v1/files/{job['output_file']}/content").text

    assert [json.loads(line) for line in content.splitlines()] == job["outputs"]


def test_a_file_of_requests_is_answered_into_a_file(client: httpx2.Client) -> None:
    line = json.dumps({"custom_id": "7", "body": {"messages": user("Hello")}})
    uploaded = client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("x.jsonl", line)}).json()
    job = created(client, requests=None, input_files=[uploaded["id"]])
    job = ended(client, job)

    assert job["outputs"] is None
    assert json.loads(client.get(f"/v1/files/{job['output_file']}/content").text)["custom_id"] == "7"


def test_requests_of_a_job_are_outside_of_the_limits_per_minute(server: FakeApi, client: httpx2.Client) -> None:
    server.settings.limit_requests_per_minute = 1
    try:
        job = ended(client, created(client, "a", "b", "c"))
    finally:
        server.settings.limit_requests_per_minute = 10_000_000

    assert job["succeeded_requests"] == 3


def test_requests_that_fail_are_in_the_error_file(server: FakeApi, client: httpx2.Client) -> None:
    faults = {"bad": Fault(status=500), "lost": Fault(reset=True)}
    server.settings.batch_fault = lambda text: faults.get(text, Fault())
    job = ended(client, created(client, "good", "bad", "lost"))
    lines = [json.loads(line) for line in client.get(f"/v1/files/{job['error_file']}/content").text.splitlines()]

    assert (job["succeeded_requests"], job["failed_requests"]) == (1, 2)
    assert [line["response"] and line["response"]["status_code"] for line in lines] == [500, None]


def test_a_body_that_the_endpoint_would_refuse_fails_alone(client: httpx2.Client) -> None:
    job = wanted("Hello", "there")
    job["requests"][0]["body"]["temperature"] = 9
    ended_job = ended(client, client.post(JOBS, json=job).json())

    assert (ended_job["succeeded_requests"], ended_job["failed_requests"]) == (1, 1)


def test_a_cancelled_job_ends_with_a_part_of_its_answers(server: FakeApi, client: httpx2.Client) -> None:
    server.settings.batch_statuses = ["RUNNING"]
    job = created(client, "a", "b", "c", "d")
    states = [client.post(f"{JOBS}/{job['id']}/cancel").json()["status"], ended(client, job)["status"]]

    assert states == ["CANCELLATION_REQUESTED", "CANCELLED"]
    assert seen(client, job)["completed_requests"] == 2


def test_what_a_job_gave_is_forgotten_after_a_day(server: FakeApi, client: httpx2.Client) -> None:
    clock = Clock()
    server.settings.clock, before = clock, server.settings.clock
    try:
        job = ended(client, created(client, "Hello"))
        clock.now += 86_401
        statuses = client.get(f"/v1/files/{job['output_file']}/content").status_code, seen(client, job)["outputs"]
    finally:
        server.settings.clock = before

    assert statuses == (404, None)


def test_jobs_are_listed_page_by_page_the_latest_first(client: httpx2.Client) -> None:
    jobs = [created(client, "a")["id"] for _ in range(3)]
    pages = [client.get(JOBS, params={"page": page, "page_size": 2}).json()["data"] for page in (0, 1)]

    assert [job["id"] for page in pages for job in page] == jobs[::-1]


@pytest.mark.parametrize(
    "change",
    [
        {"requests": None},
        {"metadata": {"n": 5}},
        {"timeout": 3},
        {"endpoint": None},
        {"input_files": ["5cdf78f8-1ab4-4c3d-9d38-2dd9735dac5f"]},
    ],
    ids=["nothing to ask", "metadata that is no text", "unknown field", "no endpoint", "both sources"],
)
def test_a_job_that_can_not_be_is_refused(client: httpx2.Client, change: Json) -> None:
    assert client.post(JOBS, json={**wanted("Hello"), **change}).status_code in {400, 422}


def test_more_requests_than_the_bound_are_refused(server: FakeApi, client: httpx2.Client) -> None:
    server.settings.batch_max_inline_requests = 2

    assert client.post(JOBS, json=wanted("a", "b", "c")).status_code == 400


def test_a_server_without_batch_has_no_such_path(server: FakeApi, client: httpx2.Client) -> None:
    server.settings.has_batch = False
    try:
        assert client.post(JOBS, json=wanted("a")).status_code == 404
    finally:
        server.settings.has_batch = True
