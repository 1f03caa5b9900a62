"""Answers already paid for: one SQLite file that survives the kernel.

Keeps to itself: the key, the table, the file's rights (0600), age and size.
Promises: the key covers everything that can change an answer; only answers that could be read are kept; an answer is in the
file before `put` returns. The journal is WAL with ``synchronous=NORMAL``: a killed process loses nothing, a power cut may lose
the last moments but never damages the file. Safe to use from several threads and several kernels at once.
"""

import datetime
import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mistral_nb.completion import RowRequest, TokenUsage
from mistral_nb.errors import CacheProblem

KEY_VERSION = 2
_APPLICATION_ID = 0x4D4E4231  # "MNB1": tells our file from any other SQLite file
_SCHEMA_VERSION = 2
_BUSY_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.01
# 16 MB. A checkpoint waits for the disk, and writes each changed page once however often it was changed: SQLite's own 1000 make
# four times as many of them, each of which holds up the rows.
_PAGES_BETWEEN_CHECKPOINTS = 4000
_KEYS_PER_QUERY = 1000
_PUTS_BETWEEN_SIZE_CHECKS = 2000
_SECONDS_PER_DAY = 86_400.0
# What is deleted when the file is too large goes down to this share, so that it is not done for every answer.
_SHARE_AFTER_PRUNING = 0.9
_NO_LIMIT = 2**62
_ENCODER = json.JSONEncoder(ensure_ascii=False)
# With rowids, on purpose: keys are random, so each answer changes a page somewhere in what is sorted by key, and a page of bare
# keys holds five times as many of them as one of whole answers.
_TABLE = """
    CREATE TABLE answers (
        key BLOB PRIMARY KEY NOT NULL,
        value TEXT NOT NULL, -- JSON; bytes stay bytes in a column of this type
        verb TEXT NOT NULL,
        model TEXT NOT NULL,
        response_id TEXT,
        finish_reason TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        latency_seconds REAL NOT NULL,
        rows_per_request INTEGER NOT NULL,
        created_unix_seconds REAL NOT NULL
    )
"""


def answer_keys(
    request_for: Callable[[str], RowRequest],
    *,
    endpoint: str,
    answering_model: str,
    prompt_version: str,
) -> Callable[[str], bytes]:
    """Return the function that gives the key of the answer to a text: 32 bytes.

    Parameters
    ----------
    request_for
        The request for a text. It must depend on the text alone; all else that it says (messages, sampling, schema, tools) is
        read once, from the request for an empty text.
    endpoint, answering_model
        Who answers; `answering_model` names the weights, not only the alias.
    prompt_version
        The task and its version, e.g. "classify/1": the same body may be read differently by a later version.
    """
    request = request_for("")
    question = {
        "version": KEY_VERSION,
        "endpoint": endpoint,
        "answering_model": answering_model,
        "prompt_version": prompt_version,
        "body": request.body(),
        "choice": None if request.choice is None else list(request.choice.labels),
    }
    frame = json.dumps(question, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=_unserializable)
    begun = hashlib.sha256(hashlib.sha256(frame.encode("ascii")).digest())

    def key(text: str) -> bytes:
        hashed = begun.copy()
        hashed.update(text.encode("utf-8", "surrogatepass"))
        return hashed.digest()

    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """One answer as it is kept.

    Attributes
    ----------
    value
        The row's value: something that JSON can hold, or bytes, which are kept as they are.
    prompt_tokens, completion_tokens
        This row's share of what its request used.
    rows_per_request
        How many rows were asked in one request with this one; 1 when it was asked alone.
    """

    value: Any
    verb: str
    model: str
    response_id: str | None = None
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_seconds: float = 0.0
    rows_per_request: int = 1

    @property
    def usage(self) -> TokenUsage:
        """This row's share of the tokens."""
        return TokenUsage(prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens)


_COLUMNS = tuple(field.name for field in fields(KeptAnswer))


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheInfo:
    """What is kept: how many answers, in how large a file, from when to when (UTC; None when there are none)."""

    path: Path
    answers: int
    size_bytes: int
    oldest: datetime.datetime | None
    newest: datetime.datetime | None
    max_bytes: int | None
    max_age_days: float | None

    def __str__(self) -> str:
        span = f", {self.oldest:%Y-%m-%d} to {self.newest:%Y-%m-%d}" if self.oldest and self.newest else ""
        bound = f"at most {self.max_bytes / 1e6:,.0f} MB" if self.max_bytes else "no size limit"
        age = f"for {self.max_age_days:g} days" if self.max_age_days else "until you clear them"
        noun = "answer" if self.answers == 1 else "answers"
        return f"{self.answers:,} {noun} in {self.size_bytes / 1e6:,.1f} MB{span}; kept {age}, {bound}: {self.path}"

    __repr__ = __str__


