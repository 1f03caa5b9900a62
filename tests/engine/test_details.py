"""What a run tells besides its values: details, the failed rows, the receipt before it, and which options there are."""

import inspect
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.engine import audit
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.engine.row_runs import LABELS, asked, is_pack, labels_of, pack_sizes, texts
from tests.fake_api import FakeApi, Fault
from tests.fake_api.rules import prompt_tokens

NAMES = [
    "value", "error", "from_cache", "model", "response_id", "prompt_tokens", "completion_tokens", "cost_usd", "latency_seconds",
    "finish_reason",
]  # fmt: skip
DTYPES = ["category", "str", "boolean", "str", "str", "Int64", "Int64", "Float64", "Float64", "str"]

ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")


def last_run() -> Any:
    return mistral_nb.session().last_run


def details_of(rows: list[Any], **options: Any) -> pd.DataFrame:
    return pd.Series(rows, dtype="object").mistral.classify(LABELS, details=True, **options)


@pytest.mark.usefixtures("library")
class TestDetails:
    def test_the_columns_and_their_types(self, api: FakeApi) -> None:
        details = details_of(["a bug", None])

        assert dict(zip(NAMES, DTYPES, strict=True)) == {name: str(dtype) for name, dtype in details.dtypes.items()}

    def test_the_types_are_the_same_where_there_is_nothing(self, api: FakeApi) -> None:
        details = details_of([])

        assert (details.columns.tolist(), [str(dtype) for dtype in details.dtypes]) == (NAMES, DTYPES)

    @pytest.mark.pandas_only("an index")
    def test_the_index_is_the_columns(self, api: FakeApi) -> None:
        index = pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)])
        details = pd.Series(texts(3), index=index).mistral.classify(LABELS, details=True)

        pd.testing.assert_index_equal(details.index, index)

    def test_a_row_that_was_asked(self, priced: FakeApi) -> None:
        row = details_of(["a bug"]).iloc[0]

        assert (row["value"], row["from_cache"], row["model"]) == ("bug", False, "mistral-small-latest")
        assert (row["finish_reason"], row["prompt_tokens"]) == ("stop", prompt_tokens(priced.requests[0].body))
        assert (row["latency_seconds"] > 0, row["cost_usd"] > 0, len(row["response_id"])) == (True, True, 32)
        assert pd.isna(row["error"])

    def test_a_row_that_was_kept_says_who_answered_it_and_costs_nothing(self, priced: FakeApi) -> None:
        before = details_of(["a bug"]).iloc[0]
        row = details_of(["a bug"]).iloc[0]
        same = ["value", "model", "response_id", "latency_seconds", "finish_reason"]

        assert row[same].tolist() == before[same].tolist()
        assert row[["from_cache", "prompt_tokens", "completion_tokens", "cost_usd"]].tolist() == [True, 0, 0, 0.0]

    @ignores_failures
    def test_a_row_that_failed(self, api: FakeApi) -> None:
        api.play(Fault(status=400, body={"message": "bad"}))
        row = details_of(["a bug"]).iloc[0]

        assert (row["error"], row["from_cache"], row["prompt_tokens"]) == ("RequestRejected", False, 0)
        assert row[["value", "model", "response_id", "latency_seconds", "finish_reason"]].isna().all()

    def test_a_row_without_text_has_nothing(self, api: FakeApi) -> None:
        assert details_of([None, "a bug"]).iloc[0].isna().all()

    def test_an_equal_row_further_down_costs_nothing(self, priced: FakeApi) -> None:
        details = details_of(["a bug", "a bug"])

        assert details["prompt_tokens"].tolist() == [prompt_tokens(priced.requests[0].body), 0]
        assert details["value"].tolist() == ["bug", "bug"]

    @ignores_failures
    @pytest.mark.parametrize("rows_per_request", ["auto", 1, 5])
    @pytest.mark.parametrize("cache", [True, False])
    def test_its_sums_are_the_runs_bill(self, priced: FakeApi, rows_per_request: Any, cache: bool) -> None:
        """With equal rows, kept rows, rows without text, rows that fail, packs, and audits."""
        priced.play(
            Fault(status=400, body={}, when="poison", times=None),
            Fault(content="no JSON", when="unreadable", times=None),
            Fault(content="no JSON either", when=is_pack),
        )
        pd.Series(texts(7)).mistral.classify(LABELS, rows_per_request=1)
        used_before = priced.stats.prompt_tokens + priced.stats.completion_tokens
        details = details_of(
            [*texts(23), *texts(12), None, "poison", "unreadable", "unreadable"],
            rows_per_request=rows_per_request,
            cache=cache,
        )
        bill = last_run().result

        assert details["prompt_tokens"].sum() == bill.usage.prompt_tokens
        assert details["completion_tokens"].sum() == bill.usage.completion_tokens
        assert details["cost_usd"].sum() == pytest.approx(float(bill.cost_usd))
        assert bill.usage.total_tokens == priced.stats.prompt_tokens + priced.stats.completion_tokens - used_before

    def test_an_unknown_price_is_missing(self, api: FakeApi) -> None:
        assert details_of(["a bug"])["cost_usd"].isna().all()

    def test_the_last_run_has_them_too(self, api: FakeApi) -> None:
        rows = pd.Series(texts(3))
        rows.mistral.classify(LABELS)

        assert rows.mistral.last_run.details["value"].tolist() == labels_of(texts(3))


