"""Runs whose requests are no chats: texts that share requests for vectors, on the same queue, cache, budget and receipt."""

import sqlite3
import tracemalloc
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mistral_nb
from mistral_nb import errors
from mistral_nb.engine.plan import RowsPlan
from mistral_nb.engine.rows import DistinctTexts, RowsResult, RunOptions
from mistral_nb.tasks.embed import Embed
from mistral_nb.tasks.moderate import Moderate
from tests.fake_api import FakeApi, Fault, rules

MODEL = "mistral-embed"
DIMENSIONS = 1024
TOO_LONG = "word " * 9_000
TASK = Embed(context_tokens=8_192)


@pytest.fixture
def api(api: FakeApi) -> FakeApi:
    api.settings.embedding_dimension = DIMENSIONS
    return api


def plan_of(texts: Sequence[str], *, task: Any = TASK, model: str = MODEL, **options: Any) -> RowsPlan:
    distinct = DistinctTexts(np.arange(len(texts)), list(texts))
    return mistral_nb.session().plan(task, distinct, model=model, options=RunOptions(**options))


def run_of(texts: Sequence[str], **options: Any) -> RowsResult:
    return mistral_nb.session().run(plan_of(texts, **options)).execute()


def numbered(count: int) -> list[str]:
    return [f"text number {number}" for number in range(count)]


def inputs_of(api: FakeApi) -> list[list[str]]:
    return [request.body["input"] for request in api.requests if request.body is not None]


def sizes(api: FakeApi) -> list[int]:
    return [len(inputs) for inputs in inputs_of(api)]


def by_rule(texts: Sequence[str]) -> list[list[float]]:
    return [np.float32(rules.embed(text, DIMENSIONS)).tolist() for text in texts]


def vectors(result: RowsResult) -> list[Any]:
    return [None if value is None else np.frombuffer(value, np.float32).tolist() for value in result.values]


class TestSharing:
    def test_each_text_gets_its_own_vector(self, api: FakeApi) -> None:
        texts = numbered(300)

        assert vectors(run_of(texts)) == by_rule(texts)

    def test_as_many_share_a_request_as_go_into_it_from_the_first_on(self, api: FakeApi) -> None:
        run_of(numbered(300))

        assert sorted(sizes(api)) == [44, 128, 128]

    def test_the_tokens_of_a_request_are_bounded_too(self, api: FakeApi) -> None:
        run_of([f"{number} " + "a few words more " * 200 for number in range(30)])

        assert max(sizes(api)) < 10

    def test_a_text_that_may_be_too_long_is_sent_alone(self, api: FakeApi) -> None:
        run_of([*numbered(5), "word " * 3_000])

        assert sorted(sizes(api)) == [1, 5]

    def test_none_is_asked_again_to_compare(self, api: FakeApi) -> None:
        result = run_of(numbered(300))

        assert (sum(sizes(api)), result.audit) == (300, None)

    def test_fewer_share_a_request_where_the_caller_says_so(self, api: FakeApi) -> None:
        run_of(numbered(10), rows_per_request=4)

        assert sorted(sizes(api)) == [2, 4, 4]

    def test_no_more_share_a_request_than_the_api_takes(self, api: FakeApi) -> None:
        run_of(numbered(300), rows_per_request=100_000)

        assert max(sizes(api)) == 128

    def test_a_request_that_is_refused_as_too_large_is_sent_in_halves(self, api: FakeApi) -> None:
        api.settings.max_embedding_inputs = 40
        texts = numbered(100)

        assert vectors(run_of(texts)) == by_rule(texts)

    def test_a_text_that_is_too_long_loses_only_itself(self, api: FakeApi) -> None:
        result = run_of([*numbered(5), TOO_LONG])

        assert [type(error) for error in result.errors.values()] == [errors.PromptTooLong]
        assert vectors(result) == [*by_rule(numbered(5)), None]

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(lengths=st.lists(st.integers(1, 4_000), min_size=1, max_size=40), most=st.integers(1, 50))
    def test_however_long_they_are_none_is_lost_or_mixed_up(self, api: FakeApi, lengths: list[int], most: int) -> None:
        api.settings.max_embedding_inputs = most
        texts = [f"{number} {'word ' * length}" for number, length in enumerate(lengths)]

        assert vectors(run_of(texts, uses_cache=False)) == by_rule(texts)

    def test_a_server_that_fails_for_a_moment_is_asked_again(self, api: FakeApi) -> None:
        api.play(Fault(status=503, times=2))

        assert vectors(run_of(numbered(3))) == by_rule(numbered(3))

    def test_a_number_that_is_not_finite_is_an_error_of_its_text(self, api: FakeApi) -> None:
        entries = [{"index": index, "embedding": [0.5, value]} for index, value in enumerate([0.5, float("inf")])]
        api.play(Fault(status=200, body={"data": entries}), Fault(status=200, body={"data": entries[1:]}))
        result = run_of(numbered(2))

        assert (vectors(result), type(result.errors[1])) == ([[0.5, 0.5], None], errors.InvalidAnswer)


