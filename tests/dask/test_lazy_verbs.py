"""Verbs on Dask's frames, computed in this process: what is asked when, and what comes of it."""

import importlib
import sys
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
import pytest

import mistral_nb
import mistral_nb.dask
from mistral_nb.dask import accessor as lazy_accessor
from mistral_nb.errors import (
    ExtraMissing,
    InvalidLabels,
    InvalidOption,
    NotSupported,
    NotText,
    RowsFailed,
    UnknownColumn,
)
from mistral_nb.notebook.accessor import FrameVerbs, SeriesVerbs
from tests.engine.row_runs import until
from tests.fake_api import FakeApi, Fault

LABELS = ["bill", "parcel"]
# Every verb that gives something for each row, in each form that it has.
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "classify": ("classify", {"labels": LABELS}),
    "classify with confidence": ("classify", {"labels": LABELS, "confidence": True}),
    "classify with votes": ("classify", {"labels": LABELS, "votes": 2, "confidence": True}),
    "classify with lists": ("classify", {"labels": LABELS, "multi_label": True}),
    "classify in columns": ("classify", {"labels": LABELS, "multi_label": "columns"}),
    "classify by two models": ("classify", {"labels": LABELS, "model": "ministral", "escalate": "large"}),
    "sentiment": ("sentiment", {}),
    "sentiment by aspect": ("sentiment", {"aspects": ["price", "service"]}),
    "score": ("score", {"criterion": "urgency"}),
    "filter": ("filter", {"condition": "is about money"}),
    "summarize": ("summarize", {}),
    "extract": ("extract", {"schema": {"name": str, "amount": float, "count": int}}),
    "extract lists": ("extract", {"schema": {"names": list[str], "count": int}, "explode": "names"}),
    "translate": ("translate", {"to": "fr"}),
    "fix_grammar": ("fix_grammar", {}),
    "embed": ("embed", {}),
    "similar": ("similar", {"to": "other"}),
    "moderate": ("moderate", {}),
    "mask": ("mask", {}),
    "masked": ("classify", {"labels": LABELS, "mask": True}),
    "details": ("classify", {"labels": LABELS, "details": True}),
}


@pytest.fixture(autouse=True)
def _here() -> Any:
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture
def lazy() -> Any:
    texts = ["a bill", "a parcel", None, "the bill again", "a bill", "no parcel came"]
    frame = pd.DataFrame({"id": range(6), "text": texts, "other": ["a parcel"] * 6}, index=range(10, 16))
    return dd.from_pandas(frame, npartitions=3)


@pytest.fixture
def frame(lazy: Any) -> pd.DataFrame:
    """Return the same frame on pandas, with the dtypes that Dask gives it."""
    computed: pd.DataFrame = lazy.compute()
    return computed


@pytest.mark.parametrize("name", CALLS)
def test_a_verb_gives_what_it_gives_on_pandas_and_knows_its_form_without_asking(
    name: str, api: FakeApi, frame: pd.DataFrame, lazy: Any
) -> None:
    verb, arguments = CALLS[name]

    found = getattr(lazy.mistral, verb)("text", **arguments)
    asked = len(api.requests)
    on_pandas = getattr(frame.mistral, verb)("text", **arguments)
    computed = found.compute()

    assert asked == 0
    assert str(found.dtypes) == str(computed.dtypes)
    paid_once = ["from_cache", "prompt_tokens", "completion_tokens", "cost_usd"]
    if isinstance(computed, pd.DataFrame):
        shown = [column for column in computed if name != "details" or column not in paid_once]
        pd.testing.assert_frame_equal(computed[shown], on_pandas[shown])
    else:
        pd.testing.assert_series_equal(computed, on_pandas)


def test_a_series_has_the_same_verbs(api: FakeApi, lazy: Any) -> None:
    computed = lazy["text"].mistral.classify(LABELS).compute()

    assert computed.dtype == lazy.mistral.classify("text", LABELS).dtype
    assert computed.tolist()[:2] == ["bill", "parcel"]


def test_two_series_are_compared_partition_by_partition(api: FakeApi, frame: pd.DataFrame, lazy: Any) -> None:
    computed = lazy["text"].mistral.similar(to=lazy["other"]).compute()

    pd.testing.assert_series_equal(computed, frame.mistral.similar("text", to="other"))


