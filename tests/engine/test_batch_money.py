"""What batch jobs cost, through the public door: half the price, on the ledger, within a budget."""

from decimal import Decimal

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import price_list
from mistral_nb.errors import (
    BudgetReached,
    UnknownPrice,
)
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.engine.job_runs import ALONE, classified, column, made, new_kernel, remote_jobs
from tests.engine.row_runs import texts
from tests.fake_api import FakeApi


class TestMoney:
    def test_it_costs_half(self, priced: FakeApi) -> None:
        classified(column(), mode="batch", **ALONE).result()
        run = mistral_nb.session().last_run.result

        assert run.cost_usd == price_list.cost_usd(run.model, run.usage) / 2
        assert run.usage.prompt_tokens == priced.stats.prompt_tokens

    def test_every_request_is_a_line_of_the_ledger_at_that_price(self, priced: FakeApi) -> None:
        classified(column(), mode="batch", **ALONE).result()
        lines = list(mistral_nb.session().ledger.records())

        assert [(line.door, line.verb, line.rows) for line in lines] == [("batch", "classify", 1)] * 6
        assert sum(line.cost_usd or 0 for line in lines) == mistral_nb.session().last_run.result.cost_usd
        assert mistral_nb.jobs()["cost_usd"].sum() == pytest.approx(float(sum(line.cost_usd or 0 for line in lines)))

    def test_a_budget_sends_what_fits_at_the_most_it_can_cost(self, priced: FakeApi) -> None:
        most = classified(column(), mode="batch", dry_run=True, **ALONE).batch_cost_usd_most
        job = classified(column(), mode="batch", budget_usd=float(most / 2), **ALONE)

        assert len(remote_jobs(priced)[0].requests) == 3
        with pytest.warns(FailedRowsWarning, match="BudgetReached"):
            assert job.result().notna().sum() == 3

    def test_what_did_not_fit_has_its_error(self, priced: FakeApi) -> None:
        job = classified(column(), mode="batch", budget_usd=0.000001)

        assert set(job.failed["error"]) == {BudgetReached.__name__}
        assert made(priced) == []

    @pytest.mark.parametrize("name", ["budget_usd_per_session", "budget_usd_per_day"])
    def test_budgets_of_kernel_and_day_hold_the_most_a_job_can_cost(self, priced: FakeApi, name: str) -> None:
        most = classified(column(), mode="batch", dry_run=True, **ALONE).batch_cost_usd_most
        mistral_nb.configure(**{name: float(most * Decimal("1.5"))})
        classified(column(), mode="batch", **ALONE)
        job = classified(pd.Series(texts(6, start=50)), mode="batch", **ALONE)

        assert set(job.failed["error"]) == {BudgetReached.__name__}
        assert 0 < len(job.failed) < 6

    def test_a_day_holds_it_in_another_kernel_too(self, priced: FakeApi) -> None:
        most = classified(column(), mode="batch", dry_run=True, **ALONE).batch_cost_usd_most
        mistral_nb.configure(budget_usd_per_day=float(most * Decimal("1.1")))
        classified(column(), mode="batch", **ALONE)
        new_kernel()

        assert len(classified(pd.Series(texts(6, start=50)), mode="batch", **ALONE).failed) == 6

    def test_a_day_counts_what_it_did_cost_once_that_is_known(self, priced: FakeApi) -> None:
        most = classified(column(), mode="batch", dry_run=True, **ALONE).batch_cost_usd_most
        mistral_nb.configure(budget_usd_per_day=float(most * Decimal("1.6")))
        classified(column(), mode="batch", **ALONE).wait(progress=False)

        assert classified(pd.Series(texts(6, start=50)), mode="batch", **ALONE).failed.empty

    def test_a_budget_without_a_price_is_refused(self, api: FakeApi) -> None:
        with pytest.raises(UnknownPrice):
            classified(column(), mode="batch", budget_usd=1)

    def test_the_receipt_says_both_prices_and_sends_nothing(self, priced: FakeApi) -> None:
        receipt = classified(column(), mode="batch", dry_run=True)

        assert receipt.batch_cost_usd_most == receipt.cost_usd_most / 2
        assert "asked live" in str(receipt)
        assert made(priced) == []

    def test_the_job_keeps_its_receipt(self, priced: FakeApi) -> None:
        job = classified(column(), mode="batch", **ALONE)

        assert (job.receipt.requests, job.receipt.is_batch) == (6, True)
        assert "nothing was sent" not in str(job.receipt)

    def test_a_receipt_of_rows_in_a_job_says_so(self, priced: FakeApi) -> None:
        classified(column(), mode="batch")
        receipt = classified(column(), mode="batch", dry_run=True)

        assert (receipt.waiting, receipt.cached, receipt.requests) == (6, 0, 0)
        assert "all else is in batch jobs already" in str(receipt)
