"""Every request of every door is written down once, with what it used, and nothing of what it said."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from pydantic import BaseModel

import mistral_nb
from mistral_nb import errors
from mistral_nb.engine.database import APPLICATION_ID, Database
from mistral_nb.engine.ledger import Ledger
from mistral_nb.engine.occasion import asked_through
from mistral_nb.engine.open_request import EndedRequest
from mistral_nb.engine.request_record import RequestRecord
from tests.engine.row_runs import LABELS, Gate, texts
from tests.fake_api import FakeApi, Fault
from tests.notebook.cells import ask

ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")


class City(BaseModel):
    name: str


@mistral_nb.tool
def population(city: str) -> int:
    """Return how many people live in a city."""
    return 100


def records() -> list[RequestRecord]:
    return list(mistral_nb.session().ledger.records())


def the_record() -> RequestRecord:
    (record,) = records()
    return record


class TestDoors:
    @pytest.mark.parametrize(
        ("call", "door", "verb", "operation"),
        [
            (lambda: mistral_nb.session().complete("Hi"), "session", "complete", "chat"),
            (lambda: list(mistral_nb.session().stream("Hi")), "session", "stream", "chat"),
            (lambda: mistral_nb.session().embed(["Hi", "Ho"]), "session", "embed", "embeddings"),
            (lambda: mistral_nb.session().moderate(["Hi"]), "session", "moderate", "moderations"),
            (lambda: mistral_nb.session().fill_in_middle("a", "b"), "session", "fill_in_middle", "fim"),
            (lambda: mistral_nb.extract("Paris", City), "session", "extract", "chat"),
            (lambda: mistral_nb.chat_with_tools("Hi", tools=[population]), "tools", "chat_with_tools", "chat"),
            (lambda: pd.Series(["a bug"]).mistral.classify(LABELS), "accessor", "classify", "chat"),
            (pd.Series(["a bug"]).mistral.summarize, "accessor", "summarize", "chat"),
        ],
        ids=["complete", "stream", "embed", "moderate", "fim", "extract", "tools", "classify", "summarize"],
    )
    def test_a_call_is_one_line_with_its_door_and_verb(
        self, api: FakeApi, call: Callable[[], object], door: str, verb: str, operation: str
    ) -> None:
        call()

        record = the_record()
        assert (record.door, record.verb, record.operation) == (door, verb, operation)

    def test_a_cell_is_asked_through_the_magic(self, api: FakeApi, shell: InteractiveShell) -> None:
        ask(shell, "", "Hello")

        assert (the_record().door, the_record().verb) == ("magic", "ask")

    def test_the_door_the_user_came_through_holds(self, api: FakeApi) -> None:
        with asked_through("panel", verb="chat"):
            mistral_nb.chat_with_tools("Hi", tools=[population])

        assert (the_record().door, the_record().verb) == ("panel", "chat_with_tools")

    def test_a_run_in_the_background_keeps_the_door_it_was_started_through(self, api: FakeApi) -> None:
        pd.Series(["a bug"]).mistral.classify(LABELS, background=True).result()

        assert the_record().door == "accessor"

    @pytest.mark.parametrize(
        ("said", "shown"),
        [("/data/churn.ipynb", "/data/churn.ipynb"), ("{home}/study/churn.ipynb", "~/study/churn.ipynb")],
    )
    def test_the_notebook_is_the_one_that_jupyter_names(
        self, api: FakeApi, monkeypatch: pytest.MonkeyPatch, said: str, shown: str
    ) -> None:
        monkeypatch.setenv("JPY_SESSION_NAME", said.format(home=Path.home()))
        mistral_nb.session().complete("Hi")

        assert the_record().notebook == shown

    def test_outside_of_a_notebook_there_is_none(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
        mistral_nb.session().complete("Hi")

        assert the_record().notebook is None


class TestWhatIsKept:
    def test_tokens_price_and_names_are_the_responses(self, priced: FakeApi) -> None:
        answer = mistral_nb.session().complete("Hello", model="small", max_tokens=5)

        record = the_record()
        assert (record.model, record.response_model, record.response_id, record.correlation_id) == (
            "mistral-small-latest",
            answer.model,
            answer.response_id,
            answer.correlation_id,
        )
        assert (record.prompt_tokens, record.completion_tokens, record.finish_reason) == (
            answer.usage.prompt_tokens,
            answer.usage.completion_tokens,
            answer.finish_reason,
        )
        assert record.cost_usd == mistral_nb.session().cost_usd("small", answer.usage)
        assert record.correlation_id is not None

    def test_a_stream_tells_when_its_first_piece_came(self, api: FakeApi) -> None:
        list(mistral_nb.session().stream("Hello"))

        record = the_record()
        assert record.first_token_seconds is not None
        assert 0 < record.first_token_seconds <= record.latency_seconds

    def test_every_attempt_counts(self, api: FakeApi) -> None:
        api.play(Fault(status=503, times=2))
        mistral_nb.session().complete("Hello")

        assert (the_record().attempts, the_record().error) == (3, None)

    def test_a_refused_request_costs_nothing_and_names_its_error(self, priced: FakeApi) -> None:
        priced.play(Fault(status=401, times=None))
        with pytest.raises(errors.InvalidKey):
            mistral_nb.session().complete("Hello")

        assert (the_record().error, the_record().cost_usd, the_record().attempts) == ("InvalidKey", 0, 1)

    def test_an_answer_that_was_lost_may_have_been_billed(self, priced: FakeApi) -> None:
        priced.play(Fault(truncate_after_bytes=10, times=None))
        with pytest.raises(errors.ConnectionLost):
            mistral_nb.session().complete("Hello")

        assert (the_record().error, the_record().cost_usd) == ("ConnectionLost", None)

    def test_a_stream_that_was_left_has_an_unknown_price(self, priced: FakeApi) -> None:
        pieces = mistral_nb.session().stream("Hello")
        next(pieces)
        pieces.close()

        assert (the_record().error, the_record().cost_usd) == ("Cancelled", None)

    def test_a_price_that_is_not_known_is_none(self, api: FakeApi) -> None:
        mistral_nb.session().complete("Hello")

        assert the_record().cost_usd is None

    def test_nothing_of_prompt_answer_or_key_is_in_the_file(self, api: FakeApi) -> None:
        mistral_nb.session().complete("the secret question")
        api.play(Fault(status=422, body={"detail": "the secret question"}))
        with pytest.raises(errors.RequestRejected):
            mistral_nb.session().complete("the secret question")
        home = mistral_nb.session().settings.home
        mistral_nb.session().close()

        written = b"".join(file.read_bytes() for file in home.iterdir() if file.is_file())
        assert b"complete" in written
        assert not any(word in written for word in (b"secret", b"Answer to", api.api_key.encode()))


class TestRuns:
    def test_a_run_has_a_line_for_each_request_with_its_rows(self, few_at_once: FakeApi, no_audit: None) -> None:
        pd.Series(texts(40)).mistral.classify(LABELS)

        assert sum(record.rows for record in records()) == 40
        assert len(records()) == len(few_at_once.requests) < 40

    def test_the_lines_add_up_to_the_bill_of_the_run(self, priced: FakeApi) -> None:
        column = pd.Series(texts(20))
        column.mistral.classify(LABELS)
        result = column.mistral.last_run.result

        costs = [record.cost_usd for record in records()]
        assert None not in costs
        assert sum(cost for cost in costs if cost is not None) == result.cost_usd

    def test_kept_rows_are_one_line_that_says_what_they_saved(self, priced: FakeApi) -> None:
        column = pd.Series([*texts(20), *texts(5)])
        column.mistral.classify(LABELS)
        paid = sum(record.cost_usd or 0 for record in records())
        column.mistral.classify(LABELS)

        (kept,) = [record for record in records() if record.from_cache]
        assert (kept.rows, kept.cost_usd, kept.saved_usd, kept.prompt_tokens, kept.attempts) == (25, 0, paid, 0, 0)

    def test_a_run_that_takes_nothing_from_the_cache_has_no_such_line(self, api: FakeApi) -> None:
        pd.Series(texts(3)).mistral.classify(LABELS)

        assert not any(record.from_cache for record in records())

    @ignores_failures
    def test_a_row_that_fails_is_a_line_with_its_error(self, api: FakeApi) -> None:
        api.play(Fault(status=400, when="bug no 2"))
        pd.Series(texts(3)).mistral.classify(LABELS)

        assert sorted(record.error or "" for record in records()) == ["", "", "RequestRejected"]

    @ignores_failures
    def test_an_answer_that_can_not_be_read_is_paid_and_says_so(self, priced: FakeApi) -> None:
        priced.play(Fault(content="no JSON"))
        column = pd.Series(["a bug"])
        column.mistral.classify(LABELS)

        assert the_record().error == "InvalidAnswer"
        assert the_record().cost_usd == column.mistral.last_run.result.cost_usd > 0

    def test_an_object_that_does_not_fit_says_so_and_its_correction_does_not(self, api: FakeApi) -> None:
        api.play(Fault(content="no JSON"))
        mistral_nb.extract("Paris", City)

        assert [record.error for record in records()] == ["InvalidAnswer", None]

    def test_tries_of_a_row_are_one_line(self, api: FakeApi) -> None:
        api.play(Fault(status=503, times=2))
        pd.Series(["a bug"]).mistral.classify(LABELS)

        assert (the_record().attempts, the_record().error) == (3, None)

    def test_what_was_under_way_when_a_run_was_cancelled_may_have_been_billed(self, gate: Gate) -> None:
        run = pd.Series(texts(3)).mistral.classify(LABELS, background=True)
        gate.wait_for(3)
        run.cancel()

        assert [(record.error, record.cost_usd) for record in records()] == [("Cancelled", None)] * 3

    def test_a_killed_kernel_has_written_what_it_kept(self, gate: Gate, api: FakeApi) -> None:
        gate.holds = lambda text: text == "bug no 2"
        script = """
