"""Answers already paid for, in a file that survives the kernel.

Keeps to itself: the key, age and size.
Promises: the key covers everything that can change an answer; only answers that could be read are kept; an answer is in the
file before `put` returns.
"""

import datetime
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from mistral_nb.completion import RowRequest, TokenUsage
from mistral_nb.counted import counted
from mistral_nb.engine.database import Database, shrink, used_bytes
from mistral_nb.settings import is_local

KEY_VERSION = 2
_KEYS_PER_QUERY = 1000
_PUTS_BETWEEN_SIZE_CHECKS = 2000
_SECONDS_PER_DAY = 86_400.0
# What is deleted when the file is too large goes down to this share, so that it is not done for every answer.
_SHARE_AFTER_PRUNING = 0.9
_NO_LIMIT = 2**62
_ENCODER = json.JSONEncoder(ensure_ascii=False)
# What a line of the ledger, which has an age of its own, takes in the same file.
_LEDGER_LINE_BYTES = 250


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
        "choice": _known_by(request),
    }
    frame = json.dumps(question, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=_unserializable)
    begun = hashlib.sha256(hashlib.sha256(frame.encode("ascii")).digest())

    def key(text: str) -> bytes:
        hashed = begun.copy()
        hashed.update(text.encode("utf-8", "surrogatepass"))
        return hashed.digest()

    return key


def _known_by(request: RowRequest) -> dict[str, Any] | None:
    """Return what a key has of a choice: all that the embedded model scores.

    Of a hosted model, which reads the messages alone, nothing of a choice that had no part in keys when most answers were paid for.
    """
    choice = request.choice
    if choice is None:
        return None
    known = {"labels": choice.labels, "answers": choice.answers, "hints": choice.hints, "text": None}
    if is_local(request.model):
        return known | {"other": choice.other, "is_several": choice.is_several}
    return None if choice.other is not None or choice.instructions or choice.is_several else known


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
    """What is kept: how many answers, in how large a file, from when to when (UTC; None when there are none).

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> topics = pd.Series(["I was charged twice"]).mistral.classify(["billing", "delivery"])
    >>> kept = mistral_nb.cache_info()
    >>> kept.answers >= 1, kept.path.name, kept.max_bytes
    (True, 'mistral_nb.sqlite', 2000000000)
    """

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
        return f"{counted(self.answers, 'answer')} in {self.size_bytes / 1e6:,.1f} MB{span}; kept {age}, {bound}: {self.path}"

    __repr__ = __str__


class FoundAnswers(NamedTuple):
    """What is kept of the keys that were looked up: each value, and the tokens that all of them together took."""

    values: dict[bytes, Any]
    usage: TokenUsage


class AnswerCache:
    """The answers in the database.

    Parameters
    ----------
    database
        The file.
    max_age_days
        Older answers are not taken, and deleted when the file is next opened; None keeps them for ever.
    max_bytes
        When the file grows beyond, the oldest answers are deleted; None lets it grow.
    """

    def __init__(self, database: Database, *, max_age_days: float | None = None, max_bytes: int | None = None) -> None:
        self.database = database
        self._max_age_days = max_age_days
        self._max_bytes = max_bytes
        self._puts = 0
        database.when_opened(self._prune)

    def found(self, keys: Sequence[bytes], *, rows_per_request: int | None = None) -> FoundAnswers:
        """Return the kept values of these keys; a key without an answer is left out.

        Parameters
        ----------
        rows_per_request
            Take only answers of requests that carried at most so many rows; None takes any.
        """
        decoded: dict[str, Any] = {}  # labels are few: each is decoded, and held in memory, once
        values: dict[bytes, Any] = {}
        read = written = 0
        columns = "key, value, prompt_tokens, completion_tokens"
        for key, stored, prompt_tokens, completion_tokens in self._select(columns, keys, rows_per_request):
            read += prompt_tokens
            written += completion_tokens
            if isinstance(stored, bytes):
                values[key] = stored
                continue
            value = decoded.get(stored)
            if value is None:
                value = decoded[stored] = json.loads(stored)
            values[key] = value
        return FoundAnswers(values, TokenUsage(prompt_tokens=read, completion_tokens=written))

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
        with self.database.writing() as connection:
            connection.executemany(f"INSERT OR REPLACE INTO answers ({columns}) VALUES ({marks})", rows)  # noqa: S608
        self._puts += len(rows)
        if self._puts >= _PUTS_BETWEEN_SIZE_CHECKS:
            self._puts = 0
            with self.database.reading() as connection:
                self._prune_to_size(connection)

    def info(self) -> CacheInfo:
        """Return how much is kept."""
        with self.database.reading() as connection:
            count, oldest, newest = connection.execute(
                "SELECT count(*), min(created_unix_seconds), max(created_unix_seconds) FROM answers"
            ).fetchone()
        path = self.database.path
        files = [path, path.with_name(f"{path.name}-wal")]
        return CacheInfo(
            path=path,
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
        with self.database.reading() as connection:
            deleted = connection.execute(f"DELETE FROM answers{where}", list(given.values())).rowcount  # noqa: S608
            shrink(connection)
            return deleted

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
            with self.database.reading() as connection:
                rows = connection.execute(query, [*part, most_rows, self._oldest()]).fetchall()
            yield from rows

    def _oldest(self) -> float:
        return 0.0 if self._max_age_days is None else time.time() - self._max_age_days * _SECONDS_PER_DAY

    def _prune(self, connection: sqlite3.Connection) -> None:
        if self._max_age_days is not None:
            connection.execute("DELETE FROM answers WHERE created_unix_seconds < ?", (self._oldest(),))
        self._prune_to_size(connection)

    def _prune_to_size(self, connection: sqlite3.Connection) -> None:
        """Delete the oldest answers when they are larger than they may be."""
        if self._max_bytes is None:
            return
        lines = connection.execute("SELECT coalesce(max(id) - min(id) + 1, 0) FROM requests").fetchone()[0]
        size_bytes = used_bytes(connection) - lines * _LEDGER_LINE_BYTES
        if size_bytes <= self._max_bytes:
            return
        count = connection.execute("SELECT count(*) FROM answers").fetchone()[0]
        share = 1 - _SHARE_AFTER_PRUNING * self._max_bytes / size_bytes
        connection.execute(
            "DELETE FROM answers WHERE created_unix_seconds <= "
            "(SELECT created_unix_seconds FROM answers ORDER BY created_unix_seconds LIMIT 1 OFFSET ?)",
            (min(count - 1, int(count * share)),),
        )
        shrink(connection)


def _encoded(value: Any) -> str | bytes:
    """Return what the file holds of a value: a vector's digits as JSON would take five times its bytes, and be slow to read."""
    return value if isinstance(value, bytes) else _ENCODER.encode(value)


def _decoded(stored: str | bytes) -> Any:
    return stored if isinstance(stored, bytes) else json.loads(stored)


def _utc(unix_seconds: float | None) -> datetime.datetime | None:
    return None if unix_seconds is None else datetime.datetime.fromtimestamp(unix_seconds, tz=datetime.UTC)


def _unserializable(value: Any) -> Any:
    raise TypeError(f"A request holds a {type(value).__name__}, which is not JSON: {value!r}")
