"""Budgets of a block, a kernel and a day: held by all doors and kernels together, so that nobody spends a dollar twice."""

import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.completion import TokenUsage
from mistral_nb.engine import day_budget as day_budget_module
from mistral_nb.engine.database import Database
from mistral_nb.engine.day_budget import DayBudget
from mistral_nb.engine.ledger import Ledger
from mistral_nb.engine.open_request import EndedRequest
from mistral_nb.engine.request_record import RequestRecord
from tests.engine.row_runs import LABELS, Gate, texts
from tests.fake_api import FakeApi, Fault

ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")
TINY = Decimal("0.0000001")


def spent_usd(api: FakeApi) -> Decimal:
    """Return the price of what the server says it used."""
    used = TokenUsage(prompt_tokens=api.stats.prompt_tokens, completion_tokens=api.stats.completion_tokens)
    price = mistral_nb.session().cost_usd("mistral-small-latest", used)
    assert price is not None
    return price


def most_usd(rows: list[str]) -> Decimal:
    """Return the most that a run over the rows can cost, by its receipt."""
    most = pd.Series(rows).mistral.classify(LABELS, dry_run=True, rows_per_request=1).cost_usd_most
    assert isinstance(most, Decimal)
    return most


DOORS: dict[str, Callable[[], Any]] = {
    "complete": lambda: mistral_nb.session().complete("Hello", max_tokens=5),
    "stream": lambda: list(mistral_nb.session().stream("Hello", max_tokens=5)),
    "fim": lambda: mistral_nb.session().fill_in_middle("a", "b", max_tokens=5),
    "embed": lambda: mistral_nb.session().embed(["Hello"]),
    "rows": lambda: pd.Series(["a bug"]).mistral.classify(LABELS, errors="raise"),
}


class TestEveryDoor:
    @pytest.mark.parametrize("name", ["budget_usd_per_day", "budget_usd_per_session"])
    @pytest.mark.parametrize("door", list(DOORS))
    def test_a_reached_budget_sends_nothing(self, priced: FakeApi, door: str, name: str) -> None:
        mistral_nb.configure(**{name: TINY})
        with pytest.raises((errors.BudgetReached, errors.RowsFailed), match=r"[Bb]udget"):
            DOORS[door]()

        assert priced.requests == []

    @pytest.mark.parametrize("name", ["budget_usd_per_day", "budget_usd_per_session"])
    @pytest.mark.parametrize("door", list(DOORS))
    def test_within_a_budget_all_is_as_without(self, priced: FakeApi, door: str, name: str) -> None:
        mistral_nb.configure(**{name: 1})
        DOORS[door]()

        assert len(priced.requests) == 1

    def test_what_one_door_spends_the_others_can_not(self, priced: FakeApi) -> None:
        mistral_nb.session().complete("Hello", max_tokens=5)
        mistral_nb.configure(budget_usd_per_session=spent_usd(priced))
        with pytest.raises(errors.BudgetReached, match="The kernel's budget"):
            mistral_nb.session().complete("Hello", max_tokens=5)

    def test_an_answer_without_a_bound_gets_one_within_a_budget(self, priced: FakeApi) -> None:
        mistral_nb.session().complete("Hello")
        mistral_nb.configure(budget_usd_per_day=5)
        mistral_nb.session().complete("Hello")

        assert [(request.body or {}).get("max_tokens") for request in priced.requests] == [None, 4096]

    def test_without_a_price_there_is_no_budget(self, api: FakeApi) -> None:
        mistral_nb.configure(budget_usd_per_day=5)
        with pytest.raises(errors.UnknownPrice, match="no budget can be kept"):
            mistral_nb.session().complete("Hello")

        assert api.requests == []

    @ignores_failures
    def test_rows_that_do_not_fit_are_missing_and_say_what_is_left(self, priced: FakeApi) -> None:
        rows = texts(30)
        budget = most_usd(rows[:3])
        mistral_nb.configure(budget_usd_per_day=budget, max_concurrency=2)
        column = pd.Series(rows)
        labels = column.mistral.classify(LABELS, rows_per_request=1)
        failed = column.mistral.last_run.failed

        assert 3 <= labels.notna().sum() < 30
        assert spent_usd(priced) <= budget
        assert f"Left to do: {len(failed)} texts" in failed["problem"].iloc[0]
        assert "budget_usd_per_day" in failed["remedy"].iloc[0]

    def test_a_lost_answer_counts_in_full(self, priced: FakeApi) -> None:
        mistral_nb.configure(budget_usd_per_session=most_usd(["a bug"]) * 3)
        priced.play(Fault(reset=True, times=None))
        with pytest.raises(errors.RowsFailed):
            pd.Series(["a bug"]).mistral.classify(LABELS, errors="raise")
        with pytest.raises(errors.RowsFailed):
            pd.Series(["a bug 2"]).mistral.classify(LABELS, errors="raise")

        assert len(priced.requests) == 3

    @pytest.mark.parametrize("value", [-1, "much", float("nan"), True])
    def test_what_is_no_amount_is_named(self, value: Any) -> None:
        with pytest.raises(errors.InvalidOption, match="budget_usd_per_day"):
            mistral_nb.configure(budget_usd_per_day=value)


