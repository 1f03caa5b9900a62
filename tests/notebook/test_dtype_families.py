"""Columns of pyarrow's, and of pandas' "string", give values of their own family; every verb that gives columns."""

import json
from collections.abc import Callable
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pytest
from pydantic import BaseModel

import mistral_nb
from tests.engine.row_runs import LABELS
from tests.fake_api import FakeApi, Fault

TEXT = pd.ArrowDtype(pa.string())
ROWS = ["billing: 12 of late delivery, name: Anna", None, "a bug; number: 3; name: Bo"]


class Part(BaseModel):
    name: str
    weight: float


class Order(BaseModel):
    number: int
    kind: Literal["invoice", "reminder"]
    parts: list[Part]
    notes: dict[str, int]
    other: int | str


ORDER = {
    "number": 3,
    "kind": "invoice",
    "parts": [{"name": "bolt", "weight": 2}],
    "notes": [{"key": "a", "value": 1}],
    "other": 7,
}

Ask = Callable[[Any], Any]


@pytest.fixture
def column() -> "pd.Series[Any]":
    return pd.Series(ROWS, dtype=TEXT, name="text")


def dtypes(found: Any) -> Any:
    return str(found.dtype) if isinstance(found, pd.Series) else found.dtypes.astype(str).to_dict()


