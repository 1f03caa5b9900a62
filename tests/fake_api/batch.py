"""Batch jobs and the files they read and write, as `/v1/batch/jobs` and `/v1/files` show them.

Keeps to itself: jobs, files, and when a job goes on to its next status: with each look at it, once the status has lasted.
Promises: a request of a job is answered by the rules of its own endpoint, outside of the limits per minute, and only once; what is
kept of a job is forgotten `batch_kept_seconds` after its end. No I/O.

Recorded (2026-08-19, an inline job of two requests): the fields of a job and their order, that an inline job gets an input file
too, that `total_requests` is 0 while it is queued, and that its outputs come with every look at a job that succeeded. Assumed,
because nobody has published them: the lines of error files, and the refusals.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.fake_api import errors, wire
from tests.fake_api.errors import Rejection
from tests.fake_api.faults import NO_FAULT, Fault
from tests.fake_api.recorder import SeenRequest
from tests.fake_api.settings import Settings
from tests.fake_api.validation import check_body
from tests.fake_api.wire import Reply

JsonObject = dict[str, Any]
Answer = Callable[[SeenRequest, Fault], Reply]

JOBS = "/v1/batch/jobs"
FILES = "/v1/files"
ENDPOINTS = frozenset({"/v1/chat/completions", "/v1/embeddings", "/v1/fim/completions", "/v1/moderations"})
ENDED = frozenset({"SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"})
_JSONL = "application/octet-stream"


@dataclass(slots=True, kw_only=True)
class File:
    """What was uploaded, or written by a job."""

    id: str
    name: str
    content: bytes
    purpose: str = "batch"
    ended_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Job:
    """One job; `shown` is what the API shows of it."""

    shown: JsonObject
    requests: list[JsonObject]
    is_inline: bool
    statuses: Iterator[str]
    since: float
    ended_at: float | None = None
    lines: list[JsonObject] = field(default_factory=list)

    @property
    def status(self) -> str:
        return str(self.shown["status"])


class Batches:
    """All jobs and files of one server.

    Parameters
    ----------
    settings
        Whose fields that begin with `batch_` are read when they are needed.
    answer
        Answers one request of a job, or raises its `Rejection`.
    """

    def __init__(self, settings: Settings, answer: Answer) -> None:
        self._settings = settings
        self._answer = answer
        self._jobs: dict[str, Job] = {}
        self._files: dict[str, File] = {}

    def reset(self) -> None:
        self._jobs.clear()
        self._files.clear()

    @staticmethod
    def serves(path: str) -> bool:
        return path.startswith((JOBS, FILES))

    def reply(self, request: SeenRequest) -> Reply:
        """Return the answer to a request below one of the two paths."""
        if not self._settings.has_batch:
            raise errors.no_route("00000000000000000000000000000000")
        root, _, rest = request.path.removeprefix("/v1/").partition("/")
        parts = [part for part in rest.split("/") if part]
        match request.method, root, parts:
            case "POST", "batch", ["jobs"]:
                return self._create(request)
            case "GET", "batch", ["jobs"]:
                return self._list(request)
            case "GET", "batch", ["jobs", job_id]:
                return self._get(job_id)
            case "POST", "batch", ["jobs", job_id, "cancel"]:
                return self._cancel(job_id)
            case "POST", "files", []:
                return self._upload(request)
            case "GET", "files", [file_id, "content"]:
                return self._download(file_id)
        raise errors.no_route("00000000000000000000000000000000")

    def _create(self, request: SeenRequest) -> Reply:
        check_body(JOBS, request.body)
        assert request.body is not None
        wanted = request.body
        if wanted["endpoint"] not in ENDPOINTS:
            raise errors.invalid_request(f"A batch can't ask {wanted['endpoint']!r}")
        inline, files = wanted.get("requests"), wanted.get("input_files")
        if bool(inline) == bool(files):
            raise errors.invalid_request("Exactly one of requests and input_files must be given")
        most = self._settings.batch_max_inline_requests if inline else self._settings.batch_max_file_requests
        requests = inline or [line for name in files for line in _lines(self._file(name).content)]
        if len(requests) > most:
            raise errors.invalid_request(f"A batch can have {most} requests at most")
        names = [entry.get("custom_id") for entry in requests]
        if len(set(names)) != len(names):
            raise errors.invalid_request("custom_id must be unique")
        if inline:
            files = [self._write("input.jsonl", inline).id]
        now = self._settings.clock()
        shown = {
            "id": str(uuid.uuid4()),
            "object": "batch",
            "input_files": files,
            "metadata": wanted.get("metadata"),
            "endpoint": wanted["endpoint"],
            "model": wanted.get("model"),
            "agent_id": None,
            "output_file": None,
            "error_file": None,
            "errors": [],
            "outputs": None,
            "status": "QUEUED",
            "created_at": int(time.time()),
            "total_requests": 0,
            "completed_requests": 0,
            "succeeded_requests": 0,
            "failed_requests": 0,
            "started_at": None,
            "completed_at": None,
        }
        job = Job(
            shown=shown,
            requests=requests,
            is_inline=bool(inline),
            statuses=iter(self._settings.batch_statuses),
            since=now,
        )
        self._jobs[shown["id"]] = job
        return wire.json_reply(shown)

    def _list(self, request: SeenRequest) -> Reply:
        page, size = int(request.query.get("page", 0)), int(request.query.get("page_size", 100))
        after = request.query.get("created_after")
        since = datetime.fromisoformat(after).timestamp() if after else 0.0
        found = [job.shown for job in reversed(self._jobs.values()) if job.shown["created_at"] >= since]
        shown = [{**job, "outputs": None} for job in found[page * size : (page + 1) * size]]
        return wire.json_reply({"data": shown, "object": "list", "total": len(found)})

    def _get(self, job_id: str) -> Reply:
        job = self._job(job_id)
        now = self._settings.clock()
        if job.status not in ENDED and now >= job.since + self._settings.batch_seconds_per_status:
            self._go_on(job, next(job.statuses, job.status), now)
        if self._is_forgotten(job.ended_at):
            return wire.json_reply({**job.shown, "outputs": None})
        shows_outputs = self._settings.batch_shows_outputs and job.is_inline and job.status in ENDED
        return wire.json_reply({**job.shown, "outputs": self._succeeded(job) if shows_outputs else None})

    def _cancel(self, job_id: str) -> Reply:
        job = self._job(job_id)
        if job.status not in ENDED:
            job.shown["status"] = "CANCELLATION_REQUESTED"
            job.statuses = iter(["CANCELLED"])
            job.since = self._settings.clock()
        return wire.json_reply(job.shown)

    def _go_on(self, job: Job, status: str, now: float) -> None:
        job.shown["status"], job.since = status, now
        job.shown["started_at"] = job.shown["started_at"] or int(time.time())
        job.shown["total_requests"] = len(job.requests)
        if status in ENDED:
            self._end(job, status, now)

    def _end(self, job: Job, status: str, now: float) -> None:
        share = 1.0 if status == "SUCCESS" else self._settings.batch_share_before_an_early_end
        answered = job.requests[: round(len(job.requests) * share)]
        job.lines = [self._line(job, number, entry) for number, entry in enumerate(answered)]
        job.ended_at = now
        succeeded = self._succeeded(job)
        failed = [line for line in job.lines if not _is_answer(line)]
        job.shown |= {
            "output_file": self._write("output.jsonl", succeeded, now).id if succeeded else None,
            "error_file": self._write("errors.jsonl", failed, now).id if failed else None,
            "errors": [{"message": f"The job ended: {status}", "count": 1}] if status == "FAILED" else [],
            "completed_requests": len(job.lines),
            "succeeded_requests": len(succeeded),
            "failed_requests": len(failed),
            "completed_at": int(time.time()),
        }

    def _line(self, job: Job, number: int, entry: JsonObject) -> JsonObject:
        """Return one line of the output or of the error file."""
        body = {"model": job.shown["model"], **entry["body"]}
        request = SeenRequest(number=number, method="POST", path=job.shown["endpoint"], headers={}, body=body)
        line = {"id": f"batch-{job.shown['id'][:8]}-{number}", "custom_id": entry.get("custom_id"), "error": None}
        fault = self._settings.batch_fault(request.text) if self._settings.batch_fault else NO_FAULT
        if fault.reset:
            return {**line, "response": None, "error": {"message": "The request was not processed"}}
        try:
            reply = errors.for_status(fault.status).reply() if fault.status else self._answer(request, fault)
        except Rejection as rejection:
            reply = rejection.reply()
        said = json.loads(b"".join(reply.parts))
        return {**line, "response": {"status_code": reply.status, "body": said}}

    @staticmethod
    def _succeeded(job: Job) -> list[JsonObject]:
        return [line for line in job.lines if _is_answer(line)]

    def _upload(self, request: SeenRequest) -> Reply:
        form = request.body or {}
        if form.get("purpose") != "batch" or "file" not in form:
            raise errors.invalid_request("A file and its purpose are needed")
        content = form["file"].encode()
        if len(content) > self._settings.batch_max_file_bytes:
            raise Rejection(413, {"message": "Request size limit exceeded"})
        file = self._keep("upload.jsonl", content)
        return wire.json_reply(
            {
                "id": file.id,
                "object": "file",
                "bytes": len(content),
                "created_at": int(time.time()),
                "filename": file.name,
                "purpose": "batch",
                "sample_type": "batch_request",
                "num_lines": len(_lines(content)),
                "mimetype": "application/jsonl",
                "source": "upload",
                "signature": None,
                "expires_at": None,
                "visibility": "workspace",
            }
        )

    def _download(self, file_id: str) -> Reply:
        file = self._file(file_id)
        if self._is_forgotten(file.ended_at):
            raise _not_found("file", file_id)
        return Reply(200, wire.correlation_headers(_JSONL), (file.content,))

    def _write(self, name: str, lines: list[JsonObject], ended_at: float | None = None) -> File:
        return self._keep(name, b"".join(wire.to_json(line) + b"\n" for line in lines), ended_at)

    def _keep(self, name: str, content: bytes, ended_at: float | None = None) -> File:
        file = File(id=str(uuid.uuid4()), name=name, content=content, ended_at=ended_at)
        self._files[file.id] = file
        return file

    def _is_forgotten(self, ended_at: float | None) -> bool:
        return ended_at is not None and self._settings.clock() > ended_at + self._settings.batch_kept_seconds

    def _job(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise _not_found("job", job_id)
        return self._jobs[job_id]

    def _file(self, file_id: str) -> File:
        if file_id not in self._files:
            raise _not_found("file", file_id)
        return self._files[file_id]


def _is_answer(line: JsonObject) -> bool:
    return bool(line["response"]) and line["response"]["status_code"] == 200


def _lines(content: bytes) -> list[JsonObject]:
    try:
        return [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError:
        raise errors.invalid_request("The file is no JSONL") from None


def _not_found(kind: str, name: str) -> Rejection:
    return Rejection(404, {"object": "error", "message": f"No {kind} {name}", "type": "not_found", "code": None})