class AnswerCache:
    """The answers in one SQLite file, made at first use.

    Parameters
    ----------
    path
        The file.
    max_age_days
        Older answers are not taken, and deleted when the file is next opened; None keeps them for ever.
    max_bytes
        When the file grows beyond, the oldest answers are deleted; None lets it grow.
    """

    def __init__(self, path: Path, *, max_age_days: float | None = None, max_bytes: int | None = None) -> None:
        self.path = path
        self._max_age_days = max_age_days
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._puts = 0

    def values(self, keys: Sequence[bytes], *, rows_per_request: int | None = None) -> dict[bytes, Any]:
        """Return the kept values of these keys; a key without an answer is left out.

        Parameters
        ----------
        rows_per_request
            Take only answers of requests that carried at most so many rows; None takes any.
        """
        decoded: dict[str, Any] = {}  # labels are few: each is decoded, and held in memory, once
        found: dict[bytes, Any] = {}
        for key, stored in self._select("key, value", keys, rows_per_request):
            if isinstance(stored, bytes):
                found[key] = stored
                continue
            value = decoded.get(stored)
            if value is None:
                value = decoded[stored] = json.loads(stored)
            found[key] = value
        return found

    def answers(self, keys: Sequence[bytes]) -> dict[bytes, KeptAnswer]:
        """Return all that is kept of these keys' answers."""
        rows = self._select(f"key, {', '.join(_COLUMNS)}", keys, None)
        return {
            key: KeptAnswer(**{**dict(zip(_COLUMNS, row, strict=True)), "value": _decoded(row[0])})
            for key, *row in rows
        }

    def put(self, answers: Mapping[bytes, KeptAnswer]) -> None:
        """Keep these answers, all or none; they are in the file when this returns."""
        now = time.time()
        rows = [
            (key, _encoded(answer.value), *(getattr(answer, name) for name in _COLUMNS[1:]), now)
            for key, answer in answers.items()
        ]
        marks = ",".join("?" * (len(_COLUMNS) + 2))
        columns = ", ".join(("key", *_COLUMNS, "created_unix_seconds"))
        with self._lock, self._explained():
            connection = self._open()
            if len(rows) > 1:
                connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(f"INSERT OR REPLACE INTO answers ({columns}) VALUES ({marks})", rows)  # noqa: S608
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            if connection.in_transaction:
                connection.execute("COMMIT")
            self._puts += len(rows)
            if self._puts >= _PUTS_BETWEEN_SIZE_CHECKS:
                self._puts = 0
                self._prune_to_size(connection)

    def info(self) -> CacheInfo:
        """Return how much is kept."""
        with self._lock, self._explained():
            connection = self._open()
            count, oldest, newest = connection.execute(
                "SELECT count(*), min(created_unix_seconds), max(created_unix_seconds) FROM answers"
            ).fetchone()
        files = [self.path, self.path.with_name(f"{self.path.name}-wal")]
        return CacheInfo(
            path=self.path,
            answers=count,
            size_bytes=sum(file.stat().st_size for file in files if file.exists()),
            oldest=_utc(oldest),
            newest=_utc(newest),
            max_bytes=self._max_bytes,
            max_age_days=self._max_age_days,
        )

    def clear(self, *, older_than_days: float | None = None, verb: str | None = None, model: str | None = None) -> int:
        """Delete the answers that meet all conditions (without any: every answer), and return how many those were."""
        conditions = {
            "created_unix_seconds < ?": None
            if older_than_days is None
            else time.time() - older_than_days * _SECONDS_PER_DAY,
            "verb = ?": verb,
            "model = ?": model,
        }
        given = {condition: value for condition, value in conditions.items() if value is not None}
        where = f" WHERE {' AND '.join(given)}" if given else ""
        with self._lock, self._explained():
            connection = self._open()
            deleted = connection.execute(f"DELETE FROM answers{where}", list(given.values())).rowcount  # noqa: S608
            _shrink(connection)
            return deleted

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _select(self, columns: str, keys: Iterable[bytes], rows_per_request: int | None) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of these keys that are not too old."""
        wanted = list(keys)
        most_rows = _NO_LIMIT if rows_per_request is None else rows_per_request
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            part = wanted[start : start + _KEYS_PER_QUERY]
            query = (
                f"SELECT {columns} FROM answers WHERE key IN ({','.join('?' * len(part))}) "  # noqa: S608
                "AND rows_per_request <= ? AND created_unix_seconds >= ?"
            )
            # Not held from one part to the next: whoever has an answer to keep does not wait for a long look-up.
            with self._lock, self._explained():
                rows = self._open().execute(query, [*part, most_rows, self._oldest()]).fetchall()
            yield from rows

    def _oldest(self) -> float:
        return 0.0 if self._max_age_days is None else time.time() - self._max_age_days * _SECONDS_PER_DAY

    def _prune_to_size(self, connection: sqlite3.Connection) -> None:
        """Delete the oldest answers when the file is larger than it may be."""
        size_bytes = _used_bytes(connection)
        if self._max_bytes is None or size_bytes <= self._max_bytes:
            return
        count = connection.execute("SELECT count(*) FROM answers").fetchone()[0]
        share = 1 - _SHARE_AFTER_PRUNING * self._max_bytes / size_bytes
        connection.execute(
            "DELETE FROM answers WHERE created_unix_seconds <= "
            "(SELECT created_unix_seconds FROM answers ORDER BY created_unix_seconds LIMIT 1 OFFSET ?)",
            (min(count - 1, int(count * share)),),
        )
        _shrink(connection)

    def _open(self) -> sqlite3.Connection:
        # A connection must not cross a fork: SQLite's locks belong to the process that took them.
        if self._connection is None or self._pid != os.getpid():
            self._connection, self._pid = _connect(self.path), os.getpid()
            if self._max_age_days is not None:
                self._connection.execute("DELETE FROM answers WHERE created_unix_seconds < ?", (self._oldest(),))
            self._prune_to_size(self._connection)
        return self._connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise CacheProblem for whatever SQLite or the disk has to say."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise CacheProblem(
                f"The cache {str(self.path)!r} can't be used: {error}.",
                "Move that file away, or keep the cache elsewhere: mistral_nb.configure(home='…').",
            ) from None


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives the journal the rights of the database, so the file must be private before SQLite first opens it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    os.chmod(path, 0o600)
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table in a new file; refuse a file that is somebody else's or from a later version."""
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint={_PAGES_BETWEEN_CHECKPOINTS}")
    if _identity(connection) != (_APPLICATION_ID, _SCHEMA_VERSION):
        _make_table(connection)
    _use_write_ahead_log(connection)


