"""Money is held before it is spent: a budget is not overshot, and what was done within it is not lost."""

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mistral_nb
from mistral_nb import errors
from mistral_nb.completion import TokenUsage
from mistral_nb.engine.budget import Budget, checked_budget
from mistral_nb.notebook.progress import FailedRowsWarning
from mistral_nb.price_list import cost_usd
from tests.engine.row_runs import LABELS, Gate, is_pack, labels_of, texts, times_asked
from tests.fake_api import FakeApi, Fault

ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")


def spent_usd(api: FakeApi) -> Decimal:
    """Return the price of what the server says it used."""
    used = TokenUsage(prompt_tokens=api.stats.prompt_tokens, completion_tokens=api.stats.completion_tokens)
    price = cost_usd("mistral-small-latest", used)
    assert price is not None
    return price


def most_usd(rows: list[str], **options: Any) -> Decimal:
    """Return the most that a run over the rows can cost, by its receipt."""
    most = pd.Series(rows).mistral.classify(LABELS, dry_run=True, **options).cost_usd_most
    assert isinstance(most, Decimal)
    return most


class TestHolding:
    def test_what_fits_is_held(self) -> None:
        budget = Budget(Decimal(1))

        assert [budget.hold(Decimal("0.5")), budget.hold(Decimal("0.5")), budget.hold(Decimal("0.0001"))] == [
            True,
            True,
            False,
        ]

    def test_what_was_held_and_not_spent_can_be_held_again(self) -> None:
        budget = Budget(Decimal(1))
        budget.hold(Decimal("0.9"))
        budget.settle(Decimal("0.9"), Decimal("0.2"))

        assert (budget.hold(Decimal("0.8")), budget.spent_usd) == (True, Decimal("0.2"))

    def test_without_a_limit_everything_fits(self) -> None:
        assert Budget(None).hold(Decimal(10**9))

    @given(costs=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=40), limit=st.integers(1, 200))
    def test_spent_and_held_are_never_more_than_the_limit(self, costs: list[tuple[int, int]], limit: int) -> None:
        budget = Budget(Decimal(limit))
        for most, real in costs:
            if budget.hold(Decimal(most)) and real % 3:
                budget.settle(Decimal(most), Decimal(min(real, most)))

            assert budget.spent_usd + budget.held_usd <= limit

    @pytest.mark.parametrize("given", [0.1, "0.1", Decimal("0.1")])
    def test_a_budget_is_an_exact_amount(self, given: Any) -> None:
        assert checked_budget(given) == Decimal("0.1")

    def test_no_budget_is_none(self) -> None:
        assert checked_budget(None) is None

    @pytest.mark.parametrize(
        "bad", [0, -1, True, float("nan"), float("inf"), "much", "", [1], Decimal("NaN")], ids=repr
    )
    def test_a_budget_that_is_no_amount_is_refused(self, bad: Any) -> None:
        with pytest.raises(errors.InvalidOption, match=r"budget_usd is .*\nGive dollars, e.g. budget_usd=0.50"):
            pd.Series(["a bug"]).mistral.classify(LABELS, budget_usd=bad)


