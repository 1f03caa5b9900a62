"""Batch jobs and their answers in the file of kept answers, so that any kernel finds them.

Keeps to itself: the rows of a job: one for itself, one for each request, one for each question of a request.
Promises: what a method writes is in the file when it returns, all or none of it; a question is in one open job at most, whichever
kernel asks; what is kept of an answer is the body that the API gave, until the task that asked has read it. No prompt is kept.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

from mistral_nb.backends.batch_api import BatchLine
from mistral_nb.engine.batch_states import LONGEST_SECONDS
from mistral_nb.engine.database import Database
from mistral_nb.engine.day_budget import give_back, hold_until

_SECONDS_PER_DAY = 86_400.0
_KEY_BYTES = 32
_ROWS_PER_QUERY = 500
_AMOUNTS = ("most_usd", "cost_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One job as the file has it.

    Attributes
    ----------
    id
        Ours; the job carries it in its metadata.
    remote_id
        The API's; None while it is not known whether there is one.
    status
        The API's word when it was last asked, or CREATING or EXPIRED.
    rows
        Rows of the column that the job's questions stand for.
    most_usd, cost_usd
        What it can cost at most, and what it did cost; None where the price is unknown.
    creator
        Which process made it.
    is_uncertain
        Whether a call that made it seemed to fail, so that there may be another one like it.
    is_kept
        Whether all that the job gave is in the file.
    problem
        What the API says of the job as a whole.
    """

    id: str
    server_url: str
    verb: str
    model: str
    status: str
    rows: int
    requests: int
    created_unix_seconds: float
    creator: str
    remote_id: str | None = None
    succeeded_requests: int = 0
    failed_requests: int = 0
    completed_unix_seconds: float | None = None
    most_usd: Decimal | None = None
    cost_usd: Decimal | None = None
    is_uncertain: bool = False
    is_kept: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One request of a job: the keys of what it asks, and the answer; `line` is None where the job gave none (yet)."""

    job_id: str
    place: int
    keys: tuple[bytes, ...]
    is_audit: bool = False
    line: BatchLine | None = None


_COLUMNS = tuple(field.name for field in fields(JobRecord))
_FLAGS = ("is_uncertain", "is_kept")


# Writes down what a line of a job cost that answers so many texts, and returns it; None where the price is unknown.
Bill = Callable[[JobRecord, BatchLine, int], Decimal | None]


class BatchStore:
    """The jobs in one file.

    Parameters
    ----------
    max_age_days
        How long an answer that no task has read, and a failure, are kept, as other answers are; the job's own line stays. None: for
        ever.
    """

    def __init__(self, database: Database, *, max_age_days: float | None = None) -> None:
        self._database = database
        if max_age_days is not None:
            database.when_opened(lambda connection: _tidy(connection, max_age_days=max_age_days))

    def begin(self, job: JobRecord, requests: Sequence[JobRequest]) -> bool:
        """Write down a job that is about to be made; False, and nothing written, where a question is in an open job already."""
        questions = {(key, request.place) for request in requests for key in request.keys}
        with self._database.writing() as connection:
            if any(_open_keys(connection, [key for key, _ in questions])):
                return False
            _write(connection, job)
            if job.most_usd:
                hold_until(connection, _holder(job.id), job.most_usd, job.created_unix_seconds + LONGEST_SECONDS)
            connection.executemany(
                "INSERT INTO batch_requests (job_id, place, keys, is_audit) VALUES (?,?,?,?)",
                [(job.id, each.place, b"".join(each.keys), each.is_audit) for each in requests],
            )
            connection.executemany(
                "INSERT INTO batch_questions (key, job_id, place) VALUES (?,?,?)",
                [(key, job.id, place) for key, place in questions],
            )
        return True

    def update(self, job: JobRecord) -> None:
        """Write what is known of a job now; what it holds of the day's budget is given back when its bill is known."""
        with self._database.writing() as connection:
            _write(connection, job)
            if job.is_kept:
                give_back(connection, _holder(job.id))

    def drop(self, job_id: str) -> None:
        """Forget a job that was never made: its questions are open again."""
        with self._database.writing() as connection:
            _forget_questions(connection, job_id)
            connection.execute("DELETE FROM batch_jobs WHERE id = ?", [job_id])
            give_back(connection, _holder(job_id))

    def write_deferred(self) -> None:
        """Write what was deferred for the next transaction of the file."""
        self._database.write_deferred()

    def jobs(self, ids: Iterable[str] | None = None) -> list[JobRecord]:
        """Return the jobs with these ids, or all, the oldest first."""
        with self._database.reading() as connection:
            found = [_record(row) for row in _select_jobs(connection, "ORDER BY created_unix_seconds, id")]
        if ids is None:
            return found
        wanted = set(ids)
        return [job for job in found if job.id in wanted]

    def open_keys(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Return, of these keys, those in jobs whose answers are not in the file yet, with the job's id."""
        with self._database.reading() as connection:
            return dict(_open_keys(connection, keys))

    def keep(self, job: JobRecord, lines: Mapping[int, BatchLine], bill: Bill) -> JobRecord:
        """Keep answers and failures of a job, by the place of their request, and return the job with what they cost.

        Parameters
        ----------
        bill
            Called within the transaction, once for each line that nobody has kept yet; returns its price. What it defers is written
            together with the lines.
        """
        with self._database.writing() as connection:
            cost_usd = _record(_select_jobs(connection, "WHERE id = ?", [job.id])[0]).cost_usd
            for place, line in lines.items():
                unkept = connection.execute(
                    "SELECT length(keys) FROM batch_requests WHERE job_id = ? AND place = ? AND status_code IS NULL",
                    [job.id, place],
                ).fetchone()
                if unkept is None:
                    continue
                connection.execute(
                    "UPDATE batch_requests SET status_code = ?, body = ? WHERE job_id = ? AND place = ?",
                    [line.status_code, json.dumps(line.body, ensure_ascii=False), job.id, place],
                )
                price = bill(job, line, unkept[0] // _KEY_BYTES)
                cost_usd = None if cost_usd is None or price is None else cost_usd + price
            job = replace(job, cost_usd=cost_usd)
            _write(connection, job)
        return job

    def requests_of(self, job_id: str) -> Iterator[list[JobRequest]]:
        """Yield the requests of a job that no task has read, part by part; those that share a request before audits."""
        for is_audit in (False, True):
            place = -1
            while part := self._part(job_id, after=place, is_audit=is_audit):
                yield part
                place = part[-1].place

    def audited(self, job_id: str) -> tuple[set[bytes], int]:
        """Return the keys that a job asks both alone and together, and how many questions share one of its requests at most."""
        with self._database.reading() as connection:
            audits = connection.execute("SELECT keys FROM batch_requests WHERE job_id = ? AND is_audit", [job_id])
            keys = {key for (key,) in audits}
            (longest,) = connection.execute(
                "SELECT max(length(keys)) FROM batch_requests WHERE job_id = ?", [job_id]
            ).fetchone()
        return keys, (longest or 0) // _KEY_BYTES

    def answered(self, keys: Sequence[bytes]) -> Iterator[list[JobRequest]]:
        """Yield the requests that ask these keys and have an answer that no task has read, part by part."""
        if not self._has_unread():
            return
        for start in range(0, len(keys), _ROWS_PER_QUERY):
            part = keys[start : start + _ROWS_PER_QUERY]
            query = (
                "SELECT DISTINCT r.job_id, r.place, r.keys, r.is_audit, r.status_code, r.body "  # noqa: S608  # marks only
                "FROM batch_questions q JOIN batch_requests r ON r.job_id = q.job_id AND r.place = q.place "
                "JOIN batch_jobs j ON j.id = r.job_id "
                f"WHERE q.key IN ({','.join('?' * len(part))}) AND r.status_code BETWEEN 200 AND 299 AND j.is_kept "
                "ORDER BY r.is_audit, j.created_unix_seconds, r.place"
            )
            with self._database.reading() as connection:
                rows = connection.execute(query, part).fetchall()
            if rows:
                yield [_request(row) for row in rows]

    def forget_read(self, requests: Iterable[JobRequest]) -> None:
        """Forget requests whose answers are read and kept as answers."""
        names = [(request.job_id, request.place) for request in requests]
        if not names:
            return
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM batch_questions WHERE job_id = ? AND place = ?", names)
            connection.executemany("DELETE FROM batch_requests WHERE job_id = ? AND place = ?", names)

    def clear(
        self, *, before_unix_seconds: float | None = None, verb: str | None = None, model: str | None = None
    ) -> None:
        """Forget the unread answers of all jobs that meet these conditions; what is still at work is left alone."""
        with self._database.writing() as connection:
            for job in map(_record, _select_jobs(connection, "WHERE is_kept")):
                is_old = before_unix_seconds is None or job.created_unix_seconds < before_unix_seconds
                if is_old and verb in (None, job.verb) and model in (None, job.model):
                    _forget_questions(connection, job.id)

    def _part(self, job_id: str, *, after: int, is_audit: bool) -> list[JobRequest]:
        query = (
            "SELECT job_id, place, keys, is_audit, status_code, body FROM batch_requests "
            "WHERE job_id = ? AND place > ? AND is_audit = ? ORDER BY place LIMIT ?"
        )
        with self._database.reading() as connection:
            rows = connection.execute(query, [job_id, after, is_audit, _ROWS_PER_QUERY]).fetchall()
        return [_request(row) for row in rows]

    def _has_unread(self) -> bool:
        with self._database.reading() as connection:
            return connection.execute("SELECT 1 FROM batch_requests LIMIT 1").fetchone() is not None


def _holder(job_id: str) -> str:
    return f"batch job {job_id}"


def _select_jobs(connection: sqlite3.Connection, clause: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
    return connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM batch_jobs {clause}", values).fetchall()  # noqa: S608  # ours


def _write(connection: sqlite3.Connection, job: JobRecord) -> None:
    values = [getattr(job, name) for name in _COLUMNS]
    stored = [str(value) if isinstance(value, Decimal) else value for value in values]
    marks = ",".join("?" * len(_COLUMNS))
    connection.execute(f"INSERT OR REPLACE INTO batch_jobs ({', '.join(_COLUMNS)}) VALUES ({marks})", stored)  # noqa: S608


def _open_keys(connection: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
    if connection.execute("SELECT 1 FROM batch_jobs WHERE NOT is_kept LIMIT 1").fetchone() is None:
        return
    for start in range(0, len(keys), _ROWS_PER_QUERY):
        part = keys[start : start + _ROWS_PER_QUERY]
        query = (
            "SELECT q.key, q.job_id FROM batch_questions q JOIN batch_jobs j ON j.id = q.job_id "  # noqa: S608  # marks only
            f"WHERE q.key IN ({','.join('?' * len(part))}) AND NOT j.is_kept"
        )
        yield from connection.execute(query, part).fetchall()


def _forget_questions(connection: sqlite3.Connection, job_id: str) -> None:
    connection.execute("DELETE FROM batch_questions WHERE job_id = ?", [job_id])
    connection.execute("DELETE FROM batch_requests WHERE job_id = ?", [job_id])


def _tidy(connection: sqlite3.Connection, *, max_age_days: float) -> None:
    """Forget what nobody has come back for."""
    oldest = time.time() - max_age_days * _SECONDS_PER_DAY
    old = "SELECT id FROM batch_jobs WHERE is_kept AND created_unix_seconds < ?"
    connection.execute(f"DELETE FROM batch_questions WHERE job_id IN ({old})", [oldest])  # noqa: S608  # our own text
    connection.execute(f"DELETE FROM batch_requests WHERE job_id IN ({old})", [oldest])  # noqa: S608  # our own text


def _record(row: Sequence[Any]) -> JobRecord:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _AMOUNTS:
        values[name] = None if values[name] is None else Decimal(values[name])
    for name in _FLAGS:
        values[name] = bool(values[name])
    return JobRecord(**values)


def _request(row: Sequence[Any]) -> JobRequest:
    job_id, place, keys, is_audit, status_code, body = row
    return JobRequest(
        job_id=job_id,
        place=place,
        keys=tuple(keys[start : start + _KEY_BYTES] for start in range(0, len(keys), _KEY_BYTES)),
        is_audit=bool(is_audit),
        line=None
        if status_code is None
        else BatchLine(custom_id=str(place), status_code=status_code, body=json.loads(body)),
    )