class TestSpend:
    def test_a_block_is_tagged_and_totalled(self, priced: FakeApi) -> None:
        mistral_nb.session().complete("before")
        with mistral_nb.spend("churn study") as bill:
            mistral_nb.session().complete("Hello")
            pd.Series(texts(3)).mistral.classify(LABELS)
        mistral_nb.session().complete("after")
        (row,) = mistral_nb.usage(by=[], tag="churn study").to_dict("records")

        assert (bill.requests, bill.rows, bill.cost_unknown) == (4, 4, 0)
        assert float(bill.cost_usd) == pytest.approx(row["cost_usd"])
        assert row["requests"] == 4

    def test_a_block_keeps_to_its_budget(self, priced: FakeApi) -> None:
        with (
            mistral_nb.spend("churn study", budget_usd=TINY),
            pytest.raises(errors.BudgetReached, match="'churn study'"),
        ):
            mistral_nb.session().complete("Hello")

        assert priced.requests == []

    def test_a_block_within_a_block_is_on_both_bills(self, priced: FakeApi) -> None:
        with mistral_nb.spend("all") as outer, mistral_nb.spend("part") as inner:
            mistral_nb.session().complete("Hello")

        assert (outer.requests, inner.requests) == (1, 1)

    def test_a_run_in_the_background_is_on_the_bill_of_its_block(self, priced: FakeApi) -> None:
        with mistral_nb.spend("churn study") as bill:
            run = pd.Series(texts(3)).mistral.classify(LABELS, background=True)
        run.result()

        assert bill.requests == 3

    def test_kept_answers_are_on_the_bill_as_what_they_saved(self, priced: FakeApi) -> None:
        pd.Series(texts(3)).mistral.classify(LABELS)
        with mistral_nb.spend("again") as bill:
            pd.Series(texts(3)).mistral.classify(LABELS)

        assert (bill.requests, bill.cached_rows, bill.saved_usd) == (0, 3, spent_usd(priced))

    def test_the_bill_shows_what_is_unknown(self, api: FakeApi) -> None:
        with mistral_nb.spend("churn study") as bill:
            mistral_nb.session().complete("Hello")

        assert "1 of unknown cost" in repr(bill)

    @pytest.mark.parametrize("tag", ["", " ", None, 3])
    def test_what_is_no_tag_is_named(self, tag: Any) -> None:
        with pytest.raises(errors.InvalidOption, match="Give a name"), mistral_nb.spend(tag):
            pass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "l.sqlite"


def line(cost_usd: Decimal | None, began: float) -> EndedRequest:
    return EndedRequest(RequestRecord(began_unix_seconds=began, door="magic", verb="ask", model="m", cost_usd=cost_usd))


class Clock:
    def __init__(self) -> None:
        self.unix_seconds = 1_800_000_000.0

    def time(self) -> float:
        return self.unix_seconds