class TestKept:
    def test_a_second_run_costs_nothing(self, api: FakeApi) -> None:
        run_of(numbered(5))
        before = len(api.requests)

        assert vectors(run_of(numbered(5))) == by_rule(numbered(5))
        assert len(api.requests) == before

    def test_a_number_takes_four_bytes(self, api: FakeApi) -> None:
        run_of(numbered(5))
        with closing(sqlite3.connect(mistral_nb.session().cache.database.path)) as file:
            found = file.execute("SELECT typeof(value), length(value) FROM answers").fetchall()

        assert found == [("blob", 4 * DIMENSIONS)] * 5

    def test_a_vector_from_a_shared_request_is_good_for_a_text_asked_alone(self, api: FakeApi) -> None:
        run_of(numbered(5))
        run_of(numbered(5), rows_per_request=1)

        assert sizes(api) == [5]

    def test_all_that_is_kept_of_it_can_be_read(self, api: FakeApi) -> None:
        plan = plan_of(numbered(1))
        value = mistral_nb.session().run(plan).execute().values[0]
        (answer,) = mistral_nb.session().cache.answers(plan.keys).values()

        assert (answer.value, answer.verb, answer.model, answer.completion_tokens) == (value, "embed", MODEL, 0)

    def test_kept_vectors_take_little_more_memory_than_their_numbers(self, api: FakeApi) -> None:
        count = 2_000
        run_of(numbered(count))
        mistral_nb.session().close()
        tracemalloc.start()
        try:
            result = run_of(numbered(count))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert len(result.values) == count
        assert peak < 1.5 * count * DIMENSIONS * 4


class TestMoney:
    def test_the_receipt_counts_the_shared_requests(self, priced: FakeApi) -> None:
        receipt = mistral_nb.session().receipt(plan_of(numbered(300)))

        assert (receipt.requests, receipt.rows_per_request, receipt.completion_tokens_most) == (3, 128, 0)
        assert receipt.cost_usd_expected is not None
        assert 0 < receipt.cost_usd_expected <= (receipt.cost_usd_most or 0)

    def test_the_bill_is_what_the_api_counts(self, priced: FakeApi) -> None:
        result = run_of(numbered(300))
        tokens = sum(rules.count_tokens(text) for text in numbered(300))

        assert (result.usage.total_tokens, result.cost_usd) == (tokens, Decimal("0.1") * tokens / 1_000_000)

    def test_a_budget_ends_the_run_and_keeps_what_was_paid(self, priced: FakeApi) -> None:
        texts = [f"{number} " + "many words " * 100 for number in range(100)]
        result = run_of(texts, budget_usd=Decimal("0.001"))

        assert result.cost_usd is not None
        assert 0 < result.cost_usd <= Decimal("0.001")
        assert {type(error) for error in result.errors.values()} == {errors.BudgetReached}
        assert 0 < len(result.errors) < 100


class TestModeration:
    def test_texts_share_a_request_and_each_gets_its_own_categories(self, api: FakeApi) -> None:
        result = run_of(["I will punch you", "a nice day"], task=Moderate(), model="mistral-moderation-2603")

        assert [value["violence_and_threats"] for value in result.values] == [True, False]
        assert (result.values[0]["violence_and_threats_score"], sizes(api)) == (0.98, [2])

    @pytest.mark.usefixtures("embedded")
    def test_the_embedded_models_can_not(self) -> None:
        with pytest.raises(errors.NotSupported, match="MISTRAL_API_KEY"):
            run_of(["a text"], task=Moderate(), model="local-tiny")


@pytest.mark.usefixtures("embedded")
def test_the_embedded_models_vectors_are_those_of_the_session(embedded: Path) -> None:
    texts = ["The parcel never came.", "My invoice is wrong."]
    result = run_of(texts, task=Embed(context_tokens=512), model="local-embed")

    np.testing.assert_allclose(vectors(result), mistral_nb.session().embed(texts).vectors, rtol=1e-5)
