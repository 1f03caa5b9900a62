"""Functions of the user's that are told of requests, and warnings of slow models and of many failures."""

import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.engine.alerts import Alerts
from mistral_nb.engine.open_request import EndedRequest
from tests.engine.row_runs import LABELS, texts
from tests.fake_api import FakeApi, Fault

ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")


def told(call: Callable[[], Any]) -> list[mistral_nb.RequestRecord]:
    """Return what a listener is told while `call` runs."""
    seen: list[mistral_nb.RequestRecord] = []
    stop = mistral_nb.on_event(seen.append)
    try:
        call()
    finally:
        stop()
    return seen


class TestListeners:
    def test_every_request_is_told_once(self, api: FakeApi) -> None:
        seen = told(lambda: (mistral_nb.session().complete("Hi"), pd.Series(texts(2)).mistral.classify(LABELS)))

        assert [record.door for record in seen] == ["session", "accessor", "accessor"]

    def test_kept_rows_are_told_too(self, api: FakeApi) -> None:
        pd.Series(texts(2)).mistral.classify(LABELS)
        seen = told(lambda: pd.Series(texts(2)).mistral.classify(LABELS))

        assert [(record.from_cache, record.rows) for record in seen] == [(True, 2)]

    def test_a_listener_outlives_a_change_of_settings(self, api: FakeApi) -> None:
        def call() -> None:
            mistral_nb.configure(timeout_seconds=7)
            mistral_nb.session().complete("Hi")

        assert len(told(call)) == 1

    def test_who_stopped_is_told_no_more(self, api: FakeApi) -> None:
        seen = told(lambda: None)
        mistral_nb.session().complete("Hi")

        assert seen == []

    def test_one_that_raises_is_named_once_and_loses_no_answer(
        self, api: FakeApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(record: mistral_nb.RequestRecord) -> None:
            raise ZeroDivisionError("oh")

        stop = mistral_nb.on_event(broken)
        answers = [mistral_nb.session().complete("Hi").text for _ in range(2)]
        stop()

        assert answers == ["Answer to: Hi"] * 2
        assert [record.message.split(" raised ")[1] for record in caplog.records] == ["ZeroDivisionError: oh"]

    def test_what_can_not_be_called_is_named(self) -> None:
        with pytest.raises(errors.InvalidOption, match=r"on_event\(print\)"):
            mistral_nb.on_event("print")  # type: ignore[arg-type]


def noted(alerts: Alerts, count: int, **fields: Any) -> None:
    for _ in range(count):
        given = {"began_unix_seconds": 0.0, "door": "magic", "verb": "ask", "model": "mistral-small-latest", **fields}
        alerts(EndedRequest(mistral_nb.RequestRecord(**given)))


def warned(alerts: Alerts) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        alerts.warn()
    return [f"{type(warning.message).__name__}: {warning.message}" for warning in caught]


class TestSlowModels:
    def test_a_model_above_its_budget_is_named_once(self) -> None:
        alerts = Alerts({"small": 2.0}, None)
        noted(alerts, 60, latency_seconds=3.0)
        (text,) = warned(alerts)

        assert text.startswith(
            "SlowModelWarning: mistral-small-latest has become slow: of its last 20 answers 95 % came "
        )
        assert "within 3.00 s" in text

    def test_a_few_slow_answers_are_no_slow_model(self) -> None:
        alerts = Alerts({"small": 2.0}, None)
        noted(alerts, 48, latency_seconds=1.0)
        noted(alerts, 2, latency_seconds=30.0)

        assert warned(alerts) == []

    def test_it_is_named_again_after_it_was_fast(self) -> None:
        alerts = Alerts({"small": 2.0}, None)
        for latency_seconds in (3.0, 1.0, 3.0):
            noted(alerts, 60, latency_seconds=latency_seconds)

        assert len(warned(alerts)) == 2

    def test_other_models_have_no_budget(self) -> None:
        alerts = Alerts({"large": 2.0}, None)
        noted(alerts, 60, latency_seconds=3.0)

        assert warned(alerts) == []


class TestFailures:
    def test_too_many_are_named_once_for_each_cause(self) -> None:
        alerts = Alerts({}, 0.2)
        noted(alerts, 20)
        noted(alerts, 20, error="RateLimited")
        noted(alerts, 100, error="ServerProblem")
        said = warned(alerts)

        assert len(said) == 2
        assert said[0].startswith("ErrorRateWarning: 6 of the last 26 requests failed, most of them with RateLimited")

    def test_below_the_share_nothing_is_said(self) -> None:
        alerts = Alerts({}, 0.2)
        for _ in range(20):
            noted(alerts, 9)
            noted(alerts, 1, error="RateLimited")

        assert warned(alerts) == []

    def test_a_cancelled_request_is_no_failure(self) -> None:
        alerts = Alerts({}, 0.2)
        noted(alerts, 100, error="Cancelled")

        assert warned(alerts) == []

    @ignores_failures
    def test_a_run_warns_at_its_end_where_the_user_is(self, api: FakeApi) -> None:
        mistral_nb.configure(error_rate_alert=0.2)
        api.play(Fault(status=400, times=None, when="bug"))
        with pytest.warns(mistral_nb.ErrorRateWarning, match="RequestRejected") as caught:
            pd.Series(texts(60)).mistral.classify(LABELS, rows_per_request=1)

        assert {warning.filename for warning in caught} == {__file__}

    @pytest.mark.parametrize(
        "ask", [lambda: mistral_nb.session().complete("Hi"), lambda: list(mistral_nb.session().stream("Hi"))]
    )
    def test_a_question_that_fails_warns_too(self, api: FakeApi, ask: Callable[[], object]) -> None:
        mistral_nb.configure(error_rate_alert=0.2)
        api.play(Fault(status=400, times=None))
        for _ in range(19):
            with pytest.raises(errors.RequestRejected):
                ask()
        said = pytest.warns(mistral_nb.ErrorRateWarning, match="20 of the last 20 requests failed")
        with said as caught, pytest.raises(errors.RequestRejected):
            ask()

        assert [warning.filename for warning in caught] == [__file__]


class TestSettings:
    def test_budgets_can_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MISTRAL_NB_LATENCY_BUDGET_SECONDS", "small=2, large=8.5")

        assert mistral_nb.configure().latency_budget_seconds == {"small": 2.0, "large": 8.5}

    @pytest.mark.parametrize("value", ["small", {"small": -1}, {"small": "fast"}, {3: 2}, 5])
    def test_what_are_no_seconds_by_model_is_named(self, value: Any) -> None:
        with pytest.raises(errors.InvalidOption, match="latency_budget_seconds"):
            mistral_nb.configure(latency_budget_seconds=value)

    @pytest.mark.parametrize("value", [1, 20, -0.1, "often"])
    def test_what_is_no_share_is_named(self, value: Any) -> None:
        with pytest.raises(errors.InvalidOption, match="between 0 and 1"):
            mistral_nb.configure(error_rate_alert=value)