import sys, pandas as pd, mistral_nb
url, key, home = sys.argv[1:]
mistral_nb.configure(endpoint=url, api_key=key, home=home)
pd.Series(["bug no 2", "bug no 5", "bug no 8"]).mistral.classify(["bug", "billing"])
"""
        home = mistral_nb.session().settings.home
        kernel = subprocess.Popen([sys.executable, "-c", script, api.url, api.api_key, str(home)])
        gate.wait_for(1)
        answered = threading.Event()
        for _ in range(6000):
            if mistral_nb.cache_info().answers == 2:
                break
            answered.wait(0.01)
        kernel.kill()
        kernel.wait()

        assert [record.error for record in records()] == [None, None]


class TestFile:
    def test_a_file_of_version_2_keeps_its_answers(self, api: FakeApi) -> None:
        column = pd.Series(["a bug", "my delivery"])
        column.mistral.classify(LABELS)
        file = mistral_nb.session().settings.home / "mistral_nb.sqlite"
        mistral_nb.session().close()
        with contextlib.closing(sqlite3.connect(file)) as old:
            later = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('answers', 'sqlite_sequence')"
            for (table,) in old.execute(later).fetchall():
                old.execute(f"DROP TABLE {table}")
            old.execute("PRAGMA user_version=2")
        asked = len(api.requests)
        column.mistral.classify(LABELS)

        assert len(api.requests) == asked
        assert the_record().rows == 2

    def test_a_ledger_that_can_not_be_written_loses_no_answer(
        self, api: FakeApi, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").touch()
        mistral_nb.configure(home=tmp_path / "file")
        answers = [mistral_nb.session().complete("Hello").text for _ in range(2)]
        mistral_nb.session().close()

        assert answers == ["Answer to: Hello"] * 2
        assert [record.message.split(".")[0] for record in caplog.records] == [
            "What requests cost can't be written down"
        ]

    def test_amounts_are_kept_exactly(self, tmp_path: Path) -> None:
        database = Database(tmp_path / "l.sqlite")
        ledger = Ledger(database, soon=lambda write: write())
        exact = Decimal("0.000000123456789012345678")
        record = RequestRecord(
            began_unix_seconds=1.5, door="magic", verb="ask", model="m", cost_usd=exact, saved_usd=None
        )
        ledger(EndedRequest(record))
        found = list(ledger.records())
        database.close()

        assert found == [record]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
    def test_a_fork_does_not_write_the_lines_of_its_parent(self, tmp_path: Path) -> None:
        script = """
import os, sys; from pathlib import Path
from mistral_nb.engine.database import Database
database = Database(Path(sys.argv[1]))
with database.writing() as connection:
    connection.execute("CREATE TABLE lines (x)")
database.defer("INSERT INTO lines VALUES (?)", [1])
if os.fork() == 0:
    database.defer("INSERT INTO lines VALUES (?)", [2])
    database.write_deferred()
    os._exit(0)
os.wait()
database.write_deferred()
"""
        path = tmp_path / "l.sqlite"
        subprocess.run([sys.executable, "-c", script, str(path)], check=True)
        with contextlib.closing(sqlite3.connect(path)) as file:
            assert file.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
            assert file.execute("SELECT x FROM lines ORDER BY x").fetchall() == [(1,), (2,)]
