"""What other packages were seen to do with the same rows, each as a test of what this one does.

Promises: one test for each failure of a peer, named in its docstring; the depth is in the files beside this one.
"""

import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.conftest import QuickTime
from tests.engine.row_runs import LABELS, Gate, asked, labels_of, pack_sizes, texts, times_asked
from tests.engine.test_budget import spent_usd
from tests.fake_api import FakeApi, Fault

ROWS = texts(100)


def classified(rows: list[Any], **options: Any) -> Any:
    return pd.Series(rows, dtype="object").mistral.classify(LABELS, **options)


class TestOneRowGetsHttp400:
    @pytest.fixture(autouse=True)
    def _poison(self, api: FakeApi) -> None:
        mistral_nb.configure(max_concurrency=16)
        api.play(Fault(status=400, body={"message": "bad row"}, when=ROWS[50], times=None))

    def test_packed_rows_beside_it_are_answered(self) -> None:
        """openaivec: one row gets HTTP 400, all are lost."""
        with pytest.warns(FailedRowsWarning, match="1 of 100 rows failed"):
            labels = classified(ROWS, rows_per_request=20)

        assert labels.drop(index=50).tolist() == labels_of(ROWS[:50] + ROWS[51:])

    def test_what_was_paid_is_returned(self) -> None:
        """LOTUS, docetl and daft: raise after paying for the 99 others; mall, semlib and fenic raise at once."""
        with pytest.warns(FailedRowsWarning):
            labels = classified(ROWS, rows_per_request=1)

        assert labels.isna().sum() == 1

    def test_it_is_not_tried_again_and_again(self, api: FakeApi) -> None:
        """curator: 11 tries, then raises."""
        with pytest.warns(FailedRowsWarning):
            classified(ROWS, rows_per_request=1)

        assert times_asked(api)[ROWS[50]] == 1

    def test_a_rerun_pays_only_for_it(self, api: FakeApi) -> None:
        """Daft#5678, curator#618, polar_llama#75, phoenix#1740: do not lose paid work."""
        for _ in range(2):
            with pytest.warns(FailedRowsWarning):
                classified(ROWS, rows_per_request=1)

        assert {text for text, times in times_asked(api).items() if times > 1} == {ROWS[50]}


class TestOneNull:
    def test_it_is_not_sent(self, api: FakeApi) -> None:
        """semlib: sends "None", and is billed for it; LOTUS and docetl are billed too."""
        classified([*ROWS[:3], None, float("nan"), pd.NA])

        assert sorted(map(tuple, asked(api))) == sorted((text,) for text in ROWS[:3])

    def test_it_stops_nobody(self, api: FakeApi) -> None:
        """openaivec and daft: raise before any call."""
        assert classified([ROWS[0], None]).isna().tolist() == [False, True]


class TestSixtyRequestsAMinute:
    @pytest.fixture(autouse=True)
    def _limited(self, api: FakeApi, quick_time: QuickTime) -> None:
        api.settings.limit_requests_per_minute = 60
        api.settings.clock = quick_time.now
        api.reset()

    def test_no_row_is_lost_one_per_request(self, api: FakeApi) -> None:
        """openaivec (one row per request), mall, semlib, LOTUS (120 × 429) and daft: raise; dataframeit loses 9 of 100."""
        assert classified(ROWS, rows_per_request=1).tolist() == labels_of(ROWS)

    def test_hardly_any_request_is_refused(self, api: FakeApi, one_at_a_time: None) -> None:
        """fenic: all rows ok, after 645 × 429."""
        classified(ROWS, rows_per_request=1)

        assert api.stats.statuses.get(429, 0) <= 1

    def test_packed_it_takes_no_waiting(self, api: FakeApi, quick_time: QuickTime) -> None:
        """docetl and fenic: 70 s and more for 100 rows."""
        classified(ROWS)

        assert api.stats.requests < 40
        assert quick_time._skipped_seconds < 60

    def test_so_it_is_with_refusals_that_say_nothing_of_limits(self, api: FakeApi) -> None:
        """lotus#233, phoenix#9272: the limit is learnt where no header tells it."""
        api.play(Fault(status=429, body={"message": "Requests rate limit exceeded"}, times=20))

        assert classified(ROWS, rows_per_request=1).tolist() == labels_of(ROWS)
        assert api.stats.statuses[429] >= 20  # a busy machine may be late for a minute, once more


def test_a_killed_kernel_pays_again_only_for_what_was_under_way(api: FakeApi) -> None:
    """kill -9 halfway through 300 rows: openaivec pays 180 again, LOTUS 155, curator 10, docetl 7, semlib 6; mall, which asks one
    after the other, none. 16 may be under way here."""
    home = mistral_nb.configure(max_concurrency=16).home
    script = f"""
import os, pandas as pd, mistral_nb
from mistral_nb.engine import cache
keep, kept = cache.AnswerCache.put, 0
def put(self, answers):
    global kept
    keep(self, answers)
    kept += len(answers)
    if kept >= 150:
        os.kill(os.getpid(), 9)
cache.AnswerCache.put = put
mistral_nb.configure(endpoint={api.url!r}, api_key={api.api_key!r}, home={str(home)!r}, max_concurrency=16)
pd.Series({texts(300)!r}).mistral.classify({LABELS!r}, rows_per_request=1)
"""
    subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    before = len(api.requests)
    labels = classified(texts(300), rows_per_request=1)
    paid_twice = sum(times - 1 for times in times_asked(api).values())

    assert (before < 300, labels.tolist()) == (True, labels_of(texts(300)))
    assert paid_twice <= 16


