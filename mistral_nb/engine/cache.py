"""Answers already paid for: one SQLite file that survives the kernel.

Keeps to itself: the key, the table, the file's rights (0600).
Promises: the key covers everything that can change an answer; only answers that could be read are kept; an answer is in the
file before `put` returns. The journal is WAL with ``synchronous=NORMAL``: a killed process loses nothing, a power cut may lose
the last moments but never damages the file. Safe to use from several threads and several kernels at once.
"""

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mistral_nb.completion import Completion, CompletionRequest, TokenUsage
from mistral_nb.errors import CacheProblem

KEY_VERSION = 1
_APPLICATION_ID = 0x4D4E4231  # "MNB1": tells our file from any other SQLite file
_SCHEMA_VERSION = 1
_BUSY_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.01
_KEYS_PER_QUERY = 500
_TABLE = """
    CREATE TABLE answers (key BLOB PRIMARY KEY, answer TEXT NOT NULL, created_unix_seconds REAL NOT NULL) WITHOUT ROWID
"""


def answer_key(request: CompletionRequest, *, endpoint: str, answering_model: str, prompt_version: str) -> bytes:
    """Return the key of the answer to a request: 32 bytes.

    Parameters
    ----------
    request
        Its whole body counts: messages, sampling, schema, tools.
    endpoint, answering_model
        Who answers; `answering_model` names the weights, not only the alias.
    prompt_version
        The task and its version, e.g. "classify/1": the same body may be read differently by a later version.
    """
    question = {
        "version": KEY_VERSION,
        "endpoint": endpoint,
        "answering_model": answering_model,
        "prompt_version": prompt_version,
        "body": request.body(),
        "choice": None if request.choice is None else [request.choice.text, *request.choice.labels],
    }
    text = json.dumps(question, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=_unserializable)
    return hashlib.sha256(text.encode("ascii")).digest()


class AnswerCache:
    """The answers in one SQLite file, made at first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Completion]:
        """Return the kept answers to these keys; keys without an answer are left out."""
        wanted = list(keys)
        found: dict[bytes, Completion] = {}
        with self._lock, self._explained():
            connection = self._open()
            for start in range(0, len(wanted), _KEYS_PER_QUERY):
                part = wanted[start : start + _KEYS_PER_QUERY]
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"SELECT key, answer FROM answers WHERE key IN ({marks})", part)  # noqa: S608
                found.update((key, _read(answer)) for key, answer in rows)
        return found

    def put(self, key: bytes, completion: Completion) -> None:
        """Keep an answer; it is in the file when this returns."""
        with self._lock, self._explained():
            self._open().execute(
                "INSERT OR REPLACE INTO answers (key, answer, created_unix_seconds) VALUES (?, ?, ?)",
                (key, json.dumps(asdict(completion)), time.time()),
            )

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        # A connection must not cross a fork: SQLite's locks belong to the process that took them.
        if self._connection is None or self._pid != os.getpid():
            self._connection, self._pid = _connect(self.path), os.getpid()
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
    if _identity(connection) != (_APPLICATION_ID, _SCHEMA_VERSION):
        connection.execute("BEGIN IMMEDIATE")  # one process makes the table; the others wait, and then find it made
        application_id, version = _identity(connection)
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
            connection.execute(_TABLE)
        elif application_id != _APPLICATION_ID:
            raise sqlite3.DatabaseError("it is another program's database")
        elif version != _SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"it has version {version}, this package reads version {_SCHEMA_VERSION}")
        connection.execute("COMMIT")
    _use_write_ahead_log(connection)


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


def _read(answer: str) -> Completion:
    data: dict[str, Any] = json.loads(answer)
    data["usage"] = TokenUsage(**data["usage"])
    data["tool_calls"] = ()  # rows carry none
    return Completion(**data)


def _unserializable(value: Any) -> Any:
    raise TypeError(f"A request holds a {type(value).__name__}, which is not JSON: {value!r}")
