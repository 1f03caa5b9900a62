"""Batch jobs of the hosted API, through the SDK.

Keeps to itself: the shapes of a job and of the lines it gives: outputs that come with the job or in a file, errors among them or in
a file of their own; in which order jobs are listed.
Promises: one HTTP request per call (a list: one per page), no retries, and only exceptions of `mistral_nb.errors`.

Shapes: an inline job recorded 2026-08-19, and the API's published specification of 2026-08. The lines of error files are not
published: a line is an error where it has no response, an `error`, or a status that is none of success.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mistral_nb.api_errors import error_from_frame, error_from_response
from mistral_nb.backends.answers import completion_from, inputs_answer_from, json_object, usage_from
from mistral_nb.backends.sdk_client import Exchange, SdkClient
from mistral_nb.completion import InputsRequest, RowAnswer, RowRequest, TokenUsage
from mistral_nb.errors import (
    BatchExpired,
    InvalidAnswer,
    MistralNotebookError,
    NotSupported,
    WrongEndpoint,
)

if TYPE_CHECKING:
    from mistralai.client import Mistral

PAGE_SIZE = 100
_FILE_NAME = "mistral_nb.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """A job as the API shows it.

    Attributes
    ----------
    status
        QUEUED, RUNNING, SUCCESS, FAILED, TIMEOUT_EXCEEDED, CANCELLATION_REQUESTED, CANCELLED, or a later one, kept as it is.
    total_requests
        0 while the job is queued.
    output_file, error_file
        Ids of the files of what was answered and of what failed; None where there is none.
    outputs
        The lines that came with the job; None where none did.
    problems
        What the API says of the job as a whole.
    """

    id: str
    status: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    total_requests: int = 0
    succeeded_requests: int = 0
    failed_requests: int = 0
    created_unix_seconds: float = 0.0
    completed_unix_seconds: float | None = None
    output_file: str | None = None
    error_file: str | None = None
    outputs: "tuple[BatchLine, ...] | None" = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    """What a job gives for one request: a status as of HTTP, and the body of a response."""

    custom_id: str
    status_code: int
    body: Mapping[str, Any]

    @property
    def is_answer(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def usage(self) -> TokenUsage:
        """The tokens of the request, 0 where it failed."""
        return usage_from(self.body.get("usage"))

    def answer(self, request: RowRequest) -> RowAnswer:
        """Return the answer to the request; raise the exception that the same response would be in a live call."""
        if not self.is_answer:
            raise error_from_response(self.status_code, json.dumps(self.body), model=request.model)
        if isinstance(request, InputsRequest):
            return inputs_answer_from(self.body, request)
        return completion_from(self.body, model=request.model)


class BatchApi:
    """The calls that make, watch and end jobs.

    Parameters
    ----------
    client
        The SDK's client of the endpoint.
    """

    def __init__(self, client: SdkClient) -> None:
        self._client = client

    async def upload(self, lines: Sequence[bytes]) -> str:
        """Upload a file of requests, a line each, and return its id."""
        file: Any = {"file_name": _FILE_NAME, "content": b"\n".join(lines) + b"\n", "content_type": "application/jsonl"}
        exchange = await self._call(lambda sdk: sdk.files.upload_async(file=file, purpose="batch"))
        return str(_field(json_object(exchange.body or b""), "id"))

    async def create(
        self,
        *,
        endpoint: str,
        model: str,
        metadata: Mapping[str, str],
        timeout_hours: int,
        lines: Sequence[bytes] = (),
        file_id: str | None = None,
    ) -> RemoteJob:
        """Create a job of the lines, or of the file that holds them."""
        arguments: dict[str, Any] = {
            "endpoint": endpoint,
            "model": model,
            "metadata": dict(metadata),
            "timeout_hours": timeout_hours,
        }
        arguments |= {"input_files": [file_id]} if file_id else {"requests": [json.loads(line) for line in lines]}
        exchange = await self._call(lambda sdk: sdk.batch.jobs.create_async(**arguments), model=model)
        return remote_job(json_object(exchange.body or b""))

    async def job(self, job_id: str) -> RemoteJob:
        """Return a job, with its outputs where the API shows them at once.

        Raises
        ------
        BatchExpired
            The API does not know the job any more.
        """
        exchange = await self._kept(lambda sdk: sdk.batch.jobs.get_async(job_id=job_id), f"job {job_id}")
        return remote_job(json_object(exchange.body or b""))

    async def cancel(self, job_id: str) -> RemoteJob:
        """Ask for the end of a job: requests that are answered by then stay answered, and are paid for."""
        exchange = await self._kept(lambda sdk: sdk.batch.jobs.cancel_async(job_id=job_id), f"job {job_id}")
        return remote_job(json_object(exchange.body or b""))

    async def jobs_since(self, unix_seconds: float) -> list[RemoteJob]:
        """Return all jobs of the workspace that were created since, the latest first."""
        since = datetime.fromtimestamp(unix_seconds, tz=UTC)
        found: list[RemoteJob] = []
        while True:
            page = len(found) // PAGE_SIZE
            exchange = await self._call(
                lambda sdk, page=page: sdk.batch.jobs.list_async(  # type: ignore[misc]
                    page=page, page_size=PAGE_SIZE, created_after=since, order_by="-created"
                )
            )
            listed = [remote_job(entry) for entry in _field(json_object(exchange.body or b""), "data")]
            found += listed
            # A server that takes no notice of created_after lists all there ever were.
            if len(listed) < PAGE_SIZE or listed[-1].created_unix_seconds < unix_seconds:
                return [job for job in found if job.created_unix_seconds >= unix_seconds]

    async def lines(self, file_id: str) -> list[BatchLine]:
        """Return the lines of a file of answers or errors.

        Raises
        ------
        BatchExpired
            The API does not know the file any more.
        """
        exchange = await self._kept(lambda sdk: sdk.files.download_async(file_id=file_id), f"file {file_id}")
        return [batch_line(json_object(line)) for line in (exchange.body or b"").splitlines() if line.strip()]

    async def _call(self, send: "Callable[[Mistral], Awaitable[object]]", *, model: str | None = None) -> Exchange:
        """Return the exchange; NotSupported where the server has no such path."""
        try:
            return await self._client.call(send, model=model)
        except WrongEndpoint as error:
            if error.status_code not in {404, 405}:
                raise
            problem = NotSupported(
                f"{self._client.endpoint.address} has no batch jobs ({error.problem})",
                'Leave mode="batch" out, or use an endpoint that has them.',
                status_code=error.status_code,
            )
        raise problem

    async def _kept(self, send: "Callable[[Mistral], Awaitable[object]]", what: str) -> Exchange:
        """Return the exchange about something that the API may have forgotten."""
        try:
            return await self._client.call(send)
        except MistralNotebookError as error:
            if error.status_code not in {404, 410}:
                raise
            problem = BatchExpired(
                f"The API does not know the {what}.",
                "Was it made with another key? Otherwise run the verb again: only what was not answered is sent. "
                "The API keeps a job's answers for about a day.",
                status_code=error.status_code,
            )
        raise problem


def remote_job(data: Mapping[str, Any]) -> RemoteJob:
    """Return the job that a JSON object of the API describes; InvalidAnswer where it has no id or status."""
    outputs = data.get("outputs")
    return RemoteJob(
        id=str(_field(data, "id")),
        status=str(_field(data, "status")),
        metadata=data.get("metadata") or {},
        total_requests=int(data.get("total_requests") or 0),
        succeeded_requests=int(data.get("succeeded_requests") or 0),
        failed_requests=int(data.get("failed_requests") or 0),
        created_unix_seconds=float(data.get("created_at") or 0),
        completed_unix_seconds=float(data["completed_at"]) if data.get("completed_at") else None,
        output_file=data.get("output_file") or None,
        error_file=data.get("error_file") or None,
        outputs=tuple(map(batch_line, outputs)) if isinstance(outputs, list) else None,
        problems=tuple(_said(error) for error in data.get("errors") or ()),
    )


def batch_line(data: Mapping[str, Any]) -> BatchLine:
    """Return what one line of a job's outputs, or of its files, says."""
    response, error = data.get("response"), data.get("error")
    custom_id = str(data.get("custom_id"))
    if isinstance(response, Mapping) and not error:
        body = response.get("body")
        status_code = int(response.get("status_code") or 200)
        # Some write the body of an error as text.
        return BatchLine(
            custom_id=custom_id,
            status_code=status_code,
            body=body if isinstance(body, Mapping) else {"message": str(body)},
        )
    body = error if isinstance(error, Mapping) else {"message": _said(error) if error else "no response and no error"}
    return BatchLine(custom_id=custom_id, status_code=error_from_frame(body).status_code or 500, body=body)


def by_custom_id(lines: Iterable[BatchLine]) -> dict[str, BatchLine]:
    """Return one line for each request: where there are several, one that is an answer."""
    found: dict[str, BatchLine] = {}
    for line in lines:
        if line.custom_id not in found or line.is_answer:
            found[line.custom_id] = line
    return found


def _field(data: Mapping[str, Any], name: str) -> Any:
    if data.get(name) is None:
        raise InvalidAnswer(
            f"The API's answer about a batch job has no `{name}`: {json.dumps(data)[:200]}",
            "Send it again; if it stays so, check that the endpoint speaks Mistral's API.",
        )
    return data[name]


def _said(error: Any) -> str:
    said = error.get("message") if isinstance(error, Mapping) else None
    return str(said or error)
