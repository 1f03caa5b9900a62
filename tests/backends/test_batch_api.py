"""The calls for batch jobs against the fake, and the recorded job read back."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mistral_nb.backends import batch_api
from mistral_nb.backends.batch_api import BatchApi, BatchLine, RemoteJob, batch_line, by_custom_id, remote_job
from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.completion import Completion, CompletionRequest
from mistral_nb.errors import BatchExpired, InvalidAnswer, MistralNotebookError, NotSupported, ServerProblem
from tests.fake_api import FakeApi, Fault

WIRE = Path(__file__).parents[3] / "shared" / "wire"
MODEL = "mistral-small-latest"
CHAT = "/v1/chat/completions"


@pytest.fixture
def server() -> Iterator[FakeApi]:
    with FakeApi() as fake:
        yield fake


def lines(*texts: str) -> list[bytes]:
    return [
        json.dumps({"custom_id": str(n), "body": {"messages": [{"role": "user", "content": text}]}}).encode()
        for n, text in enumerate(texts)
    ]


def called(server: FakeApi, call: Callable[[BatchApi], Awaitable[Any]]) -> Any:
    async def with_backend() -> Any:
        backend = HostedBackend(endpoint=server.url, api_key=server.api_key)
        try:
            return await call(backend.batch)
        finally:
            await backend.aclose()

    return asyncio.run(with_backend())


def said(line: BatchLine) -> str:
    answer = line.answer(CompletionRequest(model=MODEL, messages=()))
    assert isinstance(answer, Completion)
    return answer.text


async def created(batch: BatchApi, *texts: str, **more: Any) -> RemoteJob:
    source = more or {"lines": lines(*texts)}
    return await batch.create(endpoint=CHAT, model=MODEL, metadata={"mistral_nb_job": "1"}, timeout_hours=24, **source)


async def ended(batch: BatchApi, job: RemoteJob) -> RemoteJob:
    while job.completed_unix_seconds is None:
        job = await batch.job(job.id)
    return job


def test_a_created_job_is_queued_and_carries_its_metadata(server: FakeApi) -> None:
    job = called(server, lambda batch: created(batch, "Hello"))

    assert (job.status, job.metadata) == ("QUEUED", {"mistral_nb_job": "1"})


def test_an_ended_job_gives_completions(server: FakeApi) -> None:
    async def answered(batch: BatchApi) -> list[str]:
        job = await ended(batch, await created(batch, "Hello", "there"))
        return [said(line) for line in job.outputs or ()]

    assert called(server, answered) == ["Answer to: Hello", "Answer to: there"]


def test_a_file_is_uploaded_and_its_answers_are_downloaded(server: FakeApi) -> None:
    async def answered(batch: BatchApi) -> list[BatchLine]:
        job = await ended(batch, await created(batch, file_id=await batch.upload(lines("Grüße 🎈 \u2028 line", "b"))))
        assert job.outputs is None
        return await batch.lines(job.output_file or "")

    assert [said(line) for line in called(server, answered)] == [
        "Answer to: Grüße 🎈 line",
        "Answer to: b",
    ]


def test_a_failed_request_is_the_exception_of_a_live_call(server: FakeApi) -> None:
    server.settings.batch_fault = lambda text: Fault(status=503)

    async def failed(batch: BatchApi) -> BatchLine:
        job = await ended(batch, await created(batch, "Hello"))
        (line,) = await batch.lines(job.error_file or "")
        return line

    with pytest.raises(ServerProblem):
        said(called(server, failed))


def test_jobs_are_found_on_every_page(server: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_api, "PAGE_SIZE", 2)

    async def found(batch: BatchApi) -> tuple[list[str], list[str]]:
        made = [(await created(batch, "Hello")).id for _ in range(5)]
        return made[::-1], [job.id for job in await batch.jobs_since(0)]

    made, listed = called(server, found)
    assert made == listed


def test_older_jobs_are_left_out(server: FakeApi) -> None:
    async def found(batch: BatchApi) -> list[RemoteJob]:
        job = await created(batch, "Hello")
        return await batch.jobs_since(job.created_unix_seconds + 1)

    assert called(server, found) == []


def test_a_job_that_the_api_forgot_is_expired(server: FakeApi) -> None:
    with pytest.raises(BatchExpired, match="does not know the job"):
        called(server, lambda batch: batch.job("5cdf78f8-1ab4-4c3d-9d38-2dd9735dac5f"))


def test_a_server_without_batch_jobs_is_not_supported(server: FakeApi) -> None:
    server.settings.has_batch = False

    with pytest.raises(NotSupported, match="has no batch jobs"):
        called(server, lambda batch: created(batch, "Hello"))


@pytest.mark.parametrize("kind", ["lines", "file"])
def test_the_key_is_in_no_error(server: FakeApi, kind: str) -> None:
    server.play(Fault(status=500, body={"message": f"key {server.api_key}"}, times=None))

    async def failing(batch: BatchApi) -> None:
        await (batch.upload(lines("a")) if kind == "file" else created(batch, "a"))

    with pytest.raises(MistralNotebookError) as caught:
        called(server, failing)
    assert server.api_key not in str(caught.value)


class TestLines:
    def test_an_error_as_text_is_an_error(self) -> None:
        line = batch_line({"custom_id": "1", "response": None, "error": "was not processed"})

        with pytest.raises(ServerProblem, match="was not processed"):
            said(line)

    def test_a_line_without_anything_is_an_error(self) -> None:
        assert not batch_line({"custom_id": "1"}).is_answer

    def test_an_error_body_as_text_is_an_error(self) -> None:
        line = batch_line({"custom_id": "1", "response": {"status_code": 400, "body": "no good"}})

        assert (line.is_answer, line.body) == (False, {"message": "no good"})

    def test_an_answer_wins_over_an_error_of_the_same_request(self) -> None:
        answer, error = (BatchLine(custom_id="1", status_code=code, body={}) for code in (200, 500))

        assert by_custom_id([answer, error]) == by_custom_id([error, answer]) == {"1": answer}

    def test_a_job_without_an_id_is_an_invalid_answer(self) -> None:
        with pytest.raises(InvalidAnswer, match="`id`"):
            remote_job({"status": "QUEUED"})


@pytest.mark.skipif(not WIRE.is_dir(), reason="the recordings (../shared/wire) are not here")
class TestRecordedJob:
    @pytest.fixture
    def bodies(self) -> list[dict[str, Any]]:
        (file,) = WIRE.rglob("batch_with_mistral*.yml")
        found = yaml.safe_load(file.read_text(encoding="utf-8"))["http_interactions"]
        return [json.loads(one["response"]["body"]["string"]) for one in found]

    def test_its_statuses_are_read(self, bodies: list[dict[str, Any]]) -> None:
        assert [remote_job(body).status for body in bodies] == ["QUEUED", "RUNNING", "RUNNING", "SUCCESS", "SUCCESS"]

    def test_its_answers_and_tokens_are_read(self, bodies: list[dict[str, Any]]) -> None:
        found = remote_job(bodies[-1]).outputs or ()

        assert [said(line) for line in found] == ["4", "Jupiter"]
        assert [line.usage.total_tokens for line in found] == [29, 30]

    def test_the_fake_shows_the_same_fields_in_the_same_order(
        self, bodies: list[dict[str, Any]], server: FakeApi
    ) -> None:
        import httpx2

        request = {"custom_id": "0", "body": {"messages": [{"role": "user", "content": "2 + 2?"}]}}
        headers = {"Authorization": f"Bearer {server.api_key}"}
        with httpx2.Client(base_url=server.url, headers=headers) as client:
            shown = client.post("/v1/batch/jobs", json={"endpoint": CHAT, "model": MODEL, "requests": [request]})

        assert list(shown.json()) == list(bodies[0])