class TestAnswersOfOthers:
    def test_a_row_is_sent_without_the_rows_before_it(self, api: FakeApi) -> None:
        """mall through chatlas: sends all earlier rows with each row, so that answers depend on the order."""
        classified(ROWS[:10], rows_per_request=1)

        assert [len(request.body["messages"]) for request in api.requests] == [2] * 10
        assert sorted(request.text for request in api.requests) == sorted(ROWS[:10])

    def test_answers_do_not_depend_on_the_order(self, api: FakeApi) -> None:
        """mall: the same rows in another order get other answers."""
        there = classified(ROWS, cache=False)
        back = classified(ROWS[::-1], cache=False)

        assert there.tolist() == back.tolist()[::-1]

    def test_another_models_answers_do_not_come_back(self, api: FakeApi) -> None:
        """mall: leaves the model out of its cache's key."""
        classified(["a bug"], model="small")
        api.play(Fault(content='{"label": "billing"}'))

        assert classified(["a bug"], model="large").tolist() == ["billing"]

    def test_labels_of_several_words_stay_whole(self, api: FakeApi) -> None:
        """mall: splits them."""
        labels = ["late delivery", "wrong, or broken, item", "late"]
        texts_of_them = ["a late delivery again", "the wrong, or broken, item", "it came late"]

        assert pd.Series(texts_of_them).mistral.classify(labels).tolist() == labels

    @pytest.mark.parametrize("rows_per_request", [1, 3])
    def test_an_answer_that_can_not_be_read_is_an_error_and_no_value(
        self, api: FakeApi, no_audit: None, rows_per_request: int
    ) -> None:
        """LOTUS: sem_filter silently keeps rows whose answers could not be parsed."""
        api.play(Fault(content="Certainly! Here is the label.", when="unclear", times=None))
        with pytest.warns(FailedRowsWarning, match="InvalidAnswer"):
            labels = classified(["a bug", "unclear billing", "delivery"], rows_per_request=rows_per_request)

        assert labels.isna().tolist() == [False, True, False]


class TestMoney:
    @pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")
    def test_a_budget_is_checked_before_calls_are_paid(self, priced: FakeApi) -> None:
        """LOTUS: its cost cap is checked after all calls are paid."""
        budget = Decimal("0.0005")
        labels = classified(ROWS, budget_usd=budget, rows_per_request=1)

        assert (0 < labels.notna().sum() < 100, spent_usd(priced) <= budget) == (True, True)

    def test_the_price_is_known_before(self, priced: FakeApi) -> None:
        """No peer tells dollars before the run (curator#563)."""
        receipt = classified(ROWS, dry_run=True)

        assert (receipt.cost_usd_expected > 0, priced.requests) == (True, [])

    def test_and_after(self, priced: FakeApi) -> None:
        """openaivec, mall, daft: no dollars after the run."""
        classified(ROWS)

        assert mistral_nb.session().last_run.result.cost_usd == spent_usd(priced)

    def test_instructions_are_few_beside_the_texts(self, few_at_once: FakeApi, no_audit: None) -> None:
        """openaivec: 51 prompt tokens per row packed, 359 alone; LOTUS 68, semlib 24; all with what the server adds."""
        classified(ROWS)
        said = sum(len(message["content"]) for request in few_at_once.requests for message in request.body["messages"])

        assert (pack_sizes(few_at_once), said / len(ROWS) < 3 * len(ROWS[0])) == ([20] * 5, True)

    def test_equal_rows_are_paid_once(self, api: FakeApi) -> None:
        """semlib, LOTUS, dataframeit, curator, daft: each equal row is a request."""
        classified(["a bug"] * 100)

        assert len(api.requests) == 1


class TestOthers:
    def test_packing_is_audited(self, few_at_once: FakeApi) -> None:
        """openaivec packs, and nobody knows what that does to the answers (mall#38, lotus#184 and #224: trust)."""
        classified(ROWS)

        assert mistral_nb.session().last_run.audit.rows == 5

    def test_one_run_at_a_time_is_not_the_rule(self, api: FakeApi, gate: Gate) -> None:
        """mall: sequential. The seconds of all peers beside ours: python -m tests.bench.rows --peers DIR."""
        mistral_nb.configure(requests_per_minute=100_000)
        run = classified(texts(20), background=True)
        gate.wait_for(20)
        under_way = api.stats.in_flight
        gate.open()

        assert (under_way, run.result().tolist()) == (20, labels_of(texts(20)))

    def test_braces_in_a_text_are_data(self, api: FakeApi) -> None:
        """jupyter-ai#27: braces in a text crash its templates."""
        text = json.dumps({"bug": "{label}", "x": "{0} %s"})

        assert (classified([text]).tolist(), api.requests[0].text) == (["bug"], text)

    def test_a_401_is_an_exception(self, api: FakeApi) -> None:
        """jupyter-ai: a 401 leaves the cell successful, so that Run All goes on."""
        mistral_nb.configure(api_key="wrong")

        with pytest.raises(errors.InvalidKey):
            classified(ROWS)
