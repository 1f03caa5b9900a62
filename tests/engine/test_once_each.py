"""An answer is paid for once: by rows that are equal, by runs that are under way together, and by the next kernel."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.engine import cache as cache_module
from mistral_nb.engine.cache import KeptAnswer
from mistral_nb.engine.columns import distinct_texts
from mistral_nb.engine.rows import RunOptions
from mistral_nb.notebook.progress import FailedRowsWarning
from mistral_nb.tasks.classify import Classify, classify_task
from tests.engine.row_runs import LABELS, Gate, asked, labels_of, texts, times_asked, until
from tests.fake_api import FakeApi, Fault


def column(rows: list[Any]) -> "pd.Series[Any]":
    return pd.Series(rows, dtype="object")


def others_wait() -> bool:
    """Whether another run waits for the answer to a question that is under way."""
    return any(mistral_nb.session().account.in_flight._waiting.values())


class TestEqualRows:
    def test_equal_rows_are_one_request(self, api: FakeApi) -> None:
        assert (
            column(["a bug"] * 30 + ["billing"] * 20).mistral.classify(LABELS).tolist()
            == ["bug"] * 30 + ["billing"] * 20
        )
        assert times_asked(api) == {"a bug": 1, "billing": 1}

    def test_a_million_rows_of_which_one_in_a_hundred_is_unique(self, api: FakeApi) -> None:
        distinct = np.array(texts(10_000), dtype=object)
        places = np.arange(1_000_000) % 10_000
        run = pd.Series(distinct[places]).mistral.classify(LABELS, rows_per_request=40)

        assert sum(times_asked(api).values()) <= 10_000 + 2 * 50
        assert (run.cat.codes.to_numpy() == (places % 3).astype("int8")).all()

    def test_a_hundred_thousand_kept_rows_cause_no_request(self, api: FakeApi) -> None:
        rows = texts(100_000)
        session = mistral_nb.session()
        plan = session.plan(classify_task(LABELS), distinct_texts(column(rows)))
        answers = [KeptAnswer(value=label, verb="classify", model="m") for label in LABELS]
        session.cache.put({key: answers[number % 3] for number, key in enumerate(plan.keys)})
        labels = column(rows).mistral.classify(LABELS)

        assert (labels.cat.codes.to_numpy() == np.arange(100_000) % 3).all()
        assert api.requests == []


class TestRunsAtTheSameTime:
    def test_two_runs_over_the_same_rows_pay_once(self, api: FakeApi, gate: Gate) -> None:
        first = column(texts(4)).mistral.classify(LABELS, background=True)
        gate.wait_for(4)
        second = column(texts(4)).mistral.classify(LABELS, background=True)
        until(others_wait)
        gate.open()

        assert first.result().tolist() == second.result().tolist() == labels_of(texts(4))
        assert len(api.requests) == 4

    def test_what_another_run_answered_counts_as_kept(self, api: FakeApi, gate: Gate) -> None:
        first = column(["a bug"]).mistral.classify(LABELS, background=True)
        gate.wait_for(1)
        second = column(["a bug"] * 3).mistral.classify(LABELS, background=True, details=True)
        until(others_wait)
        gate.open()
        first.result()
        details = second.result()

        assert (second.progress.cached, details["from_cache"].all(), details["cost_usd"].sum()) == (3, True, 0)

    def test_many_threads_over_the_same_rows_pay_once(self, api: FakeApi, gate: Gate) -> None:
        mistral_nb.configure(requests_per_minute=100_000)
        runs = [column(texts(6)).mistral.classify(LABELS, background=True) for _ in range(6)]
        gate.wait_for(6)
        gate.open()

        assert [run.result().tolist() for run in runs] == [labels_of(texts(6))] * 6
        assert len(api.requests) == 6

    def test_when_a_run_is_cancelled_the_one_that_waits_asks_itself(self, api: FakeApi, gate: Gate) -> None:
        first = column(["a bug"]).mistral.classify(LABELS, background=True)
        gate.wait_for(1)
        second = column(["a bug"]).mistral.classify(LABELS, background=True)
        until(others_wait)
        first.cancel()
        gate.wait_for(2)
        gate.open()

        assert (second.result().tolist(), first.result().isna().tolist()) == (["bug"], [True])

    def test_when_a_run_fails_the_one_that_waits_asks_itself(self, api: FakeApi, gate: Gate) -> None:
        api.play(Fault(status=400, body={}, when="a bug"))
        first = column(["a bug"]).mistral.classify(LABELS, background=True)
        gate.wait_for(1)
        second = column(["a bug"]).mistral.classify(LABELS, background=True)
        until(others_wait)
        gate.open()

        assert second.result().tolist() == ["bug"]
        with pytest.warns(FailedRowsWarning):
            first.result()

    def test_when_a_run_is_stopped_the_one_that_waits_asks_itself(self, api: FakeApi, gate: Gate) -> None:
        api.play(Fault(status=401, body={"detail": "Unauthorized"}, when="a bug"))
        first = column(["a bug"]).mistral.classify(LABELS, background=True)
        gate.wait_for(1)
        second = column(["a bug"]).mistral.classify(LABELS, background=True)
        until(others_wait)
        gate.open()

        assert second.result().tolist() == ["bug"]
        with pytest.raises(errors.InvalidKey):
            first.result()

    def test_a_run_that_was_cancelled_while_it_waited_hears_no_more(self, api: FakeApi, gate: Gate) -> None:
        first = column(["a bug"]).mistral.classify(LABELS, background=True)
        gate.wait_for(1)
        second = column(["a bug"]).mistral.classify(LABELS, background=True)
        until(others_wait)
        second.cancel()
        gate.open()
        first.result()

        assert (second.progress.done, second.result().isna().tolist()) == (0, [True])

    def test_an_answer_that_shared_its_request_is_not_taken_by_a_run_that_wants_none(
        self, api: FakeApi, gate: Gate, no_audit: None
    ) -> None:
        first = column(texts(4)).mistral.classify(LABELS, rows_per_request=4, background=True)
        gate.wait_for(1)
        second = column(texts(4)).mistral.classify(LABELS, rows_per_request=1, background=True)
        until(others_wait)
        gate.open()
        first.result()
        second.result()

        assert asked(api)[0] == texts(4)
        assert sorted(asked(api)[1:]) == sorted([text] for text in texts(4))

    def test_runs_without_the_cache_know_nothing_of_each_other(self, api: FakeApi, gate: Gate) -> None:
        runs = [column(["a bug"]).mistral.classify(LABELS, cache=False, background=True) for _ in range(2)]
        gate.wait_for(2)
        gate.open()

        assert [run.result().tolist() for run in runs] == [["bug"], ["bug"]]

    def test_what_another_kernel_answered_meanwhile_is_taken(self, api: FakeApi, gate: Gate) -> None:
        mistral_nb.configure(max_concurrency=1)
        gate.holds = lambda text: text == "slow bug"
        mine = column(["slow bug", "billing", "more billing"]).mistral.classify(LABELS, background=True)
        gate.wait_for(1)
        with mistral_nb.Session(mistral_nb.configure()) as other_kernel:
            plan = other_kernel.plan(classify_task(LABELS), distinct_texts(column(["more billing"])))
            other_kernel.run(plan).execute()
        gate.open()

        assert mine.result().tolist() == ["bug", "billing", "billing"]
        assert times_asked(api)["more billing"] == 1

    def test_rows_answered_elsewhere_are_not_audited(self, api: FakeApi, gate: Gate) -> None:
        first = column(texts(8)).mistral.classify(LABELS, rows_per_request=8, background=True)
        gate.wait_for(1)
        second = column(texts(8)).mistral.classify(LABELS, rows_per_request=8, background=True)
        until(others_wait)
        gate.open()
        first.result()
        second.result()

        assert sum(times_asked(api).values()) == 8 + 2 * 5


class TestOptions:
    def test_without_the_cache_kept_answers_are_not_taken(self, api: FakeApi) -> None:
        column(texts(3)).mistral.classify(LABELS)
        column(texts(3)).mistral.classify(LABELS, cache=False)

        assert times_asked(api) == dict.fromkeys(texts(3), 2)

    def test_without_the_cache_nothing_is_kept(self, api: FakeApi) -> None:
        column(texts(3)).mistral.classify(LABELS, cache=False)

        assert mistral_nb.cache_info().answers == 0

    def test_a_refreshed_answer_takes_the_place_of_the_kept_one(self, api: FakeApi) -> None:
        column(["a bug"]).mistral.classify(LABELS)
        api.play(Fault(content='{"label": "billing"}'))
        column(["a bug"]).mistral.classify(LABELS, refresh=True)

        assert column(["a bug"]).mistral.classify(LABELS).tolist() == ["billing"]
        assert len(api.requests) == 2

    def test_answers_older_than_cache_days_are_asked_anew(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        mistral_nb.configure(cache_days=7)
        column(["a bug"]).mistral.classify(LABELS)
        now = cache_module.time.time()
        monkeypatch.setattr(cache_module.time, "time", lambda: now + 6.9 * 86_400)
        column(["a bug"]).mistral.classify(LABELS)
        before = len(api.requests)
        monkeypatch.setattr(cache_module.time, "time", lambda: now + 7.1 * 86_400)
        column(["a bug"]).mistral.classify(LABELS)

        assert (before, len(api.requests)) == (1, 2)

    def test_the_file_is_kept_below_cache_megabytes(self, api: FakeApi) -> None:
        mistral_nb.configure(cache_megabytes=0.2)
        cache = mistral_nb.session().cache
        for batch in range(60):
            answer = KeptAnswer(value="x" * 50, verb="v", model="m")
            cache.put({f"{batch}/{number}".encode(): answer for number in range(100)})
        cache.database.close()

        assert cache.database.path.stat().st_size < 400_000

    def test_clearing_makes_rows_be_asked_again(self, api: FakeApi) -> None:
        column(texts(3)).mistral.classify(LABELS)

        assert (mistral_nb.clear_cache(verb="summarize"), mistral_nb.clear_cache(verb="classify")) == (0, 3)
        column(texts(3)).mistral.classify(LABELS)
        assert len(api.requests) == 6


class TestWhatMakesAnotherQuestion:
    @pytest.mark.parametrize(
        "ask",
        [
            lambda rows: rows.mistral.classify(LABELS, model="large"),
            lambda rows: rows.mistral.classify(LABELS[::-1]),
            lambda rows: rows.mistral.classify([*LABELS, "praise"]),
            lambda rows: rows.mistral.summarize(),
        ],
        ids=["model", "order of labels", "one more label", "verb"],
    )
    def test_other_options(self, api: FakeApi, ask: Callable[[Any], Any]) -> None:
        column(["a bug"]).mistral.classify(LABELS)
        ask(column(["a bug"]))

        assert len(api.requests) == 2

    def test_another_length(self, api: FakeApi) -> None:
        column(["a bug"]).mistral.summarize(max_words=5)
        column(["a bug"]).mistral.summarize(max_words=6)

        assert len(api.requests) == 2

    def test_another_version_of_the_prompt(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        column(["a bug"]).mistral.classify(LABELS)
        monkeypatch.setattr(Classify, "version", Classify.version + 1)
        column(["a bug"]).mistral.classify(LABELS)

        assert len(api.requests) == 2

    def test_another_server(self, api: FakeApi) -> None:
        column(["a bug"]).mistral.classify(LABELS)
        with FakeApi() as other:
            mistral_nb.configure(endpoint=other.url)
            column(["a bug"]).mistral.classify(LABELS)

            assert len(other.requests) == 1

    def test_white_space_in_a_text(self, api: FakeApi) -> None:
        column(["a bug", "a bug ", "a  bug"]).mistral.classify(LABELS)

        assert len(api.requests) == 3

    def test_the_short_name_of_a_model_is_the_same_question(self, api: FakeApi) -> None:
        column(["a bug"]).mistral.classify(LABELS, model="small")
        column(["a bug"]).mistral.classify(LABELS, model="mistral-small-latest")

        assert len(api.requests) == 1

    @pytest.mark.parametrize(("kept", "wanted", "requests"), [(4, 4, 0), (4, 8, 0), (4, 2, 2), (4, 1, 4), (1, 4, 0)])
    def test_answers_that_shared_a_request_with_more_rows_than_wanted(
        self, api: FakeApi, no_audit: None, kept: int, wanted: int, requests: int
    ) -> None:
        column(texts(4)).mistral.classify(LABELS, rows_per_request=kept)
        api.reset()
        column(texts(4)).mistral.classify(LABELS, rows_per_request=wanted)

        assert len(api.requests) == requests


def test_a_plan_made_before_another_run_asks_nothing_that_was_answered_since(api: FakeApi) -> None:
    session = mistral_nb.session()
    early = session.plan(classify_task(LABELS), distinct_texts(column(texts(5))), options=RunOptions())
    column(texts(5)).mistral.classify(LABELS)
    result = session.run(early).execute()

    assert (result.values, len(api.requests)) == (labels_of(texts(5)), 5)