@pytest.mark.usefixtures("library")
class TestErrors:
    @pytest.fixture(autouse=True)
    def _poison(self, api: FakeApi) -> None:
        api.play(Fault(status=400, body={"message": "bad row"}, when="poison", times=2))

    def test_raised_when_all_is_done(self, api: FakeApi) -> None:
        with pytest.raises(errors.RowsFailed, match="1 of 3 rows failed") as caught:
            pd.Series(["a bug", "poison", "billing"], index=[7, 8, 9]).mistral.classify(LABELS, errors="raise")

        assert caught.value.result.fillna("bug").tolist() == ["bug", "bug", "billing"]
        assert caught.value.failed.index.tolist() == [8]
        assert len(api.requests) == 3

    def test_raised_with_the_details(self) -> None:
        with pytest.raises(errors.RowsFailed) as caught:
            details_of(["a bug", "poison"], errors="raise")

        assert caught.value.result["error"].tolist()[1:] == ["RequestRejected"]

    def test_nothing_is_raised_where_nothing_failed(self) -> None:
        assert pd.Series(["a bug"]).mistral.classify(LABELS, errors="raise").tolist() == ["bug"]

    def test_one_warning_for_all(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pd.Series(["poison 1", "poison 2", "a bug"]).mistral.classify(LABELS)

        assert [str(warning.message).splitlines()[0] for warning in caught] == [
            "2 of 3 rows failed in classify and are missing:"
        ]

    def test_the_warning_has_the_causes_and_what_to_do(self) -> None:
        with pytest.warns(FailedRowsWarning, match=r"(?s)1 × RequestRejected: .*bad row.*last_run.retry\(\)"):
            pd.Series(["poison"]).mistral.classify(LABELS)

    @ignores_failures
    def test_the_failed_rows_have_error_problem_and_remedy(self) -> None:
        rows = pd.Series(["poison", "poison", "a bug"], index=["x", "x", "y"])
        rows.mistral.classify(LABELS)
        failed = rows.mistral.last_run.failed

        assert failed.index.tolist() == ["x", "x"]
        assert failed.columns.tolist() == ["error", "problem", "remedy", "is_worth_retrying"]
        assert "bad row" in failed["problem"].iloc[0]
        assert not failed["is_worth_retrying"].any()

    @ignores_failures
    @pytest.mark.parametrize("cache", [True, False])
    def test_retry_asks_only_the_failed_rows_and_gives_the_whole_column(self, api: FakeApi, cache: bool) -> None:
        rows = pd.Series(["a bug", "poison billing", None, "delivery", "poison billing"], name="topic")
        rows.mistral.classify(LABELS, cache=cache)
        before = len(api.requests)
        rows.mistral.last_run.retry()  # the fault is good for one more
        whole = rows.mistral.last_run.retry()

        assert asked(api)[before:] == [["poison billing"]] * 2
        assert whole.astype("object").where(whole.notna(), None).tolist() == [
            "bug", "billing", None, "delivery", "billing",
        ]  # fmt: skip

    @ignores_failures
    def test_retry_keeps_what_was_answered_in_its_place(self, api: FakeApi) -> None:
        rows = pd.Series(["a bug", "poison bug", None, "delivery"], index=[3, 3, 1, 0], name="topic")
        with pytest.raises(errors.RowsFailed):
            rows.mistral.classify(LABELS, cache=False, errors="raise", details=True, model="large")
        api.reset()
        whole = rows.mistral.last_run.retry()

        expected = pd.Series(["bug", "bug", None, "delivery"], index=[3, 3, 1, 0], name="topic")
        pd.testing.assert_series_equal(whole, expected.astype(pd.CategoricalDtype(LABELS)))
        assert [request.body["model"] for request in api.requests] == ["mistral-large-latest"]

    @ignores_failures
    def test_retry_gives_the_whole_column_also_when_the_one_before_broke_off(self, api: FakeApi) -> None:
        rows = pd.Series(["a bug", "poison billing"])
        rows.mistral.classify(LABELS)
        api.reset()
        api.play(Fault(status=401, body={"detail": "Unauthorized"}))
        with pytest.raises(errors.InvalidKey):
            rows.mistral.last_run.retry()

        assert rows.mistral.last_run.retry().tolist() == ["bug", "billing"]

    @ignores_failures
    def test_retry_gives_its_own_answers_whatever_run_ends_meanwhile(
        self, api: FakeApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = pd.Series(["a bug", "billing"])
        api.reset()
        api.play(*[Fault(finish_reason="content_filter", content='{"label": "bug"}')] * 2)
        rows.mistral.classify(LABELS, rows_per_request=1)
        run = last_run()
        pd.Series(["delivery", "more delivery"]).mistral.classify(LABELS)
        another = last_run()
        monkeypatch.setattr(
            mistral_nb.Session, "last_run", property(lambda _: another, lambda _, run: None), raising=False
        )

        assert run.retry().tolist() == ["bug", "billing"]

    def test_retry_of_a_run_without_failures_asks_nothing(self, api: FakeApi) -> None:
        rows = pd.Series(["a bug"])
        rows.mistral.classify(LABELS)

        assert (rows.mistral.last_run.retry().tolist(), len(api.requests)) == (["bug"], 1)

    @ignores_failures
    @pytest.mark.parametrize("reason", ["content_filter", "safety", "error"])
    def test_a_refusal_is_an_error_of_its_own_kind(self, api: FakeApi, reason: str) -> None:
        api.reset()
        api.play(Fault(finish_reason=reason, content='{"label": "bug"}'))
        details = details_of(["what a bug"])

        assert (details["error"].tolist(), details["value"].isna().tolist()) == (["Refused"], [True])

    @ignores_failures
    def test_a_guardrail_is_a_refusal(self, api: FakeApi) -> None:
        api.reset()
        guardrails = [{"category": "violence", "violated": True}]
        api.play(Fault(status=403, body={"error": {"message": "blocked"}, "guardrails": {"results": guardrails}}))
        details = details_of(["a bug"])

        assert details["error"].tolist() in (["Refused"], ["RequestRejected"])


class TestDryRun:
    def test_it_sends_and_keeps_nothing(self, api: FakeApi) -> None:
        receipt = pd.Series(texts(40)).mistral.classify(LABELS, dry_run=True)

        assert (receipt.rows, receipt.requests, api.requests, last_run()) == (40, 40, [], None)

    def test_it_counts_rows_as_they_are(self, api: FakeApi) -> None:
        pd.Series(texts(3)).mistral.classify(LABELS)
        receipt = pd.Series([*texts(10), *texts(4), None, " "]).mistral.classify(LABELS, dry_run=True)

        assert (receipt.rows, receipt.unique, receipt.cached, receipt.missing, receipt.requests) == (16, 10, 3, 2, 7)

    @pytest.mark.parametrize("cache", [True, False])
    @pytest.mark.parametrize("rows_per_request", ["auto", 1, 7, 40])
    @pytest.mark.parametrize("count", [4, 41, 160])
    def test_the_run_then_sends_exactly_that(
        self, few_at_once: FakeApi, monkeypatch: pytest.MonkeyPatch, cache: bool, rows_per_request: Any, count: int
    ) -> None:
        rows = [*texts(count), "a long text about a bug " * 100]
        options = {"rows_per_request": rows_per_request, "cache": cache}
        receipt = pd.Series(rows).mistral.classify(LABELS, dry_run=True, **options)
        pd.Series(rows).mistral.classify(LABELS, **options)
        sizes = pack_sizes(few_at_once) or [1]

        assert (receipt.requests, receipt.rows_per_request) == (len(few_at_once.requests), max(sizes))

    def test_its_prompt_tokens_are_those_that_are_then_sent(
        self, priced: FakeApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from mistral_nb.engine.provider import Provider
        from mistral_nb.engine.tokens import TokenCounter

        class Counter(TokenCounter):
            """Counts as the fake server does."""

            def prompt_tokens(self, request: Any) -> int:
                return prompt_tokens(request.body())

        monkeypatch.setattr(Provider, "token_counter", lambda self, model: Counter(None, has_settings=False))
        mistral_nb.configure(requests_per_minute=60)
        receipt = pd.Series(texts(100)).mistral.classify(LABELS, dry_run=True)
        pd.Series(texts(100)).mistral.classify(LABELS)

        assert (receipt.prompt_tokens, receipt.requests) == (priced.stats.prompt_tokens, 5 + 2 * audit.FEWEST_ROWS)

    def test_the_run_costs_no_more_than_its_most(self, priced: FakeApi) -> None:
        receipt = pd.Series(texts(50)).mistral.classify(LABELS, dry_run=True, rows_per_request=10)
        pd.Series(texts(50)).mistral.classify(LABELS, rows_per_request=10)

        assert Decimal(0) < last_run().result.cost_usd <= receipt.cost_usd_most

    def test_it_has_the_price_of_a_batch_job_and_the_time_under_known_limits(self, priced: FakeApi) -> None:
        mistral_nb.configure(requests_per_minute=60)
        receipt = pd.Series(texts(100)).mistral.classify(LABELS, dry_run=True, rows_per_request=1)

        assert receipt.batch_cost_usd_expected == receipt.cost_usd_expected / 2
        assert (receipt.requests_per_minute, 90 < receipt.seconds < 110) == (60, True)


@pytest.mark.usefixtures("library")
class TestOptions:
    @pytest.mark.parametrize(
        ("misspelt", "meant"),
        [("modell", "model"), ("budget", "budget_usd"), ("row_per_request", "rows_per_request"), ("detail", "details")],
    )
    def test_an_unknown_option_names_the_nearest(self, api: FakeApi, misspelt: str, meant: str) -> None:
        with pytest.raises(
            errors.InvalidOption,
            match=rf"no option {misspelt}=.\nDid you mean {meant}=\? There are: column, labels, examples",
        ):
            pd.DataFrame({"text": ["a bug"]}).mistral.classify("text", LABELS, **{misspelt: 1})

    def test_an_option_that_is_like_none_gets_the_list(self, api: FakeApi) -> None:
        with pytest.raises(errors.InvalidOption, match=r"no option zzz=.\nThere are: by, .*max_words, .*, dry_run"):
            pd.Series(["a bug"]).mistral.summarize(zzz=1)

    @pytest.mark.parametrize(
        "bad",
        [
            {"dry_run": 1}, {"details": "yes"}, {"background": None}, {"cache": 0}, {"refresh": "no"}, {"errors": "ignore"},
            {"errors": None}, {"errors": []}, {"rows_per_request": 0}, {"rows_per_request": -1}, {"rows_per_request": 2.5},
            {"rows_per_request": True}, {"rows_per_request": "many"}, {"rows_per_request": None}, {"model": 3},
            {"cache": False, "refresh": True}, {"budget_usd": -1},
        ],
        ids=str,
    )  # fmt: skip
    def test_a_value_that_an_option_can_not_have_is_refused(self, api: FakeApi, bad: dict[str, Any]) -> None:
        name = next(iter(bad))
        with pytest.raises(errors.InvalidOption, match=name) as caught:
            pd.Series(["a bug"]).mistral.classify(LABELS, **bad)

        assert (bool(caught.value.remedy), api.requests) == (True, [])

    def test_a_whole_number_of_numpy_is_one(self, api: FakeApi) -> None:
        assert pd.Series(texts(3)).mistral.classify(LABELS, rows_per_request=np.int64(3)).tolist() == labels_of(
            texts(3)
        )

    @pytest.mark.parametrize("verb", ["classify", "summarize"])
    @pytest.mark.parametrize("door", [pd.Series(["a"]), pd.DataFrame({"text": ["a"]})], ids=["series", "frame"])
    def test_the_signature_shows_every_option(self, door: Any, verb: str) -> None:
        parameters = inspect.signature(getattr(door.mistral, verb)).parameters

        assert {"model", "dry_run", "budget_usd", "details", "errors", "background", "rows_per_request", "cache"} < set(
            parameters
        )
        assert "options" not in parameters