def _make_table(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # takes effect only before the first table
    connection.execute("BEGIN IMMEDIATE")  # one process makes the table; the others wait, and then find it made
    application_id, version = _identity(connection)
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not is_empty and application_id != _APPLICATION_ID:
        raise sqlite3.DatabaseError("it is another program's database")
    if not is_empty and version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"it has version {version}, this package reads version {_SCHEMA_VERSION}")
    if version < _SCHEMA_VERSION:
        connection.execute("DROP TABLE IF EXISTS answers")  # version 1 had keys that nothing asks for any more
        connection.execute(_TABLE)
        connection.execute("CREATE INDEX answers_by_age ON answers (created_unix_seconds)")
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    return application_id, connection.execute("PRAGMA user_version").fetchone()[0]


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the journal, which SQLite refuses at once, without its busy timeout, while anybody else uses the file."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _shrink(connection: sqlite3.Connection) -> None:
    """Give the space of deleted answers back to the disk, as far as other kernels that read allow."""
    # Not with `execute`: it would stop at the first step, which frees one page.
    connection.executescript("PRAGMA incremental_vacuum")
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _encoded(value: Any) -> str | bytes:
    """Return what the file holds of a value: a vector's digits as JSON would take five times its bytes, and be slow to read."""
    return value if isinstance(value, bytes) else _ENCODER.encode(value)


def _decoded(stored: str | bytes) -> Any:
    return stored if isinstance(stored, bytes) else json.loads(stored)


def _utc(unix_seconds: float | None) -> datetime.datetime | None:
    return None if unix_seconds is None else datetime.datetime.fromtimestamp(unix_seconds, tz=datetime.UTC)


def _unserializable(value: Any) -> Any:
    raise TypeError(f"A request holds a {type(value).__name__}, which is not JSON: {value!r}")
