"""The budget of a day, which all kernels of one home share through the file of the ledger.

Keeps to itself: how kernels see what others hold, and how those that have died are told.
Promises: holding and looking at what is spent are one transaction, so that two kernels never hold the same dollar. A hold is given
back in the transaction that writes what the request cost. What a dead kernel held is free again: at once where its process can be
seen to be gone, otherwise after an hour.
"""

import datetime
import os
import platform
import sqlite3
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from mistral_nb.engine.budget import Budget
from mistral_nb.engine.database import Database

# Longer than a request with all its attempts takes.
_HOLD_SECONDS = 3600.0
# In the place of a process's number and begin: a holder that is none, which is no machine's name either.
_NO_PROCESS = "/0/"


class DayBudget(Budget):
    """What may be spent from midnight to midnight, UTC.

    Parameters
    ----------
    limit_usd
        Most that may be spent on one day.
    database
        The file that the kernels share.
    """

    def __init__(self, limit_usd: Decimal, database: Database) -> None:
        super().__init__(
            limit_usd,
            name="The day's budget",
            remedy=(
                "The next day begins at midnight UTC; or allow more: mistral_nb.configure(budget_usd_per_day=…). "
                "What is answered is kept and not paid for again."
            ),
        )
        self._database = database
        self._holds: defaultdict[Decimal, list[int]] = defaultdict(list)
        self._day = ""
        self._last_line = 0

    def hold(self, worst_case_usd: Decimal) -> bool:
        """Hold it for all kernels to see; False, and nothing held, where it would not fit."""
        assert self.limit_usd is not None
        now = time.time()
        with self._database.writing() as connection:
            self._count_spent(connection, now)
            self.held_usd = _held(connection, self._day, now)
            if self.spent_usd + self.held_usd + worst_case_usd > self.limit_usd:
                return False
            added = connection.execute(
                "INSERT INTO holds (day, usd, process, expires_unix_seconds) VALUES (?, ?, ?, ?)",
                (self._day, str(worst_case_usd), _process(os.getpid()), now + _HOLD_SECONDS),
            )
            assert added.lastrowid is not None
            self._holds[worst_case_usd].append(added.lastrowid)
        self.held_usd += worst_case_usd
        return True

    def settle(self, worst_case_usd: Decimal, spent_usd: Decimal | None) -> None:
        """Give the hold back with the next transaction, to which the ledger's line belongs; of an unknown cost, keep it all day."""
        number = self._holds[worst_case_usd].pop()
        if spent_usd is None:
            self._database.defer("UPDATE holds SET process = NULL WHERE id = ?", (number,))
        else:
            self._database.defer("DELETE FROM holds WHERE id = ?", (number,))

    def _count_spent(self, connection: sqlite3.Connection, now: float) -> None:
        """Add what was written down since the last time, by any kernel; what may have been billed counts in full."""
        today = datetime.datetime.fromtimestamp(now, tz=datetime.UTC).date()
        midnight = datetime.datetime.combine(today, datetime.time(), tzinfo=datetime.UTC).timestamp()
        if today.isoformat() != self._day:
            self._day, self._last_line, self.spent_usd = today.isoformat(), 0, Decimal(0)
        new = connection.execute(
            "SELECT id, cost_usd FROM requests WHERE id > ? AND began_unix_seconds >= ?", (self._last_line, midnight)
        )
        for self._last_line, cost_usd in new:
            self.spent_usd += Decimal(cost_usd or 0)


def hold_until(connection: sqlite3.Connection, holder: str, usd: Decimal, unix_seconds: float) -> None:
    """Hold an amount of this day's budget for something that outlives its kernel, within the caller's transaction."""
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    connection.execute(
        "INSERT INTO holds (day, usd, process, expires_unix_seconds) VALUES (?, ?, ?, ?)",
        (today, str(usd), f"{holder}{_NO_PROCESS}", unix_seconds),
    )


def give_back(connection: sqlite3.Connection, holder: str) -> None:
    """Give back what `hold_until` holds for this holder."""
    connection.execute("DELETE FROM holds WHERE process = ?", (f"{holder}{_NO_PROCESS}",))


def _held(connection: sqlite3.Connection, day: str, now: float) -> Decimal:
    """Return what is held on this day, after taking away what nobody holds any more."""
    held_usd, gone = Decimal(0), []
    for number, held_on, usd, process, expires in connection.execute(
        "SELECT id, day, usd, process, expires_unix_seconds FROM holds"
    ):
        if held_on != day or (process is not None and (expires < now or _has_ended(process))):
            gone.append((number,))
        else:
            held_usd += Decimal(usd)
    connection.executemany("DELETE FROM holds WHERE id = ?", gone)
    return held_usd


def _process(pid: int) -> str:
    """Return what tells a process from all others: its machine, its number, and when it began where the system says so."""
    return f"{platform.node()}/{pid}/{_began(pid)}"


def _has_ended(process: str) -> bool:
    """Whether a process is known not to run any more; one of another machine is not known."""
    node, pid, began = process.rsplit("/", 2)
    if node != platform.node() or os.name != "posix":
        return False
    if int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _began(int(pid)) != began


def _began(pid: int) -> str:
    """Return Linux's own mark of when a process began, so that a number used again is seen; "" elsewhere, or for a dead one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]
