"""``mask``, and ``mask=`` of the other verbs: what leaves the machine, and what comes back."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mistral_nb
from mistral_nb import errors
from mistral_nb.notebook.accessor import FrameVerbs
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")

TEXTS = [
    "Dear Anna, the parcel is late",
    "Write to anna@example.org",
    None,
    "Dear Ben, the parcel is late",
    "no secret here",
]
SECRETS = ["Anna", "anna@example.org", "Ben"]


@pytest.fixture
def texts() -> pd.Series:
    return pd.Series(TEXTS, index=[3, 3, 1, 7, 9], name="text")


def sent(api: FakeApi) -> str:
    return json.dumps([request.body for request in api.requests], ensure_ascii=False)


LETTERS = [
    "Dear Anna,\nthe parcel is late.\nRegards,\nBert Miller",
    "Hello Chloé, call +49 171 2345678\r\nthanks\r\nDora",
    None,
    '> Hi Emil and Fatima,\n> write to emil@example.org, "today"\n' + "The parcel is late. " * 80 + "Mr Gruber",
]
SECRETS_OF_LETTERS = [
    "Anna", "Bert", "Miller", "Chlo", "171", "2345678", "Dora", "Emil", "emil@", "Fatima", "Gruber",
]  # fmt: skip
COUNTED = {"NAME": 7, "PHONE": 1, "EMAIL": 1}
PROPOSAL = {"name": "x", "fields": [{"name": "who", "kind": "text", "choices": [], "description": "of [NAME_1]"}]}
# Of each verb what it is called with; for those that send nothing none.
CALLS: dict[str, list[dict[str, Any]]] = {
    "answer": [{"question": "Who wrote?"}],
    "ask": [{"template": "Answer: {text}"}],
    "classify": [
        {"labels": ["late", "lost"]},
        {"labels": ["late", "lost"], "rationale": True},
        {"labels": ["late", "lost"], "multi_label": True},
        {"labels": ["late", "lost"], "votes": 2, "escalate": "large"},
    ],
    "compare_prices": [],
    "embed": [{}],
    "extract": [{"schema": {"who": str}}],
    "filter": [{"condition": "is late"}],
    "fix_grammar": [{}],
    "mask": [],
    "moderate": [{}],
    "score": [{"criterion": "urgency"}],
    "search": [{"query": "late delivery"}],
    "sentiment": [{}, {"aspects": ["price"]}],
    "similar": [{"to": "late delivery"}],
    "suggest_schema": [{"what": "who wrote"}],
    "summarize": [{}, {"whole": True}, {"by": "product"}, {"max_words": 5}],
    "translate": [{"to": "fr"}],
}
VERBS = [name for name in vars(FrameVerbs) if not name.startswith("_")]
ALL_CALLS = [
    pytest.param(verb, options, id="-".join([verb, *options])) for verb in VERBS for options in CALLS.get(verb, [{}])
]


def called(verb: str, rows: list[str | None], **options: Any) -> Any:
    """Return what a verb gives for the rows, which are of one product where it is grouped by that."""
    frame = pd.DataFrame({"text": pd.Series(rows, dtype=object), "product": "lamp"})
    if verb == "ask":
        return frame.mistral.ask(**options)
    if "by" in options:
        return getattr(frame.mistral, verb)("text", **options)
    return getattr(frame["text"].mistral, verb)(**options)


@pytest.mark.parametrize(("verb", "options"), ALL_CALLS)
@pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")
class TestEveryVerb:
    def test_no_secret_is_sent(self, api: FakeApi, verb: str, options: dict[str, Any]) -> None:
        api.play(Fault(content=json.dumps(PROPOSAL), when=lambda request: "Propose the fields" in str(request.body)))
        called(verb, LETTERS, mask=True, **options)

        assert api.requests
        assert [secret for secret in SECRETS_OF_LETTERS if secret.lower() in sent(api).lower()] == []

    def test_what_was_masked_is_counted(self, api: FakeApi, verb: str, options: dict[str, Any]) -> None:
        receipt = called(verb, LETTERS, mask=True, dry_run=True, **options)

        assert receipt.masked.counts == COUNTED

    @pytest.mark.pandas_only  # a column of Polars holds no such text
    @pytest.mark.parametrize("mask", [False, True])
    def test_a_text_that_can_not_be_sent_loses_only_itself(
        self, api: FakeApi, verb: str, options: dict[str, Any], mask: bool
    ) -> None:
        api.play(Fault(content=json.dumps(PROPOSAL), when=lambda request: "Propose the fields" in str(request.body)))
        called(verb, ["Dear Anna, half \ud83d", "Dear Ben, it is late"], mask=mask, **options)
        failed = mistral_nb.session().last_run.failed

        assert "it is late" in sent(api)
        assert failed["error"].eq("InvalidInput").sum() == (0 if verb == "suggest_schema" else 1)


class TestMask:
    def test_texts_come_back_masked_and_nothing_is_sent(self, api: FakeApi, texts: pd.Series) -> None:
        masked = texts.mistral.mask()

        assert masked.fillna("-").tolist() == [
            "Dear [NAME_1], the parcel is late", "Write to [EMAIL_1]", "-", "Dear [NAME_1], the parcel is late", "no secret here",
        ]  # fmt: skip
        assert api.requests == []

    def test_index_name_and_type_are_those_of_a_text_column(self, texts: pd.Series) -> None:
        masked = texts.mistral.mask()

        assert (masked.index.tolist(), masked.name, masked.dtype) == ([3, 3, 1, 7, 9], "text", "str")

    def test_the_frame_door_gives_the_same(self, texts: pd.Series) -> None:
        pd.testing.assert_series_equal(texts.to_frame().mistral.mask("text"), texts.mistral.mask())

    def test_what_was_masked_is_said(self, texts: pd.Series, capsys: pytest.CaptureFixture[str]) -> None:
        texts.mistral.mask()

        assert capsys.readouterr().out == "Masked: 2 names and 1 e-mail address in 3 of 4 texts.\n"

    def test_details_count_by_row_and_tell_what_stands_for_what(self, texts: pd.Series) -> None:
        details = texts.mistral.mask(details=True)

        assert details.columns.tolist() == [
            "value", "name", "address", "email", "phone", "iban", "card", "account", "originals",
        ]  # fmt: skip
        assert details["name"].tolist() == [1, 0, pd.NA, 1, 0]
        assert details["originals"].tolist() == [
            {"[NAME_1]": "Anna"},
            {"[EMAIL_1]": "anna@example.org"},
            None,
            {"[NAME_1]": "Ben"},
            {},
        ]

    def test_listed_names_are_masked_too(self) -> None:
        assert pd.Series(["ask Contoso"]).mistral.mask(names=["Contoso"]).tolist() == ["ask [NAME_1]"]

    @pytest.mark.parametrize("dtype", ["object", "string"])
    def test_names_of_a_column_can_be_listed_of_which_some_are_missing(self, dtype: str) -> None:
        customers = pd.Series(["Contoso", None], dtype=dtype)

        assert pd.Series(["ask Contoso"]).mistral.mask(names=customers).tolist() == ["ask [NAME_1]"]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"names": "Anna"}, "names is 'Anna'"),
            ({"names": [5]}, "name 5"),
            ({"details": 1}, "details is 1"),
            ({"model": "x"}, "model="),
        ],
    )
    def test_options_that_can_not_be_are_refused(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(errors.InvalidOption, match=said):
            pd.Series(["a"]).mistral.mask(**options)

    @pytest.mark.pandas_only
    def test_a_text_that_can_not_be_sent_is_masked_too(self) -> None:
        masked = pd.Series(["Dear Anna, half \ud83d", "Dear Ben,"], dtype=object).mistral.mask()

        assert masked.tolist() == ["Dear [NAME_1], half \ud83d", "Dear [NAME_1],"]

    def test_an_empty_column_stays_one(self) -> None:
        assert pd.Series([], dtype="str").mistral.mask(details=True).shape == (0, 9)


class TestMaskOption:
    def test_no_secret_is_sent(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.summarize(mask=True)

        assert not any(secret in sent(api) for secret in SECRETS)

    def test_answers_have_the_originals(self, api: FakeApi, texts: pd.Series) -> None:
        answers = texts.mistral.summarize(mask=True)

        assert answers.fillna("-").tolist() == [
            "Answer to: Dear Anna, the parcel is late", "Answer to: Write to anna@example.org", "-",
            "Answer to: Dear Ben, the parcel is late", "Answer to: no secret here",
        ]  # fmt: skip
        assert (answers.dtype, answers.index.tolist(), answers.name) == ("str", [3, 3, 1, 7, 9], "text")

    def test_rows_that_differ_in_nothing_but_a_name_are_asked_once(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.summarize(mask=True)

        assert len(api.requests) == 3

    def test_nothing_of_a_secret_is_kept(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.summarize(mask=True)
        with closing(sqlite3.connect(mistral_nb.session().settings.home / "mistral_nb.sqlite")) as file:
            tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            kept = repr([file.execute(f"SELECT * FROM {table}").fetchall() for table in tables])

        assert "Answer to" in kept
        assert not any(secret in kept for secret in SECRETS)

    def test_what_was_masked_is_said_before_the_run(
        self, api: FakeApi, texts: pd.Series, capsys: pytest.CaptureFixture[str]
    ) -> None:
        texts.mistral.summarize(mask=True)

        assert "Masked: 2 names and 1 e-mail address in 3 of 4 texts." in capsys.readouterr().out

    def test_the_receipt_says_it_too(self, api: FakeApi, texts: pd.Series) -> None:
        receipt = texts.mistral.summarize(mask=True, dry_run=True)

        assert "2 names and 1 e-mail address in 3 of 4 texts" in str(receipt)
        assert (receipt.unique, api.requests) == (3, [])

    def test_the_last_run_says_it_too(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.summarize(mask=True)
        run = texts.mistral.last_run

        assert run.masked.counts == {"NAME": 2, "EMAIL": 1}
        assert "masked: 2 names" in repr(run)

    def test_without_it_nothing_is_masked(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.summarize()

        assert all(secret in sent(api) for secret in SECRETS)
        assert texts.mistral.last_run.masked is None

    def test_listed_names_are_masked_too(self, api: FakeApi) -> None:
        answers = pd.Series(["ask Contoso"]).mistral.summarize(mask=["Contoso"])

        assert ("Contoso" in sent(api), answers.tolist()) == (False, ["Answer to: ask Contoso"])

    def test_details_have_the_originals(self, api: FakeApi, texts: pd.Series) -> None:
        details = texts.mistral.summarize(mask=True, details=True)

        assert details["value"].iloc[3] == "Answer to: Dear Ben, the parcel is late"

    def test_a_run_in_the_background_gives_the_same(self, api: FakeApi, texts: pd.Series) -> None:
        answers = texts.mistral.summarize(mask=True, background=True).result()

        pd.testing.assert_series_equal(answers, texts.mistral.summarize(mask=True))

    @pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")
    def test_retry_masks_and_restores_as_well(self, api: FakeApi) -> None:
        texts = pd.Series(["Dear Anna, hello", "Dear Anna, goodbye"])
        api.play(Fault(status=400, body={"message": "bad"}))
        texts.mistral.summarize(mask=True)
        answers = texts.mistral.last_run.retry()

        assert answers.tolist() == ["Answer to: Dear Anna, hello", "Answer to: Dear Anna, goodbye"]
        assert "Anna" not in sent(api)

    def test_values_of_a_template_are_masked_one_by_one_and_numbered_together(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"name": ['ask\nContoso "now"'], "text": ["Hello,\nanna@example.org and Contoso"]})
        answers = frame.mistral.ask("{name}: {text}", mask=["Contoso"])

        assert answers.tolist() == ['Answer to: ask Contoso "now": Hello, anna@example.org and Contoso']
        assert api.requests[0].text == 'ask\n[NAME_1] "now": Hello,\n[EMAIL_1] and [NAME_1]'

    def test_an_answer_for_many_rows_has_the_originals_of_all(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"product": ["a", "a"], "text": ["Dear Anna, hello", "Dear Ben, hello"]})
        summary = frame.mistral.summarize("text", by="product", mask=True)

        assert [name in repr(summary.to_dict()) for name in ("Anna", "Ben")] == [True, True]
        assert not any(secret in sent(api) for secret in SECRETS)

    def test_labels_are_left_as_they_are(self, api: FakeApi) -> None:
        labels = pd.Series(["Dear Anna, a bug"]).mistral.classify(["bug", "[NAME_1]"], mask=True)

        assert labels.cat.categories.tolist() == ["bug", "[NAME_1]"]

    @pytest.mark.parametrize(
        ("options", "column", "expected"),
        [
            ({"multi_label": True}, None, ["bug", "NAME_1"]),
            ({"multi_label": True, "details": True}, "value", ["bug", "NAME_1"]),
            ({"multi_label": True, "votes": 2, "confidence": True}, "labels", ["bug", "NAME_1"]),
            ({"multi_label": True, "votes": 2, "confidence": True}, "confidence", {"bug": 1.0, "NAME_1": 1.0}),
            ({"multi_label": "columns", "votes": 2, "confidence": True}, "confidence", {"bug": 1.0, "NAME_1": 1.0}),
        ],
    )
    def test_labels_in_lists_are_left_as_they_are(
        self, api: FakeApi, options: dict[str, Any], column: str | None, expected: Any
    ) -> None:
        text = pd.Series(["Dear Anna, a bug, see NAME 1"])
        found = text.mistral.classify(["bug", "NAME_1"], mask=True, **options)
        cell = (found if column is None else found[column])[0]

        assert (list(cell) if isinstance(expected, list) else dict(cell)) == expected

    def test_a_query_is_masked_as_the_rows_are(self, api: FakeApi) -> None:
        texts = pd.Series(["from anna@example.org", "something else"])
        found = texts.mistral.search("anna@example.org", k=1, mask=True)

        assert (found["text"].tolist(), "anna" in sent(api)) == (["from anna@example.org"], False)

    @pytest.mark.parametrize(
        ("verb", "options"),
        [
            ("search", {"query": "mail of anna@example.org"}),
            ("similar", {"to": "mail of anna@example.org"}),
            ("answer", {"question": "mail of anna@example.org?"}),
        ],
    )
    def test_what_is_masked_beside_the_column_is_counted_too(
        self, api: FakeApi, capsys: pytest.CaptureFixture[str], verb: str, options: dict[str, str]
    ) -> None:
        called(verb, ["hello", "Dear Ben,"], mask=True, **options)

        assert "Masked: 1 name and 1 e-mail address in 2 of 3 texts." in capsys.readouterr().out

    @pytest.mark.parametrize("verb", ["search", "summarize"])
    def test_names_that_can_be_read_but_once_are_refused(self, api: FakeApi, verb: str) -> None:
        options = {"query": "Contoso"} if verb == "search" else {}
        with pytest.raises(errors.InvalidOption, match="mask is a generator"):
            called(verb, ["ask Contoso"], mask=(name for name in ["Contoso"]), **options)

    def test_both_columns_are_masked(self, api: FakeApi) -> None:
        pd.Series(["anna@example.org"]).mistral.similar(to=pd.Series(["Dear Anna, hello"]), mask=True)
        pd.Series(["anna@example.org"]).mistral.similar(to="Dear Anna, hello", mask=True)

        assert "nna" not in sent(api)

    @pytest.mark.parametrize("mask", ["Anna", 1, None, [5]], ids=repr)
    def test_anything_else_is_refused(self, api: FakeApi, mask: Any) -> None:
        with pytest.raises(errors.InvalidOption):
            pd.Series(["a"]).mistral.summarize(mask=mask)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.sampled_from(["a@b.org", "c@d.org", "[EMAIL_1]", "email_2", "Dr. May", "NAME_1", "x"]), max_size=5
        ).map(" ".join),
        min_size=1,
        max_size=6,
    )
)
def test_each_row_gets_its_own_originals_back(api: FakeApi, rows: list[str]) -> None:
    answers = pd.Series(rows, dtype="object").mistral.summarize(mask=True)
    expected = [f"Answer to: {' '.join(row.split()[:12])}" if row.strip() else None for row in rows]

    assert answers.astype("object").where(answers.notna(), None).tolist() == expected


@pytest.mark.usefixtures("embedded")
def test_the_embedded_model_answers_about_masked_texts() -> None:
    answers = pd.Series(["Dear Anna, the parcel never came"]).mistral.summarize(max_words=8, mask=True)

    assert answers.notna().all()
