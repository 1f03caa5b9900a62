"""The one SQLite file of kept answers, of the ledger, of batch jobs and of what models were found to give.

Keeps to itself: the tables and their version, the file's rights (0600), threads, forks, other kernels.
Promises: what was written when a transaction ends is in the file; a transaction is written whole or not at all. The journal is WAL
with ``synchronous=NORMAL``: a killed process loses nothing, a power cut may lose the last moments but never damages the file. Safe
to use from several threads and several kernels at once; an older file is taken over, a later or a foreign one is refused.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from mistral_nb.errors import CacheProblem

APPLICATION_ID = 0x4D4E4231  # "MNB1": tells our file from any other SQLite file
SCHEMA_VERSION = 6
_SYNCHRONOUS = "NORMAL"  # tests, which no power cut is the end of, do not wait for the disk
_BUSY_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.01
# 16 MB. A checkpoint waits for the disk, and writes each changed page once however often it was changed: SQLite's own 1000 make
# four times as many of them, each of which holds up the rows.
_PAGES_BETWEEN_CHECKPOINTS = 4000
# Of rows that wait for a file that can't be written; beyond, the oldest are given up.
_MOST_DEFERRED = 100_000

# With rowids, on purpose: keys are random, so each answer changes a page somewhere in what is sorted by key, and a page of bare
# keys holds five times as many of them as one of whole answers.
_ANSWERS = """
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
# Amounts are text: exact, as `Decimal` writes them; NULL where unknown. There is no index: lines are added in the order of time.
_REQUESTS = """
    CREATE TABLE requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        began_unix_seconds REAL NOT NULL,
        door TEXT NOT NULL,
        verb TEXT NOT NULL,
        notebook TEXT,
        tag TEXT,
        operation TEXT NOT NULL,
        model TEXT NOT NULL,
        response_model TEXT,
        response_id TEXT,
        correlation_id TEXT,
        rows INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        cost_usd TEXT,
        first_token_seconds REAL,
        latency_seconds REAL NOT NULL,
        attempts INTEGER NOT NULL,
        finish_reason TEXT,
        error TEXT,
        from_cache INTEGER NOT NULL,
        saved_usd TEXT
    )
"""
# What kernels hold of the day's budget; `process` is NULL where an answer that was lost may have been billed.
_HOLDS = """
    CREATE TABLE holds (
        id INTEGER PRIMARY KEY,
        day TEXT NOT NULL,
        usd TEXT NOT NULL,
        process TEXT,
        expires_unix_seconds REAL NOT NULL
    )
"""
# A line for each batch job that was made here, one for each of its requests until the answer is read, and where each key is asked.
_BATCHES = (
    """
    CREATE TABLE batch_jobs (
        id TEXT PRIMARY KEY NOT NULL,
        server_url TEXT NOT NULL,
        verb TEXT NOT NULL,
        model TEXT NOT NULL,
        status TEXT NOT NULL,
        rows INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        created_unix_seconds REAL NOT NULL,
        creator TEXT NOT NULL,
        remote_id TEXT,
        succeeded_requests INTEGER NOT NULL,
        failed_requests INTEGER NOT NULL,
        completed_unix_seconds REAL,
        most_usd TEXT,
        cost_usd TEXT,
        is_uncertain INTEGER NOT NULL,
        is_kept INTEGER NOT NULL,
        problem TEXT
    )
    """,
    """
    CREATE TABLE batch_requests (
        job_id TEXT NOT NULL,
        place INTEGER NOT NULL,
        keys BLOB NOT NULL,
        is_audit INTEGER NOT NULL,
        status_code INTEGER,
        body TEXT,
        PRIMARY KEY (job_id, place)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE batch_questions (
        key BLOB NOT NULL,
        job_id TEXT NOT NULL,
        place INTEGER NOT NULL,
        PRIMARY KEY (key, job_id, place)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX batch_questions_by_job ON batch_questions (job_id, place)",
)

_LOG_PROBABILITIES = """
    CREATE TABLE log_probabilities (
        endpoint TEXT NOT NULL,
        model TEXT NOT NULL,
        are_given INTEGER NOT NULL,
        found_unix_seconds REAL NOT NULL,
        PRIMARY KEY (endpoint, model)
    ) WITHOUT ROWID
"""


class Database:
    """The file, made at first use.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._when_opened: list[Callable[[sqlite3.Connection], None]] = []
        self._deferred: list[tuple[str, Sequence[Any]]] = []

    def when_opened(self, tidy: Callable[[sqlite3.Connection], None]) -> None:
        """Have `tidy` called with each new connection."""
        self._when_opened.append(tidy)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection; each statement stands for itself."""
        with self._lock, self._explained():
            yield self._open()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection within a transaction, together with all that was deferred; an exception takes all of it back."""
        with self._lock, self._explained():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                deferred = self._deferred[:]
                for statement, group in groupby(deferred, key=itemgetter(0)):
                    connection.executemany(statement, [row for _, row in group])
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            del self._deferred[: len(deferred)]

    def defer(self, statement: str, row: Sequence[Any]) -> None:
        """Write a row with the next transaction, whosever it is, or when `write_deferred` is called."""
        self._leave_to_the_parent()
        if len(self._deferred) >= _MOST_DEFERRED:
            del self._deferred[0]
        self._deferred.append((statement, row))

    def write_deferred(self) -> None:
        """Write what was deferred and is not yet written."""
        if self._deferred:
            with self.writing():
                pass

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        self._leave_to_the_parent()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        self._leave_to_the_parent()
        if self._connection is None:
            self._connection = _connect(self.path)
            for tidy in self._when_opened:
                tidy(self._connection)
        return self._connection

    def _leave_to_the_parent(self) -> None:
        """Forget, after a fork, a connection (SQLite's locks belong to the process that took them) and rows that are not ours."""
        if self._pid != os.getpid():
            self._connection, self._pid = None, os.getpid()
            self._deferred.clear()

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


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the file holds something."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def shrink(connection: sqlite3.Connection) -> None:
    """Give the space of what was deleted back to the disk, as far as other kernels that read allow."""
    # Not with `execute`: it would stop at the first step, which frees one page.
    connection.executescript("PRAGMA incremental_vacuum")
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


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
    """Make the tables in a new file; refuse a file that is somebody else's or from a later version."""
    connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS}")
    connection.execute(f"PRAGMA wal_autocheckpoint={_PAGES_BETWEEN_CHECKPOINTS}")
    if _identity(connection) != (APPLICATION_ID, SCHEMA_VERSION):
        _make_tables(connection)
    _use_write_ahead_log(connection)


def _make_tables(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # takes effect only before the first table
    connection.execute("BEGIN IMMEDIATE")  # one process makes the tables; the others wait, and then find them made
    application_id, version = _identity(connection)
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not is_empty and application_id != APPLICATION_ID:
        raise sqlite3.DatabaseError("it is another program's database")
    if not is_empty and version > SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"it has version {version}, this package reads version {SCHEMA_VERSION}")
    if version < 2:
        connection.execute("DROP TABLE IF EXISTS answers")  # version 1 had keys that nothing asks for any more
        connection.execute(_ANSWERS)
        connection.execute("CREATE INDEX answers_by_age ON answers (created_unix_seconds)")
    if version < 3:
        connection.execute(_REQUESTS)
    if version < 4:
        connection.execute(_HOLDS)
    if version < 5:
        for statement in _BATCHES:
            connection.execute(statement)
    if version < 6:
        connection.execute(_LOG_PROBABILITIES)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
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
