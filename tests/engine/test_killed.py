"""A kernel that dies in the middle of a run, and what the next one pays again."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.engine.background_loop import background_loop
from tests.engine.row_runs import LABELS, Gate, labels_of, texts, texts_in, until
from tests.fake_api import FakeApi

KILLS = 20
AT_ONCE = 8

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kernels that are killed are forks")

# Importing takes a second; forking, nothing.
_FORKING_KERNEL = """
import json, os, sys
import aiohttp, pandas as pd, mistral_nb, mistral_nb.notebook.accessor, mistral_nb.engine.session, tqdm.auto
from mistral_nb.engine import audit
audit.SHARE = audit.FEWEST_ROWS = 0
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        mistral_nb.configure(**job["settings"])
        pd.Series(job["rows"]).mistral.classify(job["labels"], **job["options"])
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Kernels:
    """Kernels that start at once, one after the other."""

    def __init__(self, process: "subprocess.Popen[str]", settings: Mapping[str, Any]) -> None:
        self._process = process
        self._settings = settings
        self.pid = 0

    def start(self, rows: list[str], **options: Any) -> None:
        job = {"settings": self._settings, "rows": rows, "labels": LABELS, "options": options}
        assert self._process.stdin is not None
        self.pid = 0
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        self.pid = self._read()

    def wait(self) -> int:
        """Return the status that the kernel ended with."""
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@pytest.fixture
def settings_of_all(api: FakeApi) -> dict[str, Any]:
    home = mistral_nb.configure(max_concurrency=AT_ONCE).home
    return {"endpoint": api.url, "api_key": api.api_key, "home": str(home), "max_concurrency": AT_ONCE}


@pytest.fixture
def kernels(settings_of_all: dict[str, Any]) -> Iterator[Kernels]:
    with started_kernels(settings_of_all) as kernel:
        yield kernel


class started_kernels:  # noqa: N801  # a context manager
    def __init__(self, settings: Mapping[str, Any], script: str = _FORKING_KERNEL) -> None:
        command = [sys.executable, "-c", script]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._kernels = Kernels(self._process, settings)

    def __enter__(self) -> Kernels:
        return self._kernels

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class KillAt:
    """Kills the kernel when the server has got so many more requests."""

    def __init__(self, api: FakeApi, kernels: Kernels) -> None:
        self._kernels = kernels
        self._left = 0
        api.settings.latency_hook = self._count

    def after(self, requests: int) -> None:
        self._left = requests

    def _count(self, body: Mapping[str, Any]) -> float:
        self._left -= 1
        if self._left == 0:
            until(lambda: self._kernels.pid)
            os.kill(self._kernels.pid, signal.SIGKILL)
        return 0.0


def check_integrity(settings: Mapping[str, Any]) -> None:
    """Look at the file with SQLite's own eyes."""
    file = sqlite3.connect(Path(settings["home"]) / "mistral_nb.sqlite")
    found = file.execute("PRAGMA integrity_check").fetchone()
    file.close()
    assert found == ("ok",)


@pytest.mark.parametrize("rows_per_request", [1, 4])
def test_a_killed_run_pays_again_for_no_more_than_was_under_way(
    api: FakeApi, kernels: Kernels, settings_of_all: dict[str, Any], no_audit: None, rows_per_request: int
) -> None:
    """20 times at random points; the file is whole after each."""
    dice = random.Random(rows_per_request)
    rows = texts(600 * rows_per_request)
    kill = KillAt(api, kernels)
    for _ in range(KILLS):
        kill.after(dice.randint(10, 30))
        kernels.start(rows, rows_per_request=rows_per_request)
        assert kernels.wait() == signal.SIGKILL
        check_integrity(settings_of_all)
    labels = pd.Series(rows).mistral.classify(LABELS, rows_per_request=rows_per_request)
    paid = Counter(text for request in api.requests if request.status == 200 for text in texts_in(request))

    assert labels.tolist() == labels_of(rows)
    assert sum(times - 1 for times in paid.values()) <= KILLS * AT_ONCE * rows_per_request