class TestDay:
    def test_two_kernels_hold_no_dollar_twice(self, file: Path) -> None:
        one, other = Database(file), Database(file)
        first, second = DayBudget(Decimal(1), one), DayBudget(Decimal(1), other)

        assert [first.hold(Decimal("0.6")), second.hold(Decimal("0.6")), second.hold(Decimal("0.4"))] == [
            True,
            False,
            True,
        ]
        assert second.may_have_more
        one.close()
        other.close()

    def test_what_another_kernel_wrote_down_is_spent(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        monkeypatch.setattr(day_budget_module, "time", clock)
        one, other = Database(file), Database(file)
        first, second = DayBudget(Decimal(1), one), DayBudget(Decimal(1), other)
        first.hold(Decimal("0.6"))
        Ledger(one, soon=lambda write: None)(line(Decimal("0.5"), clock.time()))
        first.settle(Decimal("0.6"), Decimal("0.5"))
        one.write_deferred()

        assert [second.hold(Decimal("0.51")), second.hold(Decimal("0.5"))] == [False, True]
        one.close()
        other.close()

    def test_an_unknown_cost_stays_held_all_day(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        monkeypatch.setattr(day_budget_module, "time", clock)
        database = Database(file)
        budget = DayBudget(Decimal(1), database)
        budget.hold(Decimal("0.6"))
        budget.settle(Decimal("0.6"), None)
        database.write_deferred()
        fits = [budget.hold(Decimal("0.6"))]
        clock.unix_seconds += 7200
        fits.append(budget.hold(Decimal("0.6")))
        clock.unix_seconds += 86_400
        fits.append(budget.hold(Decimal("0.6")))
        database.close()

        assert fits == [False, False, True]

    def test_yesterday_does_not_count(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        monkeypatch.setattr(day_budget_module, "time", clock)
        database = Database(file)
        Ledger(database, soon=lambda write: None)(line(Decimal(1), clock.time()))
        database.write_deferred()
        budget = DayBudget(Decimal(1), database)
        fits = [budget.hold(Decimal("0.1"))]
        clock.unix_seconds += 86_400
        fits.append(budget.hold(Decimal("0.1")))
        database.close()

        assert fits == [False, True]

    def test_what_a_killed_kernel_held_is_free_again(self, file: Path) -> None:
        script = """
import os, sys; from decimal import Decimal; from pathlib import Path
from mistral_nb.engine.database import Database; from mistral_nb.engine.day_budget import DayBudget
assert DayBudget(Decimal(1), Database(Path(sys.argv[1]))).hold(Decimal("0.9"))
print("held", flush=True); sys.stdin.read()
"""
        kernel = subprocess.Popen(
            [sys.executable, "-c", script, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert kernel.stdout is not None
        kernel.stdout.readline()
        database = Database(file)
        budget = DayBudget(Decimal(1), database)
        fits = [budget.hold(Decimal("0.9"))]
        kernel.kill()
        kernel.communicate()
        fits.append(budget.hold(Decimal("0.9")))
        database.close()

        assert fits == [False, True]

    def test_a_hold_of_another_machine_is_free_after_an_hour(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        monkeypatch.setattr(day_budget_module, "time", clock)
        database = Database(file)
        budget = DayBudget(Decimal(1), database)
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(day_budget_module.platform, "node", lambda: "elsewhere")
            budget.hold(Decimal("0.9"))
        fits = [budget.hold(Decimal("0.9"))]
        clock.unix_seconds += 3601
        fits.append(budget.hold(Decimal("0.9")))
        database.close()

        assert fits == [False, True]

    def test_two_processes_do_not_overspend_together(self, priced: FakeApi, tmp_path: Path) -> None:
        rows = texts(60)
        budget = most_usd(rows[:6])
        script = """
import json, sys, warnings, pandas as pd, mistral_nb
from mistral_nb import settings
from mistral_nb.engine import provider, tokens
warnings.simplefilter("ignore")
given = json.load(sys.stdin)
settings.REGIONS["global"] = given["url"]
counter = tokens._counter(is_tekken=False, has_settings=False)
provider.token_counter = lambda model, *, is_hosted: counter
mistral_nb.configure(api_key=given["key"], home=given["home"], budget_usd_per_day=given["budget"], max_concurrency=4)
labels = pd.Series(given["rows"]).mistral.classify(given["labels"], rows_per_request=1)
print(int(labels.notna().sum()))
"""
        given = {"url": priced.url, "key": priced.api_key, "home": str(tmp_path / "shared"), "budget": str(budget)}
        kernels = []
        for part in (rows[:30], rows[30:]):
            kernel = subprocess.Popen(
                [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert kernel.stdin is not None
            kernel.stdin.write(json.dumps({**given, "rows": part, "labels": LABELS}))
            kernel.stdin.close()
            kernels.append(kernel)
        answered = []
        for kernel in kernels:
            assert kernel.stdout is not None
            answered.append(int(kernel.stdout.read()))
            kernel.stdout.close()
            kernel.wait()

        assert 6 <= sum(answered) < 60
        assert spent_usd(priced) <= budget


@ignores_failures
def test_a_question_waits_for_what_rows_hold_and_may_give_back(priced: FakeApi, gate: Gate) -> None:
    rows = ["a bug"]
    mistral_nb.configure(budget_usd_per_session=most_usd(rows) * 2)
    gate.holds = lambda text: text == "a bug"
    run = pd.Series(rows).mistral.classify(LABELS, background=True)
    gate.wait_for(1)
    gate.open()
    run.result()

    assert mistral_nb.session().complete("Hi", max_tokens=1).text