def test_a_prompt_takes_values_of_several_columns(api: FakeApi, frame: pd.DataFrame, lazy: Any) -> None:
    computed = lazy.mistral.ask("Say {id} of {text}").compute()

    pd.testing.assert_series_equal(computed, frame.mistral.ask("Say {id} of {text}"))


def test_a_text_of_two_partitions_is_paid_for_once(api: FakeApi, lazy: Any) -> None:
    lazy.mistral.classify("text", LABELS).compute()

    assert len(api.requests) == 4


def test_text_that_dask_knows_only_as_objects_is_text(api: FakeApi, frame: pd.DataFrame, lazy: Any) -> None:
    objects = lazy["text"].map_partitions(lambda part: part.astype(object), meta=("text", object))

    assert objects.mistral.classify(LABELS).compute().tolist() == frame.mistral.classify("text", LABELS).tolist()


def test_labels_that_can_be_read_but_once_do_for_all_partitions(api: FakeApi, lazy: Any) -> None:
    computed = lazy.mistral.classify("text", (label for label in LABELS)).compute()

    assert computed.tolist()[:2] == ["bill", "parcel"]


@pytest.mark.parametrize("name", ["last_run", "last_job"])
def test_what_only_a_run_in_memory_has_is_not_there_and_why(lazy: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=f"There is no {name} on Dask.*\n?.*details=True"):
        getattr(lazy.mistral, name)


def test_what_is_computed_again_costs_nothing(api: FakeApi, lazy: Any) -> None:
    column = lazy.mistral.classify("text", LABELS)
    column.compute()
    asked = len(api.requests)

    column.compute(scheduler="threads")

    assert len(api.requests) == asked


def test_a_verb_reads_its_column_alone(api: FakeApi, lazy: Any) -> None:
    assert lazy.mistral.classify("text", LABELS).optimize().expr.frame.columns == ["text"]


def test_the_same_call_has_the_same_name(api: FakeApi, lazy: Any) -> None:
    first, second, other = (lazy.mistral.classify("text", labels) for labels in (LABELS, LABELS, ["a", "b"]))

    assert first._name == second._name != other._name
    assert first._name.startswith("mistral_classify-")


def test_search_finds_the_nearest_rows_of_all_partitions(api: FakeApi, frame: pd.DataFrame, lazy: Any) -> None:
    found = lazy.mistral.search("text", "bill", k=3)

    on_pandas = frame.mistral.search("text", "bill", k=3).drop(columns="position")
    pd.testing.assert_frame_equal(found.compute(), on_pandas)


def test_a_budget_holds_for_all_partitions_together(priced: FakeApi) -> None:
    lazy = dd.from_pandas(pd.DataFrame({"text": [f"bill {number}" for number in range(40)]}), npartitions=4)

    with pytest.warns(mistral_nb.FailedRowsWarning, match="BudgetReached"):
        bounded = lazy.mistral.classify("text", LABELS, budget_usd=0.0003, details=True).compute()

    assert 0.0002 < bounded["cost_usd"].sum() <= 0.0003  # each partition alone would cost less


def test_failed_rows_are_told_by_partition(api: FakeApi, lazy: Any) -> None:
    api.play(Fault(status=400, when="again"))

    with pytest.warns(mistral_nb.FailedRowsWarning, match="1 of 2 rows failed"):
        computed = lazy.mistral.classify("text", LABELS).compute()

    assert computed.isna().tolist() == [False, False, True, True, False, False]


def test_failed_rows_can_be_raised(api: FakeApi, lazy: Any) -> None:
    api.play(Fault(status=400, when="again"))

    with pytest.raises(RowsFailed, match="1 of 2 rows failed"):
        lazy.mistral.classify("text", LABELS, errors="raise").compute()


def test_what_nobody_waits_for_any_more_is_not_asked(api: FakeApi, lazy: Any) -> None:
    api.settings.latency_hook = lambda body: 0 if "again" in str(body["messages"]) else 600
    api.play(Fault(status=400, when="again"))

    with pytest.raises(RowsFailed):
        lazy.mistral.classify("text", LABELS, errors="raise").compute(scheduler="threads", num_workers=3)

    until(lambda: api.stats.in_flight == 0)


def test_the_users_last_run_stays_theirs(api: FakeApi, frame: pd.DataFrame, lazy: Any) -> None:
    frame.mistral.sentiment("text")

    lazy.mistral.classify("text", LABELS).compute()

    assert frame.mistral.last_run.result.verb == "sentiment"


