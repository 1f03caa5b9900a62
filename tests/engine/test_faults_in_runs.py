"""Each kind of trouble on the way, met by a whole run."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.conftest import QuickTime
from tests.engine.row_runs import LABELS, Gate, labels_of, texts, times_asked
from tests.fake_api import FakeApi, Fault

SLOW_DOWN = {"message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"}
PASSING = {
    **{str(status): Fault(status=status, body={}) for status in (408, 409, 425, 429, 500, 502, 503, 504, 520, 529)},
    "429 of capacity": Fault(status=429, body={"message": "Service tier capacity exceeded for this model."}),
    "reset": Fault(reset=True),
    "cut body": Fault(truncate_after_bytes=25),
    "empty body": Fault(status=200, body=""),
    "error with status 200": Fault(status=200, body={"object": "error", "message": "Internal", "code": "3800"}),
    "Retry-After": Fault(status=429, body=SLOW_DOWN, headers={"Retry-After": "2"}),
}
ROWS_OWN = {
    "400": (Fault(status=400, body={"message": "bad"}), errors.RequestRejected),
    "403": (Fault(status=403, body={"message": "no"}), errors.RequestRejected),
    "413": (Fault(status=413, body={}), errors.PromptTooLong),
    "422": (Fault(status=422, body={"detail": []}), errors.RequestRejected),
    "too long": (Fault(status=400, body={"message": "exceeds maximum context length"}), errors.PromptTooLong),
    "no choices": (Fault(status=200, body={"id": "x"}), errors.InvalidAnswer),
    "list": (Fault(status=200, body=[1]), errors.InvalidAnswer),
}
STOPPING = {
    "401": (Fault(status=401, body={"detail": "Unauthorized"}), errors.InvalidKey),
    "unknown model": (
        Fault(status=400, body={"message": "Invalid model: x", "type": "invalid_model", "code": "1500"}),
        errors.UnknownModel,
    ),
    "not on the plan": (
        Fault(status=429, body=SLOW_DOWN, headers={"x-ratelimit-limit-req-minute": "0"}),
        errors.ModelNotOnPlan,
    ),
    "no such address": (
        Fault(status=404, body={"message": "no Route matched with those values"}),
        errors.WrongEndpoint,
    ),
    "web page": (Fault(status=200, body="<html>Sign in</html>"), errors.WrongEndpoint),
}


def classified(rows: list[Any], **options: Any) -> list[Any]:
    return pd.Series(rows).mistral.classify(LABELS, **options).tolist()


class TestWhatPasses:
    @pytest.mark.parametrize("rows_per_request", [1, 4])
    @pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
    def test_a_failure_that_passes_loses_no_row(self, api: FakeApi, fault: Fault, rows_per_request: int) -> None:
        api.play(replace(fault, times=2))

        assert classified(texts(8), rows_per_request=rows_per_request) == labels_of(texts(8))

    def test_a_socket_that_hangs_is_given_up_and_the_row_asked_again(self, api: FakeApi) -> None:
        mistral_nb.configure(timeout_seconds=0.3)
        api.play(Fault(delay_seconds=3600, when="bug"))

        assert classified(["a bug", "billing"]) == ["bug", "billing"]

    def test_a_body_that_trickles_is_given_up_by_its_total_time(self, api: FakeApi) -> None:
        """Each read brings something, so that a limit on single reads would never end it."""
        mistral_nb.configure(timeout_seconds=0.5)
        api.play(Fault(bytes_per_second=20, when="bug"))

        assert classified(["a bug", "billing"]) == ["bug", "billing"]
        assert times_asked(api)["a bug"] > 1

    def test_a_socket_that_always_hangs_costs_one_row(self, api: FakeApi) -> None:
        mistral_nb.configure(timeout_seconds=0.3)
        api.play(Fault(delay_seconds=3600, when="bug", times=None))
        with pytest.warns(FailedRowsWarning, match="RequestTimedOut"):
            labels = pd.Series(["a bug", "billing"]).mistral.classify(LABELS)

        assert labels.isna().tolist() == [True, False]


class TestWhatIsTheRowsOwn:
    @pytest.mark.parametrize("rows_per_request", [1, 8])
    @pytest.mark.parametrize(("fault", "error"), ROWS_OWN.values(), ids=ROWS_OWN)
    def test_only_that_row_is_lost(
        self, api: FakeApi, no_audit: None, fault: Fault, error: type[Exception], rows_per_request: int
    ) -> None:
        api.play(replace(fault, when="poison", times=None))
        rows = [*texts(5), "poison", *texts(2, start=5)]
        with pytest.warns(FailedRowsWarning, match="1 of 8 rows failed"):
            labels = pd.Series(rows).mistral.classify(LABELS, rows_per_request=rows_per_request)

        assert labels.drop(index=5).tolist() == labels_of(texts(7))
        assert mistral_nb.session().last_run.failed["error"].to_dict() == {5: error.__name__}

    @pytest.mark.parametrize(("fault", "error"), ROWS_OWN.values(), ids=ROWS_OWN)
    def test_it_is_not_asked_again(self, api: FakeApi, fault: Fault, error: type[Exception]) -> None:
        api.play(replace(fault, times=None))
        with pytest.warns(FailedRowsWarning):
            classified(["a bug"])

        assert len(api.requests) == 1


class TestWhatStopsARun:
    @pytest.mark.parametrize(("fault", "error"), STOPPING.values(), ids=STOPPING)
    def test_nothing_more_is_sent(self, api: FakeApi, fault: Fault, error: type[Exception]) -> None:
        api.play(replace(fault, times=None))

        with pytest.raises(error):
            classified(texts(500), rows_per_request=1)
        assert len(api.requests) <= 8

    @pytest.mark.parametrize(("fault", "error"), STOPPING.values(), ids=STOPPING)
    def test_what_was_under_way_is_kept(self, api: FakeApi, gate: Gate, fault: Fault, error: type[Exception]) -> None:
        mistral_nb.configure(requests_per_minute=100_000)
        gate.holds = lambda text: "stop" not in text
        api.play(replace(fault, when="stop"))
        run = pd.Series([*texts(10), "stop"]).mistral.classify(LABELS, background=True)
        gate.wait_for(10)
        gate.open()
        with pytest.raises(error):
            run.result()

        assert mistral_nb.cache_info().answers == 10

    def test_a_stopped_run_is_the_last_one(self, api: FakeApi) -> None:
        mistral_nb.configure(max_concurrency=1)
        api.play(Fault(status=401, body={"detail": "Unauthorized"}, when="bug"))
        with pytest.raises(errors.InvalidKey):
            classified(texts(5), rows_per_request=1)

        assert mistral_nb.session().last_run.column.notna().tolist() == [True, True, False, False, False]

    @pytest.mark.parametrize(
        "fault",
        [Fault(status=500, body={}), Fault(reset=True), Fault(status=529, body={})],
        ids=["500", "reset", "529"],
    )
    def test_an_outage_does_not_fail_row_after_row(self, api: FakeApi, fault: Fault) -> None:
        api.play(replace(fault, times=None))

        with pytest.raises((errors.ServerProblem, errors.ConnectionProblem)):
            classified(texts(5000), rows_per_request=1)
        assert len(api.requests) < 600

    def test_a_server_that_is_not_there_is_said_soon(self, api: FakeApi) -> None:
        with FakeApi() as gone:
            address = gone.url
        mistral_nb.configure(endpoint=address)

        with pytest.raises(errors.CannotConnect):
            classified(texts(200))

    def test_a_failure_now_and_then_is_no_outage(self, api: FakeApi) -> None:
        api.play(Fault(status=503, body={}, when="bug", times=None))
        with pytest.warns(FailedRowsWarning, match="40 of 120 rows failed"):
            labels = pd.Series(texts(120)).mistral.classify(LABELS, rows_per_request=1)

        assert labels.notna().sum() == 80


class TestRateLimits:
    def test_a_refusal_is_one_pause_for_all_rows(self, api: FakeApi, quick_time: QuickTime) -> None:
        """Of 200 rows, only those under way when the limit is met are refused; then one request at a time tries."""
        api.play(Fault(status=429, body=SLOW_DOWN, times=12))

        assert classified(texts(200), rows_per_request=1) == labels_of(texts(200))
        assert len(api.requests) <= 212

    def test_a_storm_of_refusals_loses_no_row(self, api: FakeApi) -> None:
        api.play(*(Fault(status=429, body=SLOW_DOWN, when=text, times=2) for text in texts(60)))

        assert classified(texts(60), rows_per_request=1) == labels_of(texts(60))

    def test_a_plan_of_few_requests_a_minute_is_kept_to(
        self, api: FakeApi, one_at_a_time: None, quick_time: QuickTime
    ) -> None:
        api.settings.limit_requests_per_minute = 60
        api.settings.clock = quick_time.now
        api.reset()

        assert classified(texts(100), rows_per_request=1) == labels_of(texts(100))
        assert api.stats.statuses.get(429, 0) <= 1

    def test_a_limit_on_tokens_is_kept_to(self, api: FakeApi, one_at_a_time: None, quick_time: QuickTime) -> None:
        api.settings.limit_tokens_per_minute = 5_000
        api.settings.clock = quick_time.now
        api.reset()

        assert classified(texts(100), rows_per_request=1) == labels_of(texts(100))
        assert api.stats.statuses.get(429, 0) <= 10  # each costs one pause, none a row

    def test_a_limit_of_0_requests_says_what_it_means(self, api: FakeApi) -> None:
        api.settings.limit_requests_per_minute = 0
        api.reset()

        with pytest.raises(errors.ModelNotOnPlan, match="Waiting cannot help"):
            classified(texts(100))
        assert len(api.requests) <= 4

    def test_a_model_that_is_not_on_the_plan_does_not_block_another(self, api: FakeApi) -> None:
        from tests.fake_api import Limit

        not_on_plan = Limit(requests_per_minute=0, tokens_per_minute=None)
        api.settings.limits_by_model = {"mistral-large-latest": not_on_plan}
        api.reset()
        with pytest.raises(errors.ModelNotOnPlan):
            classified(["a bug"], model="large")

        assert classified(["a bug"], model="small") == ["bug"]
