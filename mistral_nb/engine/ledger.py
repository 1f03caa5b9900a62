"""Every request of every door, a line each, in the file of the kept answers.

Keeps to itself: how a record becomes a line and a line a record.
Promises: a line is written in the transaction that keeps the request's answer, or right after; it holds no prompt, no answer and no
key. A ledger that can't be written loses no answer: that is said once.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import fields
from decimal import Decimal
from typing import Any

from mistral_nb.engine.database import Database, shrink
from mistral_nb.engine.open_request import EndedRequest
from mistral_nb.engine.request_record import RequestRecord
from mistral_nb.errors import CacheProblem

COLUMNS = tuple(field.name for field in fields(RequestRecord))
_AMOUNTS = ("cost_usd", "saved_usd")
_INSERT = f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES ({','.join('?' * len(COLUMNS))})"  # noqa: S608  # our own names
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM requests WHERE began_unix_seconds >= ?"  # noqa: S608  # our own names
# From the end: the request has just been written down, and there is no index.
_ADD_ERROR = """
    UPDATE requests SET error = ? WHERE error IS NULL AND id = (
        SELECT id FROM requests WHERE response_id = ? ORDER BY id DESC LIMIT 1
    )
"""

_logger = logging.getLogger(__name__)


class Ledger:
    """The lines of one file; as a listener, it takes each request that ends.

    Parameters
    ----------
    database
        The file.
    soon
        Has a function called in a moment, when answers that came together with a request are being kept.
    """

    def __init__(self, database: Database, *, soon: Callable[[Callable[[], None]], None]) -> None:
        self._database = database
        self._soon = soon
        self._is_due = False
        self._has_complained = False

    def __call__(self, ended: EndedRequest) -> None:
        """Have the record written with the next transaction, which comes at once."""
        self._database.defer(_INSERT, [_stored(getattr(ended.record, name)) for name in COLUMNS])
        if not self._is_due:
            self._is_due = True
            self._soon(self.write)

    def write(self) -> None:
        """Write the lines that are not yet written."""
        self._is_due = False
        try:
            self._database.write_deferred()
        except CacheProblem as problem:
            if not self._has_complained:
                self._has_complained = True
                _logger.warning("What requests cost can't be written down. %s", problem)

    def add_error(self, response_id: str, error: str) -> None:
        """Write down of an answer what was found wrong with it only when it was read; `error` is the exception's class."""
        self._database.defer(_ADD_ERROR, [error, response_id])
        self.write()

    def lines(self, *, since_unix_seconds: float = 0.0, tag: str | None = None) -> list[tuple[Any, ...]]:
        """Return the requests that began since then, in the order in which they ended, as the values of `COLUMNS`.

        Amounts are text, or None where unknown.
        """
        self._database.write_deferred()
        tagged, values = ("", [since_unix_seconds]) if tag is None else (" AND tag = ?", [since_unix_seconds, tag])
        with self._database.reading() as connection:
            return connection.execute(f"{_SELECT}{tagged} ORDER BY id", values).fetchall()

    def clear(self, *, before_unix_seconds: float) -> int:
        """Delete the requests that began before then, and return how many those were."""
        self._database.write_deferred()
        with self._database.reading() as connection:
            deleted = connection.execute(
                "DELETE FROM requests WHERE began_unix_seconds < ?", [before_unix_seconds]
            ).rowcount
            shrink(connection)
        return deleted

    def records(self) -> Iterator[RequestRecord]:
        """Yield all requests, in the order in which they ended."""
        for line in self.lines():
            values: dict[str, Any] = dict(zip(COLUMNS, line, strict=True))
            for name in _AMOUNTS:
                values[name] = None if values[name] is None else Decimal(values[name])
            yield RequestRecord(**{**values, "from_cache": bool(values["from_cache"])})


def _stored(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value