def test_two_kernels_at_once_have_no_lock_error(api: FakeApi, settings_of_all: dict[str, Any]) -> None:
    rows = texts(200)
    with started_kernels(settings_of_all) as one, started_kernels(settings_of_all) as other:
        one.start(rows, rows_per_request=1)
        other.start(rows[::-1], rows_per_request=1)

        assert (one.wait(), other.wait()) == (0, 0)
    assert mistral_nb.cache_info().answers == 200


class TestInterrupted:
    @pytest.fixture(autouse=True)
    def _interrupt(self, api: FakeApi, gate: Gate) -> None:
        """Interrupt this process when some rows are answered and the others are under way."""
        mistral_nb.configure(max_concurrency=AT_ONCE)
        gate.holds = self._holds
        self._sent = 0

    def _holds(self, text: str) -> bool:
        self._sent += 1
        if self._sent == 15:
            os.kill(os.getpid(), signal.SIGINT)
        return self._sent > 10

    def _run(self, **options: Any) -> None:
        with pytest.raises(KeyboardInterrupt):
            pd.Series(texts(100)).mistral.classify(LABELS, rows_per_request=1, **options)

    def test_no_request_stays_under_way(self, api: FakeApi) -> None:
        self._run()
        until(lambda: api.stats.in_flight == 0)

        assert api.stats.disconnects >= 5

    def test_no_task_stays_behind(self) -> None:
        self._run()
        loop = background_loop._loop
        assert loop is not None

        until(lambda: not asyncio.all_tasks(loop))

    def test_nobody_owns_a_question_any_more(self) -> None:
        self._run()

        assert mistral_nb.session().account.in_flight._waiting == {}

    def test_all_leave_to_send_is_given_back(self) -> None:
        self._run()

        assert [limiter.in_flight for limiter in mistral_nb.session().account._limiters.values()] == [0]

    def test_no_new_request_is_sent(self, api: FakeApi) -> None:
        self._run()

        assert len(api.requests) <= 15 + AT_ONCE

    def test_what_came_back_is_kept_and_the_next_run_goes_on(self, api: FakeApi, gate: Gate) -> None:
        self._run()
        kept = mistral_nb.cache_info().answers
        before = len(api.requests)
        gate.holds = lambda text: False
        labels = pd.Series(texts(100)).mistral.classify(LABELS, rows_per_request=1)
        # As a set: requests that were on their way when they were given up may reach the server only now.
        asked_since = {request.text for request in api.requests[before:]}

        assert labels.tolist() == labels_of(texts(100))
        assert (kept >= 7, len(asked_since)) == (True, 100 - kept)

    def test_the_last_run_holds_what_came_back(self, api: FakeApi) -> None:
        self._run()
        last = mistral_nb.session().last_run
        answered = last.column.notna()

        assert last.column[answered].tolist() == [
            label for label, is_there in zip(labels_of(texts(100)), answered, strict=True) if is_there
        ]
        assert (answered.sum(), last.progress.done) == (mistral_nb.cache_info().answers, answered.sum())

    def test_the_details_of_rows_it_did_not_come_to_are_missing(self) -> None:
        self._run()
        details = mistral_nb.session().last_run.details
        is_open = details["value"].isna()

        assert not details.loc[is_open, "from_cache"].any()
        assert details.loc[is_open, ["error", "model", "latency_seconds"]].isna().all(axis=None)

    def test_retry_asks_only_what_is_open(self, api: FakeApi, gate: Gate) -> None:
        self._run(cache=False)
        last = mistral_nb.session().last_run
        is_open = int(last.column.isna().sum())
        before = len(api.requests)
        gate.holds = lambda text: False
        whole = last.retry()
        asked = {request.text for request in api.requests[before:]}

        assert (whole.tolist(), len(asked)) == (labels_of(texts(100)), is_open)