class TestRuns:
    @ignores_failures
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        lengths=st.lists(st.integers(1, 400), min_size=1, max_size=30),
        share=st.floats(0.01, 1.2),
        rows_per_request=st.sampled_from([1, 4, 20]),
    )
    def test_a_budget_is_never_overshot(
        self, priced: FakeApi, lengths: list[int], share: float, rows_per_request: int
    ) -> None:
        priced.reset()
        rows = [f"{'x' * length} bug {number}" for number, length in enumerate(lengths)]
        budget = most_usd(rows, rows_per_request=rows_per_request, cache=False) * Decimal(share)
        pd.Series(rows).mistral.classify(LABELS, budget_usd=budget, rows_per_request=rows_per_request, cache=False)

        assert spent_usd(priced) <= budget

    @pytest.mark.parametrize("rows_per_request", [1, 10])
    def test_the_receipts_worst_case_is_enough_for_all_rows(self, priced: FakeApi, rows_per_request: int) -> None:
        budget = most_usd(texts(30), rows_per_request=rows_per_request)
        labels = pd.Series(texts(30)).mistral.classify(LABELS, budget_usd=budget, rows_per_request=rows_per_request)

        assert labels.tolist() == labels_of(texts(30))

    def test_what_is_done_is_returned_and_the_rest_is_missing(self, priced: FakeApi) -> None:
        mistral_nb.configure(max_concurrency=1)
        budget = most_usd(texts(30), rows_per_request=1) / 10
        with pytest.warns(FailedRowsWarning, match="BudgetReached: The budget of"):
            labels = pd.Series(texts(30)).mistral.classify(LABELS, budget_usd=budget, rows_per_request=1)
        last = mistral_nb.session().last_run

        assert 3 <= labels.notna().sum() < 30
        assert labels.dropna().tolist() == labels_of(texts(30))[: labels.notna().sum()]
        assert set(last.failed["error"]) == {"BudgetReached"}
        assert last.result.cost_usd == spent_usd(priced) <= budget

    def test_more_than_one_row_at_a_time_is_sent_while_the_worst_case_of_all_fits(
        self, priced: FakeApi, gate: Gate
    ) -> None:
        mistral_nb.configure(requests_per_minute=100_000)
        budget = most_usd(["delivery no 10"]) * Decimal("15.9")
        run = pd.Series(texts(30)).mistral.classify(LABELS, budget_usd=budget, rows_per_request=1, background=True)
        gate.wait_for(15)
        under_way = gate.held
        gate.open()
        run.result()

        assert under_way == 15

    @ignores_failures
    def test_a_larger_budget_goes_on_without_paying_twice(self, priced: FakeApi) -> None:
        most = most_usd(texts(30), rows_per_request=1)
        first = pd.Series(texts(30)).mistral.classify(LABELS, budget_usd=most / 8, rows_per_request=1)
        second = pd.Series(texts(30)).mistral.classify(LABELS, budget_usd=most, rows_per_request=1)

        assert (first.isna().any(), second.tolist()) == (True, labels_of(texts(30)))
        assert times_asked(priced) == dict.fromkeys(texts(30), 1)

    @ignores_failures
    def test_a_pack_that_does_not_fit_is_asked_in_parts(self, priced: FakeApi, no_audit: None) -> None:
        budget = most_usd(texts(16), rows_per_request=16) * Decimal("0.8")
        labels = pd.Series(texts(16)).mistral.classify(LABELS, budget_usd=budget, rows_per_request=16)

        assert (labels.notna().sum() >= 8, spent_usd(priced) <= budget) == (True, True)

    @ignores_failures
    def test_a_budget_for_nothing_sends_nothing(self, priced: FakeApi) -> None:
        labels = pd.Series(texts(5)).mistral.classify(LABELS, budget_usd="0.0000001")

        assert (labels.isna().all(), priced.requests) == (True, [])

    def test_kept_rows_cost_nothing_of_it(self, priced: FakeApi) -> None:
        pd.Series(texts(5)).mistral.classify(LABELS)

        assert pd.Series(texts(5)).mistral.classify(LABELS, budget_usd="0.0000001").tolist() == labels_of(texts(5))

    def test_audits_are_given_up_before_rows(self, priced: FakeApi) -> None:
        mistral_nb.configure(max_concurrency=1)
        budget = most_usd(texts(20), rows_per_request=20) / 2
        labels = pd.Series(texts(20)).mistral.classify(LABELS, budget_usd=budget, rows_per_request=20)

        assert (labels.notna().all(), spent_usd(priced) <= budget) == (True, True)

    @ignores_failures
    @pytest.mark.parametrize(
        "fault",
        [
            Fault(reset=True, times=None),
            Fault(truncate_after_bytes=10, times=None),
            Fault(status=200, body=[1], times=None),
        ],
        ids=["reset", "cut body", "unreadable"],
    )
    def test_an_answer_that_was_lost_may_have_been_billed(self, priced: FakeApi, fault: Fault) -> None:
        """The server may ask money for each of them: no more of them go out than the budget pays for in the worst case."""
        mistral_nb.configure(max_concurrency=1)
        priced.play(fault)
        rows = [f"bug {number}" for number in range(10, 30)]
        budget = most_usd(rows[:1]) * 3
        pd.Series(rows).mistral.classify(LABELS, budget_usd=budget, rows_per_request=1)

        assert (len(priced.requests), spent_usd(priced) <= budget) == (3, True)

    def test_a_refused_request_costs_nothing_of_it(self, priced: FakeApi) -> None:
        mistral_nb.configure(max_concurrency=1)
        priced.play(Fault(status=503, body="{}", times=3))
        budget = most_usd(texts(1))

        assert pd.Series(texts(1)).mistral.classify(LABELS, budget_usd=budget).tolist() == labels_of(texts(1))

    def test_a_price_that_is_not_known_refuses_a_budget(self, api: FakeApi) -> None:
        with pytest.raises(errors.UnknownPrice, match=f"mistral-small-latest at {api.url}"):
            pd.Series(["a bug"]).mistral.classify(LABELS, budget_usd=1)
        assert api.requests == []

    def test_the_line_of_that_error_makes_the_price_known(self, api: FakeApi) -> None:
        with pytest.raises(errors.UnknownPrice) as refused:
            pd.Series(["a bug"]).mistral.classify(LABELS, budget_usd=1)
        eval(refused.value.remedy.partition(": ")[2], {"mistral_nb": mistral_nb})

        assert pd.Series(["a bug"]).mistral.classify(LABELS, budget_usd=1).tolist() == ["bug"]

    def test_a_model_without_a_price_refuses_a_budget(self, priced: FakeApi) -> None:
        with pytest.raises(errors.UnknownPrice, match="mistral-large-4-0"):
            pd.Series(["a bug"]).mistral.classify(LABELS, model="mistral-large-4-0", budget_usd=1)

    def test_without_a_budget_an_unknown_price_is_no_hindrance(self, api: FakeApi) -> None:
        labels = pd.Series(["a bug"]).mistral.classify(LABELS)
        last = mistral_nb.session().last_run

        assert (labels.tolist(), last.result.cost_usd, "cost unknown" in str(last.progress)) == (["bug"], None, True)

    def test_what_was_spent_is_what_the_server_used(self, priced: FakeApi) -> None:
        pd.Series(texts(50)).mistral.classify(LABELS, rows_per_request=10)

        assert mistral_nb.session().last_run.result.cost_usd == spent_usd(priced)

    def test_the_bound_holds_with_the_exact_tokenizer(self, priced: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where mistral-common counts, the prompt is not bounded by its bytes any more, but by its tokens."""
        pytest.importorskip("mistral_common")
        from mistral_nb.engine import provider
        from mistral_nb.engine.tokens import token_counter
        from tests.fake_api import rules

        monkeypatch.setattr(provider, "token_counter", token_counter)
        monkeypatch.setattr(rules, "count_tokens", token_counter("mistral-small-latest").text_tokens)
        rows = texts(20)
        for rows_per_request in (1, 20):
            budget = most_usd(rows, rows_per_request=rows_per_request, cache=False)
            pd.Series(rows).mistral.classify(LABELS, budget_usd=budget, rows_per_request=rows_per_request, cache=False)
            assert spent_usd(priced) <= budget
            priced.reset()


def test_the_embedded_model_needs_no_budget_but_takes_one(embedded: Any) -> None:
    labels = pd.Series(["I was charged twice"]).mistral.classify(LABELS, budget_usd=0.01)

    assert (labels.notna().all(), mistral_nb.session().last_run.result.cost_usd) == (True, 0)


def test_no_pack_is_asked_for_where_the_budget_allows_single_rows_only(priced: FakeApi, no_audit: None) -> None:
    budget = most_usd(texts(1)) * Decimal("1.01")
    with pytest.warns(FailedRowsWarning):
        pd.Series(texts(8)).mistral.classify(LABELS, budget_usd=budget, rows_per_request=8)

    assert [is_pack(request) for request in priced.requests] == [False] * len(priced.requests)
