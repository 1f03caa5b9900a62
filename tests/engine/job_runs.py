"""What tests of batch jobs do: see what the server was asked, script it, begin a new kernel."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

import mistral_nb
from mistral_nb.engine import current
from tests.engine.row_runs import LABELS, texts
from tests.fake_api import FakeApi, Fault, SeenRequest

JOBS = "/v1/batch/jobs"
ALONE = {"rows_per_request": 1}


def column(count: int = 6) -> "pd.Series[Any]":
    return pd.Series(texts(count), index=[f"row {number}" for number in range(count)], name="text")


def classified(rows: "pd.Series[Any]", **options: Any) -> Any:
    return rows.mistral.classify(LABELS, **options)


def new_kernel() -> None:
    """Go on with a new session over the same file, as a new kernel would."""
    current.close_current_session()


def made(api: FakeApi) -> list[SeenRequest]:
    """Return the calls that asked for a job."""
    return [request for request in api.requests if (request.method, request.path) == ("POST", JOBS)]


def uploads(api: FakeApi) -> list[SeenRequest]:
    return [request for request in api.requests if (request.method, request.path) == ("POST", "/v1/files")]


def sent_live(api: FakeApi) -> list[SeenRequest]:
    return [request for request in api.requests if request.path == "/v1/chat/completions"]


def failing(texts: dict[str, Fault]) -> Callable[[str], Fault]:
    """Return what requests meet that ask one of these texts alone, or together with others."""

    def fault(text: str) -> Fault:
        return next((fault for part, fault in texts.items() if part in text), Fault())

    return fault


def remote_jobs(api: FakeApi) -> Sequence[Any]:
    """Return the jobs of the server, the oldest first."""
    return list(api._endpoints._batches._jobs.values())


def make_older(hours: float) -> None:
    """Let the jobs of the file have been made some hours before."""
    path = mistral_nb.cache_info().path
    current.close_current_session()
    with sqlite3.connect(path) as file:
        file.execute("UPDATE batch_jobs SET created_unix_seconds = created_unix_seconds - ?", [hours * 3600])
    file.close()