SHARES = f"struct<{', '.join(f'{label}: double' for label in LABELS)}>[pyarrow]"
VERBS: list[tuple[str, Ask, Any]] = [
    ("classify", lambda verbs: verbs.classify(LABELS), "category"),
    ("labels", lambda verbs: verbs.classify(LABELS, multi_label=True), "list<item: string>[pyarrow]"),
    ("label columns", lambda verbs: verbs.classify(LABELS, multi_label="columns"), dict.fromkeys(LABELS, "bool[pyarrow]")),
    (
        "confidence",
        lambda verbs: verbs.classify(LABELS, confidence=True, rationale=True, votes=2),
        {"label": "category", "confidence": "double[pyarrow]", "confidence_from": "category", "rationale": "string[pyarrow]"},
    ),
    (
        "shares",
        lambda verbs: verbs.classify(LABELS, multi_label=True, confidence=True),
        {"labels": "list<item: string>[pyarrow]", "confidence": SHARES, "confidence_from": "category"},
    ),
    ("sentiment", lambda verbs: verbs.sentiment(), "category"),
    ("score", lambda verbs: verbs.score("urgency"), "double[pyarrow]"),
    ("filter", lambda verbs: verbs.filter("is urgent"), "bool[pyarrow]"),
    ("summarize", lambda verbs: verbs.summarize(), "string[pyarrow]"),
    ("summarize by", lambda verbs: verbs.summarize(by=[1, 1, 2]), {"summary": "string[pyarrow]", "rows": "int64[pyarrow]"}),
    ("translate", lambda verbs: verbs.translate("de"), "string[pyarrow]"),
    ("fix_grammar", lambda verbs: verbs.fix_grammar(), "string[pyarrow]"),
    ("ask", lambda verbs: verbs.ask("Reply to: {text}"), "string[pyarrow]"),
    ("embed", lambda verbs: verbs.embed(), "large_list<item: float>[pyarrow]"),
    ("similar", lambda verbs: verbs.similar(to="late"), "double[pyarrow]"),
    (
        "search",
        lambda verbs: verbs.search("late"),
        {"text": "string[pyarrow]", "similarity": "double[pyarrow]", "position": "int64[pyarrow]"},
    ),
    (
        "answer",
        lambda verbs: verbs.answer("why?").sources,
        {
            "number": "int64[pyarrow]",
            "text": "string[pyarrow]",
            "similarity": "double[pyarrow]",
            "rows": "int64[pyarrow]",
            "position": "int64[pyarrow]",
            "is_cited": "bool[pyarrow]",
        },
    ),
    ("mask", lambda verbs: verbs.mask(), "string[pyarrow]"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::mistral_nb.FailedRowsWarning")
class TestArrow:
    @pytest.mark.parametrize(("ask", "expected"), [case[1:] for case in VERBS], ids=[case[0] for case in VERBS])
    def test_every_verb_gives_arrow(self, api: FakeApi, column: "pd.Series[Any]", ask: Ask, expected: Any) -> None:
        assert dtypes(ask(column.mistral)) == expected

    def test_where_there_is_nothing_it_is_the_same(self, api: FakeApi, column: "pd.Series[Any]") -> None:
        nothing, no_rows = column.where(column.isna()), column.head(0)
        verbs = [(ask, expected) for name, ask, expected in VERBS if name not in {"answer", "summarize by"}]

        assert [(dtypes(ask(nothing.mistral)), dtypes(ask(no_rows.mistral))) for ask, _ in verbs] == [
            (expected, expected) for _, expected in verbs
        ]
        assert api.requests == []

    def test_the_columns_of_moderation_are_arrows(self, api: FakeApi, column: "pd.Series[Any]") -> None:
        assert set(column.mistral.moderate().dtypes.astype(str)) == {"bool[pyarrow]", "double[pyarrow]"}

    def test_details_are_arrows(self, api: FakeApi, column: "pd.Series[Any]") -> None:
        details = column.mistral.score("urgency", details=True)

        assert set(details.dtypes.astype(str)) == {
            "string[pyarrow]",
            "bool[pyarrow]",
            "int64[pyarrow]",
            "double[pyarrow]",
        }
        assert details["prompt_tokens"].isna().tolist() == [False, True, False]

    @pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
    def test_text_is_of_the_columns_own_type(self, api: FakeApi, kind: pa.DataType) -> None:
        column = pd.Series(["a", None], dtype=pd.ArrowDtype(kind))
        expected = kind.value_type if pa.types.is_dictionary(kind) else kind

        assert column.mistral.summarize().dtype == pd.ArrowDtype(expected)

    def test_vectors_are_the_same_as_in_arrays(self, api: FakeApi, column: "pd.Series[Any]") -> None:
        arrays = column.astype("str").mistral.embed()
        lists = column.mistral.embed()

        assert [None if row is pd.NA else row for row in lists] == [
            None if row is None else row.tolist() for row in arrays
        ]

    def test_what_the_answers_hold_is_in_the_dtype(self, api: FakeApi, column: "pd.Series[Any]") -> None:
        api.play(Fault(content=json.dumps(ORDER), times=None))
        found = column.mistral.extract(Order)

        assert dtypes(found) == {
            "number": "int64[pyarrow]",
            "kind": "category",
            "parts": "list<item: struct<name: string, weight: double>>[pyarrow]",
            "notes": "map<string, int64>[pyarrow]",
            "other": "string[pyarrow]",
        }
        assert found.iloc[0].tolist() == [3, "invoice", [{"name": "bolt", "weight": 2.0}], [("a", 1)], "7"]
        assert found.iloc[1].isna().all()

    def test_items_have_rows_of_their_own(self, api: FakeApi, column: "pd.Series[Any]") -> None:
        api.play(Fault(content=json.dumps(ORDER), times=None))
        found = column.mistral.extract(Order, explode="parts")

        assert (found["parts.name"].fillna("-").tolist(), str(found["parts.weight"].dtype)) == (
            ["bolt", "-", "bolt"],
            "double[pyarrow]",
        )

    def test_what_was_masked_comes_back(self, api: FakeApi) -> None:
        column = pd.Series(["Dear Anna, hello"], dtype=TEXT)
        api.play(Fault(content="[NAME_1] is greeted", times=None))

        assert column.mistral.summarize(mask=True).tolist() == ["Anna is greeted"]

    def test_originals_are_pairs(self) -> None:
        masked = pd.Series(["Dear Anna, hello", None], dtype=TEXT).mistral.mask(details=True)

        assert (str(masked["name"].dtype), masked["originals"].tolist()) == (
            "int64[pyarrow]",
            [[("[NAME_1]", "Anna")], pd.NA],
        )

    def test_failed_rows_are_filled_when_they_are_asked_again(self, api: FakeApi, column: "pd.Series[Any]") -> None:
        api.play(Fault(content="no JSON", when="a bug"))
        column.mistral.classify(LABELS, multi_label=True)
        whole = mistral_nb.session().last_run.retry()

        assert whole.tolist() == [["billing", "delivery"], pd.NA, ["bug"]]


@pytest.mark.parametrize("storage", ["python", "pyarrow"])
class TestString:
    def test_text_is_string(self, api: FakeApi, storage: str) -> None:
        dtype = pd.StringDtype(storage)

        assert pd.Series(["a", None], dtype=dtype).mistral.translate("de").dtype == dtype

    def test_numbers_are_of_the_family_that_has_na(self, api: FakeApi, storage: str) -> None:
        assert str(pd.Series(["a"], dtype=pd.StringDtype(storage)).mistral.score("urgency").dtype) == "Float64"


def test_the_usual_text_gives_the_usual_text(api: FakeApi) -> None:
    assert pd.Series(["a", None], dtype="str").mistral.translate("de").dtype == "str"


def test_a_prompt_over_columns_of_arrow_gives_arrow(api: FakeApi) -> None:
    frame = pd.DataFrame({"tone": ["kind"], "count": pd.array([3], dtype="int64[pyarrow]")})

    assert str(frame.mistral.ask("{tone}, {count} words").dtype) == "string[pyarrow]"