def test_a_new_category_of_moderation_is_left_out_and_told(
    api: FakeApi, frame: pd.DataFrame, lazy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lazy_answer = lazy.mistral.moderate("text")
    known = list(lazy_answer.columns)
    call = next(op for op in lazy_answer.expr.operands if isinstance(op, mistral_nb.dask.call.VerbCall))
    given = frame.mistral.moderate("text").drop(columns="law").assign(rudeness=True)

    with pytest.warns(UserWarning, match="left out: rudeness"):
        found = mistral_nb.dask.call._with_columns(given, call.columns, "moderate")

    assert list(found.columns) == known
    assert found["law"].isna().all()
    assert str(found["law"].dtype) == "boolean"


@pytest.mark.parametrize(
    ("verb", "arguments", "remedy"),
    [
        ("answer", {"question": "Why?"}, r"ddf\.mistral\.search"),
        ("suggest_schema", {"what": "names"}, r"ddf\.head\(1000"),
        ("compare_prices", {}, r"ddf\.head\(400"),
        ("summarize", {"whole": True}, "whole=True"),
        ("summarize", {"by": "id"}, 'by="group"'),
    ],
)
def test_a_verb_on_all_rows_at_once_is_refused_with_what_to_do(
    verb: str, arguments: dict[str, Any], remedy: str, lazy: Any
) -> None:
    with pytest.raises(NotSupported, match=remedy):
        getattr(lazy.mistral, verb)(column="text", **arguments)


@pytest.mark.parametrize(
    "option",
    [{"dry_run": True}, {"background": True}, {"mode": "batch"}, {"preview": 3}],
    ids=lambda one: next(iter(one)),
)
def test_an_option_on_all_rows_at_once_is_refused(option: dict[str, Any], lazy: Any) -> None:
    with pytest.raises(InvalidOption):
        lazy.mistral.classify("text", LABELS, **option)


def test_vectors_of_all_rows_at_once_are_refused(lazy: Any) -> None:
    with pytest.raises(InvalidOption, match=r"numpy\.vstack"):
        lazy.mistral.embed("text", as_array=True)


def test_what_is_wrong_with_a_call_is_said_at_once(api: FakeApi, lazy: Any) -> None:
    with pytest.raises(UnknownColumn, match="Did you mean 'text'"):
        lazy.mistral.classify("txt", LABELS)
    with pytest.raises(InvalidLabels):
        lazy.mistral.classify("text", ["one"])
    with pytest.raises(NotText):
        lazy.mistral.classify("id", LABELS)
    with pytest.raises(InvalidOption, match="Did you mean labels="):
        lazy.mistral.classify("text", label=LABELS)
    with pytest.raises(TypeError, match="classify: missing a required argument: 'labels'"):
        lazy.mistral.classify("text")


def test_a_blocks_budget_is_refused_as_the_block_ends_too_early(priced: FakeApi, lazy: Any) -> None:
    with mistral_nb.spend("study", budget_usd=1), pytest.raises(InvalidOption, match="budget_usd=5"):
        lazy.mistral.classify("text", LABELS)


def test_a_blocks_tag_is_kept(api: FakeApi, lazy: Any) -> None:
    with mistral_nb.spend("study"):
        column = lazy.mistral.classify("text", LABELS)
    column.compute()

    assert mistral_nb.usage(tag="study", by="verb")["requests"].to_dict() == {"classify": 4}


def test_tab_completion_shows_the_verbs_parameters(lazy: Any) -> None:
    import inspect

    assert list(inspect.signature(lazy.mistral.classify).parameters)[:2] == ["column", "labels"]
    assert "Lazy" in (lazy.mistral.classify.__doc__ or "")


def test_without_dask_the_line_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "mistral_nb.dask")

    with pytest.raises(ExtraMissing, match=r'distributed is not installed.*\npip install "mistral_nb\[dask\]"'):
        importlib.import_module("mistral_nb.dask")


@pytest.mark.parametrize(
    ("lazy_verbs", "verbs"),
    [(lazy_accessor.FrameVerbs, FrameVerbs), (lazy_accessor.SeriesVerbs, SeriesVerbs)],
    ids=["frame", "series"],
)
def test_each_verb_of_pandas_is_there(lazy_verbs: type, verbs: type) -> None:
    def names(accessor: type) -> set[str]:
        return {name for name in dir(accessor) if callable(getattr(accessor, name)) and not name.startswith("_")}

    assert names(lazy_verbs) == names(verbs)
