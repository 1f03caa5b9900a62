"""A run that goes on while the notebook does something else."""

import subprocess
import sys
import threading
import warnings
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.engine import rows_run
from mistral_nb.engine.rows_run import BackgroundRun
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.engine.row_runs import LABELS, Gate, labels_of, texts, times_asked, until
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")


def begun(rows: list[Any], **options: Any) -> BackgroundRun:
    run = pd.Series(rows).mistral.classify(LABELS, background=True, **options)
    assert isinstance(run, BackgroundRun)
    return run


class TestWhileItRuns:
    def test_it_returns_at_once(self, api: FakeApi, gate: Gate) -> None:
        run = begun(texts(3))
        is_done = run.is_done
        gate.open()

        assert (is_done, run.result().tolist()) == (False, labels_of(texts(3)))

    def test_it_says_how_far_it_is(self, api: FakeApi, gate: Gate) -> None:
        gate.holds = lambda text: "bug" in text
        run = begun([*texts(4), None])
        until(lambda: run.progress.done == 4)
        said = repr(run)
        gate.open()
        run.result()

        assert said == "classify in the background, running: 4 of 5 rows, 0 cached, 0 failed, cost unknown"
        assert repr(run) == "classify in the background, done: 5 of 5 rows, 0 cached, 0 failed, cost unknown"

    def test_the_notebook_can_ask_something_else(self, api: FakeApi, gate: Gate) -> None:
        gate.holds = lambda text: "bug" in text
        run = begun(["a bug"])
        gate.wait_for(1)

        assert mistral_nb.session().complete("Hello").text == "Answer to: Hello"
        assert pd.Series(["billing"]).mistral.classify(LABELS).tolist() == ["billing"]
        gate.open()
        run.result()

    def test_two_at_once(self, api: FakeApi, gate: Gate) -> None:
        mistral_nb.configure(requests_per_minute=100_000)
        one, other = begun(texts(3)), begun(texts(3, start=3))
        gate.wait_for(6)
        gate.open()

        assert other.result().tolist() + one.result().tolist() == 2 * labels_of(texts(3))

    def test_changed_settings_cut_nothing(self, api: FakeApi, gate: Gate) -> None:
        run = begun(texts(3))
        gate.wait_for(3)
        mistral_nb.configure(timeout_seconds=77)
        mistral_nb.session()
        gate.open()

        assert run.result().tolist() == labels_of(texts(3))

    def test_ctrl_c_ends_the_waiting_and_not_the_run(
        self, api: FakeApi, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = begun(["a bug"])
        gate.wait_for(1)
        with monkeypatch.context() as interrupted:
            interrupted.setattr(run._thread, "join", _interrupt)
            with pytest.raises(KeyboardInterrupt):
                run.result()
        gate.open()

        assert run.result().tolist() == ["bug"]


class TestItsEnd:
    def test_the_details_come_too(self, api: FakeApi) -> None:
        assert begun(texts(3), details=True).result()["value"].tolist() == labels_of(texts(3))

    def test_the_result_can_be_asked_for_again(self, api: FakeApi) -> None:
        run = begun(texts(3))

        pd.testing.assert_series_equal(run.result(), run.result())

    def test_it_is_the_last_run(self, api: FakeApi) -> None:
        run = begun(texts(3))
        run.result()

        assert mistral_nb.session().last_run.column.tolist() == labels_of(texts(3))

    def test_failed_rows_are_warned_of_at_the_result(self, api: FakeApi) -> None:
        api.play(Fault(status=400, body={}))
        run = begun(["a bug"])

        with pytest.warns(FailedRowsWarning, match="1 of 1 row failed"):
            run.result()

    def test_failed_rows_are_raised_at_the_result(self, api: FakeApi) -> None:
        api.play(Fault(status=400, body={}))
        run = begun(["a bug"], errors="raise")

        with pytest.raises(errors.RowsFailed):
            run.result()

    def test_what_stopped_it_is_raised_at_the_result(self, api: FakeApi) -> None:
        api.play(Fault(status=401, body={"detail": "Unauthorized"}, times=None))
        run = begun(texts(3))
        until(lambda: run.is_done)

        with pytest.raises(errors.InvalidKey):
            run.result()

    def test_a_run_that_was_stopped_is_the_last_one_too(self, api: FakeApi) -> None:
        api.play(Fault(status=401, body={"detail": "Unauthorized"}, times=None))
        run = begun(texts(3))
        until(lambda: run.is_done)

        assert mistral_nb.session().last_run.column.isna().tolist() == [True] * 3

    def test_it_is_the_last_run_also_after_the_settings_changed(self, api: FakeApi) -> None:
        run = begun(texts(3))
        mistral_nb.configure(timeout_seconds=77)
        mistral_nb.session()
        run.result()

        assert mistral_nb.session().last_run.column.tolist() == labels_of(texts(3))

    def test_rows_that_are_all_kept_need_no_server(self, api: FakeApi) -> None:
        pd.Series(texts(3)).mistral.classify(LABELS)
        api.reset()

        assert (begun(texts(3)).result().tolist(), api.requests) == (labels_of(texts(3)), [])

    def test_bad_options_are_refused_at_once(self, api: FakeApi) -> None:
        with pytest.raises(errors.InvalidOption):
            begun(texts(3), budget_usd=-1)


class TestCancel:
    def test_what_came_back_is_kept(self, api: FakeApi, gate: Gate) -> None:
        gate.holds = lambda text: "bug" in text
        run = begun(texts(6))
        until(lambda: run.progress.done == 4)
        run.cancel()
        labels = run.result()

        assert labels.isna().tolist() == [False, False, True] * 2
        assert mistral_nb.cache_info().answers == 4

    def test_no_request_stays_under_way(self, api: FakeApi, gate: Gate) -> None:
        run = begun(texts(6))
        gate.wait_for(4)
        run.cancel()

        until(lambda: api.stats.in_flight == 0)

    def test_the_next_run_goes_on(self, api: FakeApi, gate: Gate) -> None:
        gate.holds = lambda text: "bug" in text
        run = begun(texts(6))
        until(lambda: run.progress.done == 4)
        run.cancel()
        gate.open()
        pd.Series(texts(6)).mistral.classify(LABELS)

        assert {text: times for text, times in times_asked(api).items() if "bug" not in text} == dict.fromkeys(
            [text for text in texts(6) if "bug" not in text], 1
        )

    def test_it_says_so(self, api: FakeApi, gate: Gate) -> None:
        run = begun(["a bug"])
        gate.wait_for(1)
        run.cancel()

        assert repr(run).startswith("classify in the background, cancelled: 0 of 1 row,")

    def test_a_run_that_is_done_stays_so(self, api: FakeApi) -> None:
        run = begun(["a bug"])
        run.result()
        run.cancel()

        assert (run.result().tolist(), "done" in repr(run)) == (["bug"], True)

    def test_all_leave_to_send_is_given_back(self, api: FakeApi, gate: Gate) -> None:
        mistral_nb.configure(requests_per_minute=60)
        run = begun(texts(20), rows_per_request=1)
        gate.wait_for(5)
        run.cancel()

        assert [limiter.in_flight for limiter in mistral_nb.session().account._limiters.values()] == [0]

    def test_one_that_has_not_begun_never_begins(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        """The run's thread is held where the loop does not know the run yet, which is when there is nothing to cancel."""
        may_begin = threading.Event()
        run_it = rows_run.background_loop.run

        def late(coroutine: Any, **options: Any) -> Any:
            may_begin.wait(60)
            return run_it(coroutine, **options)

        monkeypatch.setattr(rows_run.background_loop, "run", late)
        run = begun(["a bug"])
        cancelling = threading.Thread(target=run.cancel)
        cancelling.start()
        until(lambda: run._run._is_cancelled)
        may_begin.set()
        cancelling.join()

        assert (run.result().isna().tolist(), api.requests) == ([True], [])


def _interrupt(timeout: float | None = None) -> None:
    raise KeyboardInterrupt


class TestTheEnd:
    @pytest.mark.pandas_only("a process of its own")
    def test_a_script_that_ends_meanwhile_says_nothing(self, api: FakeApi, gate: Gate) -> None:
        script = f"""
import pandas as pd, mistral_nb
mistral_nb.configure(endpoint={api.url!r}, api_key={api.api_key!r})
run = pd.Series([f"a bug {{n}}" for n in range(500)]).mistral.classify({LABELS!r}, background=True)
while not run.progress.requests:
    pass
"""
        gate.holds = lambda text: "bug 9" in text
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        gate.open()

        assert ended.stderr == ""

    @pytest.mark.pandas_only("a process of its own")
    def test_a_script_that_ends_at_once_says_nothing(self, api: FakeApi, gate: Gate) -> None:
        """Python 3.12 starts no thread any more once the main one has ended."""
        script = f"""
import pandas as pd, mistral_nb
mistral_nb.configure(endpoint={api.url!r}, api_key={api.api_key!r})
pd.Series(["a bug"]).mistral.classify({LABELS!r}, background=True)
"""
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        gate.open()

        assert ended.stderr == ""

    @pytest.mark.pandas_only("a call that stands in the test itself")
    def test_the_warning_points_at_the_line_that_asks_for_the_result(self, api: FakeApi) -> None:
        api.play(Fault(content="no JSON", times=None))
        run = begun(["a bug"])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run.result()

        assert [warning.filename for warning in caught] == [__file__]
