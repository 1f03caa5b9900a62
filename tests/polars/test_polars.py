"""What Polars frames have of their own: types, no index, lazy frames; the behaviour of verbs is tested beside pandas' own."""

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pytest

import mistral_nb.polars
from mistral_nb import errors
from tests.engine.row_runs import LABELS
from tests.fake_api import FakeApi, Fault
from tests.notebook.test_dtype_families import ORDER, Order

ROWS = ["billing, 12 days late", None, "a bug; number: 3"]
LABEL = pl.Enum(LABELS)
Ask = Callable[[Any], Any]


@pytest.fixture
def tickets() -> pl.DataFrame:
    kinds = pl.Series("kind", ["app", "lamp", "app"], dtype=pl.Categorical)
    return pl.DataFrame({"text": ROWS, "day": [3, 1, 3]}).with_columns(kinds)


def types(found: Any) -> Any:
    return found.dtype if isinstance(found, pl.Series) else dict(found.schema)


ANSWER = {
    "number": pl.Int64, "text": pl.String, "similarity": pl.Float64, "rows": pl.Int64, "position": pl.Int64, "is_cited": pl.Boolean
}  # fmt: skip
VERBS: dict[str, tuple[Ask, Any]] = {
    "classify": (lambda verbs: verbs.classify("text", LABELS), LABEL),
    "labels": (lambda verbs: verbs.classify("text", LABELS, multi_label=True), pl.List(pl.String)),
    "label columns": (
        lambda verbs: verbs.classify("text", LABELS, multi_label="columns"),
        dict.fromkeys(LABELS, pl.Boolean),
    ),
    "shares": (
        lambda verbs: verbs.classify("text", LABELS, multi_label=True, confidence=True),
        {
            "labels": pl.List(pl.String),
            "confidence": pl.Struct(dict.fromkeys(LABELS, pl.Float64)),
            "confidence_from": pl.Enum(["log-probabilities", "label scores", "votes"]),
        },
    ),
    "sentiment": (lambda verbs: verbs.sentiment("text"), pl.Enum(["negative", "neutral", "positive", "mixed"])),
    "score": (lambda verbs: verbs.score("text", "urgency"), pl.Float64),
    "filter": (lambda verbs: verbs.filter("text", "is urgent"), pl.Boolean),
    "summarize": (lambda verbs: verbs.summarize("text"), pl.String),
    "translate": (lambda verbs: verbs.translate("text", "de"), pl.String),
    "fix_grammar": (lambda verbs: verbs.fix_grammar("text"), pl.String),
    "ask": (lambda verbs: verbs.ask("{kind} of day {day}: {text}"), pl.String),
    "embed": (lambda verbs: verbs.embed("text"), pl.List(pl.Float32)),
    "similar": (lambda verbs: verbs.similar("text", to="kind"), pl.Float64),
    "search": (
        lambda verbs: verbs.search("text", "late"),
        {"text": pl.String, "similarity": pl.Float64, "position": pl.Int64},
    ),
    "mask": (lambda verbs: verbs.mask("text"), pl.String),
}


class TestTypes:
    @pytest.mark.parametrize("verb", VERBS)
    def test_every_verb_gives_polars_types(self, api: FakeApi, tickets: pl.DataFrame, verb: str) -> None:
        ask, expected = VERBS[verb]

        assert types(ask(tickets.mistral)) == expected

    def test_they_do_not_depend_on_the_values(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        nothing = tickets.with_columns(text=pl.lit(None))

        assert {verb: types(ask(nothing.mistral)) for verb, (ask, _) in VERBS.items()} == {
            verb: expected for verb, (_, expected) in VERBS.items()
        }

    def test_the_fields_of_a_schema_have_theirs(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        api.play(Fault(content=json.dumps(ORDER), times=None))
        found = tickets.mistral.extract("text", Order)

        assert found.schema["parts"] == pl.List(pl.Struct({"name": pl.String, "weight": pl.Float64}))
        assert (found["kind"].to_list(), found["parts"][0].to_list(), found["notes"].is_null().to_list()) == (
            ["invoice", None, "invoice"],
            [{"name": "bolt", "weight": 2.0}],
            [False, True, False],
        )

    def test_details_are_one_column_that_a_frame_takes(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        with_details = tickets.with_columns(topic=tickets.mistral.classify("text", LABELS, details=True))

        assert with_details["topic"].struct.field("value").to_list() == ["billing", None, "bug"]
        assert with_details["topic"].struct.field("prompt_tokens").dtype == pl.Int64

    @pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["a bug"]), pl.Object], ids=str)
    def test_every_kind_of_text_is_read(self, api: FakeApi, kind: Any) -> None:
        assert pl.Series("text", ["a bug", None], dtype=kind).mistral.classify(LABELS).to_list() == ["bug", None]

    def test_an_array_of_vectors_has_a_line_per_row(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        assert tickets.mistral.embed("text", as_array=True).shape == (3, 1024)

    def test_prices_are_a_frame_with_the_models_in_it(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        prices = tickets.mistral.compare_prices("text")

        assert (prices.columns[0], prices.schema["usd_per_1000_rows"]) == ("model", pl.Float64)


class TestWithoutAnIndex:
    def test_groups_have_their_keys_as_columns_of_their_own_type(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        found = tickets.mistral.summarize("text", by=["kind", "day"])

        assert found.select("kind", "day", "rows").rows() == [("app", 3, 2), ("lamp", 1, None)]
        assert (found.schema["kind"], found.schema["day"]) == (pl.Categorical, pl.Int64)

    def test_keys_may_be_a_series(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        found = tickets["text"].mistral.summarize(by=pl.Series("summary", [True, True, False]))

        assert found.columns == ["summary_of_group", "summary", "rows"]

    def test_so_may_some_of_a_frames(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        found = tickets.mistral.summarize("text", by=["kind", pl.Series("late", [True, False, False])])

        assert found.select("kind", "late", "rows").rows() == [
            ("app", False, 1),
            ("app", True, 1),
            ("lamp", False, None),
        ]

    def test_items_say_which_row_they_are_of(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        api.play(Fault(content=json.dumps(ORDER), times=None))
        found = tickets.mistral.extract("text", Order, explode="parts")

        assert found.select("row", "parts.name").rows() == [(0, "bolt"), (1, None), (2, "bolt")]

    def test_sources_are_found_by_position(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        answer = tickets.mistral.answer("why late?", "text", k=1)

        assert dict(answer.sources.schema) == ANSWER
        assert tickets[answer.sources["position"]]["text"].to_list() == [ROWS[0]]

    def test_failed_rows_have_their_number(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        api.play(Fault(content="no JSON", when="a bug"))
        with pytest.warns(mistral_nb.FailedRowsWarning):
            tickets.mistral.classify("text", LABELS)

        assert tickets.mistral.last_run.failed.select("row", "error").rows() == [(2, "InvalidAnswer")]

    def test_the_warning_of_them_points_at_the_readers_line(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        api.play(Fault(content="no JSON", times=None))
        with pytest.warns(mistral_nb.FailedRowsWarning) as caught:
            tickets.mistral.classify("text", LABELS)

        assert [warning.filename for warning in caught] == [__file__]


class TestLater:
    def test_a_batch_job_gives_polars(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        job = tickets.mistral.classify("text", LABELS, mode="batch", details=True)

        assert job.result().struct.field("value").to_list() == ["billing", None, "bug"]
        assert isinstance(tickets.mistral.last_job.failed, pl.DataFrame)

    def test_what_was_paid_for_through_pandas_costs_nothing(self, api: FakeApi, tickets: pl.DataFrame) -> None:
        pd.Series(ROWS).mistral.classify(LABELS)
        asked = len(api.requests)
        tickets.mistral.classify("text", LABELS)

        assert len(api.requests) == asked


class TestBadInput:
    @pytest.mark.parametrize(
        ("column", "cast"),
        [
            (pl.Series("n", [1]), "df['n'].cast(pl.String)"),
            (pl.Series("n", [b"a"]), "df['n'].cast(pl.String)"),
            (pl.Series("n", [["a"]]), "df['n'].list.join(\" \")"),
            (pl.Series("n", [object()], dtype=pl.Object), "df['n'].cast(pl.String)"),
        ],
        ids=["number", "bytes", "list", "object"],
    )
    def test_what_is_no_text_is_refused_with_the_cast_to_paste(self, column: pl.Series, cast: str) -> None:
        with pytest.raises(errors.NotText) as caught:
            column.to_frame().mistral.classify("n", LABELS)

        assert caught.value.remedy == f"If it should be read as text, cast it: {cast}"

    def test_another_column_that_is_no_text_is_refused_with_its_type(self) -> None:
        with pytest.raises(errors.NotText, match=r"'n' has dtype Float64, not text\.\n.*df\['n'\]\.cast\(pl\.String\)"):
            pl.DataFrame({"text": ["a"], "n": [1.5]}).mistral.similar("text", to="n")

    @pytest.mark.parametrize("verb", [("similar", "to"), ("summarize", "by")], ids=" ".join)
    def test_a_series_of_another_length_is_refused(self, api: FakeApi, verb: tuple[str, str]) -> None:
        name, option = verb
        with pytest.raises(errors.InvalidOption, match="The Series beside 2 rows has 3"):
            getattr(pl.Series(["a", "b"]).mistral, name)(**{option: pl.Series(["a", "b", "c"])})

        assert api.requests == []

    def test_a_lazy_frame_has_to_be_collected(self, tickets: pl.DataFrame) -> None:
        with pytest.raises(errors.NotCollected, match=r"Collect it first: df\.collect\(\)\.mistral\.classify"):
            tickets.lazy().mistral.classify("text", LABELS)

    def test_an_expression_is_no_column(self) -> None:
        with pytest.raises(errors.NotCollected, match=r'df\["text"\]\.mistral\.score'):
            pl.col("text").mistral.score("urgency")

    def test_without_polars_the_line_to_install_it_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "polars", None)
        monkeypatch.delitem(sys.modules, "mistral_nb.polars")

        with pytest.raises(errors.ExtraMissing, match=r'polars is not installed.*\npip install "mistral_nb\[polars\]"'):
            importlib.import_module("mistral_nb.polars")


def test_the_help_of_a_verb_says_what_is_polars_own() -> None:
    verb = pl.DataFrame.mistral.classify

    assert inspect.getdoc(verb).startswith("On Polars: where it says category, the type is an Enum")
    assert list(inspect.signature(verb).parameters)[:3] == ["self", "column", "labels"]
