"""Models and prompts beside each other, asked through the fake API."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mistral_nb
from mistral_nb.errors import BudgetReached, InvalidOption, NotCollected, UnknownColumn, UnknownPrice
from mistral_nb.evaluation.comparison import Comparison, raised_for_several
from tests.engine.row_runs import LABELS, labels_of, texts
from tests.fake_api import FakeApi
from tests.fake_api.faults import Fault

MODELS = ["ministral", "small"]


def frame(rows: int = 12, wrong: int = 3) -> pd.DataFrame:
    """Return texts that the fake API classifies by the word in them; the first truths are others."""
    asked = texts(rows)
    truth = labels_of(asked)
    return pd.DataFrame(
        {
            "text": asked,
            "topic": [LABELS[2] if label != LABELS[2] else LABELS[0] for label in truth[:wrong]] + truth[wrong:],
        }
    )


def compared(**options: object) -> Comparison:
    found = mistral_nb.compare(frame(), "text", LABELS, truth="topic", models=MODELS, **options)  # type: ignore[arg-type]
    assert isinstance(found, Comparison)
    return found


def test_each_model_is_asked_for_the_same_rows(api: FakeApi) -> None:
    found = compared(sample=5, rows_per_request=1)

    asked: dict[str, set[str]] = {}
    for request in api.requests:
        asked.setdefault(request.body["model"], set()).add(request.text)
    assert list(asked.values()) == [set(found.answers["text"])] * 2


def test_a_models_accuracy_is_its_evaluations(api: FakeApi) -> None:
    found = compared(sample=None)

    assert found.table["accuracy"].tolist() == [0.75, 0.75]
    assert found.table["rows"].tolist() == [12, 12]


def test_a_thousand_rows_have_a_price(priced: FakeApi) -> None:
    found = compared(sample=None)

    assert (found.table["usd_per_1000_rows"] > 0).all()


def test_kept_answers_have_the_price_they_had(priced: FakeApi) -> None:
    first, second = compared(sample=None), compared(sample=None)

    assert second.table["usd_per_1000_rows"].tolist() == pytest.approx(
        first.table["usd_per_1000_rows"].tolist(), rel=1e-9
    )


def test_an_unknown_price_is_missing(api: FakeApi) -> None:
    assert compared().table["usd_per_1000_rows"].isna().all()


def test_nothing_is_asked_twice(api: FakeApi) -> None:
    compared(sample=None)
    asked = len(api.requests)
    compared(sample=None)

    assert len(api.requests) == asked


def test_models_that_are_right_in_the_same_rows_do_not_differ(api: FakeApi) -> None:
    assert compared().differences["p_value"].tolist() == [1.0]


def test_rows_without_truth_or_text_are_left_out(api: FakeApi) -> None:
    rows = frame(4, wrong=0)
    rows.loc[0, "topic"] = None
    rows.loc[1, "text"] = " "
    found = mistral_nb.compare(rows, "text", LABELS, truth="topic", models=MODELS)

    assert found.answers.index.tolist() == [2, 3]  # type: ignore[union-attr]


def test_the_sample_is_the_same_each_time_and_another_with_another_number(api: FakeApi) -> None:
    drawn = [compared(sample=4, random_state=number).answers.index.tolist() for number in (1, 1, 2)]

    assert drawn[0] == drawn[1] != drawn[2]


def test_a_dry_run_gives_a_receipt_per_model_and_sends_nothing(api: FakeApi) -> None:
    receipts = mistral_nb.compare(frame(), "text", LABELS, truth="topic", models=MODELS, sample=7, dry_run=True)

    assert [receipts[model].rows for model in MODELS] == [7, 7]  # type: ignore[index]
    assert not api.requests


@pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")
def test_a_budget_that_does_not_suffice_says_at_which_model(priced: FakeApi) -> None:
    with pytest.raises(BudgetReached, match="is used up at 'ministral'"):
        compared(budget_usd=1e-7)


@pytest.mark.parametrize("models", [["small"], "small", ["small", "small"]])
def test_one_model_is_no_comparison(api: FakeApi, models: list[str]) -> None:
    with pytest.raises(InvalidOption, match="Give at least two, each once"):
        mistral_nb.compare(frame(), "text", LABELS, truth="topic", models=models)


@pytest.mark.parametrize("models", [[], None, 3, ["small", None], [["small"], "large"]])
def test_models_are_names(api: FakeApi, models: Any) -> None:
    with pytest.raises(InvalidOption, match="models is"):
        mistral_nb.compare(frame(), "text", LABELS, truth="topic", models=models)


def test_a_model_under_two_names_is_one(api: FakeApi) -> None:
    with pytest.raises(InvalidOption, match="which is the same model"):
        mistral_nb.compare(frame(), "text", LABELS, truth="topic", models=["small", "mistral-small-latest"])


@pytest.mark.parametrize(
    "option",
    [
        {"mode": "batch"},
        {"mode": "preview+batch", "preview": 3},
        {"background": True},
        {"multi_label": True},
        {"multi_label": "columns"},
        {"model": "large"},
        {"no_such": 1},
        {"escalate": "small", "votes": 3},
        {"dry_run": 1},
        {"budget_usd": -1},
    ],
    ids=str,
)
def test_what_can_not_be_compared_is_refused_before_anything_is_sent(api: FakeApi, option: dict[str, Any]) -> None:
    for dry_run in (False, True):
        with pytest.raises(InvalidOption):
            compared(**{"dry_run": dry_run, **option})

    assert not api.requests


def test_a_budget_that_can_not_be_kept_for_a_later_model_is_said_before_the_first_is_asked(priced: FakeApi) -> None:
    with pytest.raises(UnknownPrice):
        mistral_nb.compare(frame(), "text", LABELS, truth="topic", models=["small", "of-no-price"], budget_usd=1)

    assert not priced.requests


def test_figures_are_those_of_the_runs_that_were_made_whichever_ended_last(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd.Series(["another bug"]).mistral.classify(LABELS)
    another = mistral_nb.session().last_run
    monkeypatch.setattr(mistral_nb.Session, "last_run", property(lambda _: another, lambda _, run: None), raising=False)

    assert compared(sample=None).table["accuracy"].tolist() == [0.75, 0.75]


def test_labels_and_examples_that_can_be_gone_through_once_are_there_for_every_model(api: FakeApi) -> None:
    mistral_nb.compare(
        frame(),
        "text",
        iter(LABELS),
        truth="topic",
        models=MODELS,
        examples=zip(["it is an example"], ["bug"], strict=True),
    )

    assert len({request.body["model"] for request in api.requests if "an example" in str(request.body)}) == 2


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        (1, r"df\['topic'\] = df\['topic'\]\.astype\(\"str\"\)"),
        (1.0, r"df\['topic'\]\.astype\(\"Int64\"\)\.astype\(\"str\"\)"),
        ("BUG", "The truth is never one of the labels: it holds 'BUG'"),
    ],
)
def test_a_truth_that_is_never_a_label_is_refused_before_anything_is_sent(
    api: FakeApi, truth: object, said: str
) -> None:
    with pytest.raises(InvalidOption, match=said):
        mistral_nb.compare(frame().assign(topic=truth), "text", LABELS, truth="topic", models=MODELS)

    assert not api.requests


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        (None, "truth is None"),
        (["bug"] * 12, r"pd\.Series\(list\(truth\), index=df\.index\)"),
        (frame()[["topic"]], 'truth="topic"'),
        (frame(20)["topic"], r"truth\.loc\[df\.index\]"),
        (frame(5)["topic"], "make it a column"),
    ],
    ids=["nothing", "list", "frame", "more rows", "fewer rows"],
)
def test_a_truth_that_is_not_beside_the_rows_is_refused(api: FakeApi, truth: Any, said: str) -> None:
    with pytest.raises(InvalidOption, match=said):
        mistral_nb.compare(frame(), "text", LABELS, truth=truth, models=MODELS)


@pytest.mark.parametrize("rows", [frame()["text"], ["a bug"], None])
def test_what_is_no_frame_is_refused(api: FakeApi, rows: Any) -> None:
    with pytest.raises(InvalidOption, match="a frame of pandas or Polars is read"):
        mistral_nb.compare(rows, "text", LABELS, truth="topic", models=MODELS)


@pytest.mark.parametrize("number", [-1, None, "x", 1.5])
def test_the_number_that_draws_the_rows_is_whole(api: FakeApi, number: Any) -> None:
    with pytest.raises(InvalidOption, match="random_state is"):
        compared(random_state=number)


def test_a_sample_may_be_numpys_number(api: FakeApi) -> None:
    assert len(compared(sample=np.int64(3)).answers) == 3


def test_one_row_is_said_to_be_one(api: FakeApi) -> None:
    assert "1 row, each asked of every model" in str(compared(sample=1))


@pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")
@pytest.mark.parametrize("kind", ["str", "category", "string[pyarrow]", "object"])
def test_a_model_that_answers_nothing_is_right_in_no_row_and_named_in_the_picture(api: FakeApi, kind: str) -> None:
    rows = frame(3, wrong=0).astype({"topic": kind})
    api.play(*[Fault(finish_reason="content_filter", content='{"label": "bug"}')] * 3)
    found = mistral_nb.compare(rows, "text", LABELS, truth="topic", models=MODELS, rows_per_request=1)
    assert isinstance(found, Comparison)
    axes = found.plot()

    assert found.table["unanswered"].tolist() == [3, 0]
    assert found.differences["only_second_right"].tolist() == [3]
    assert [text.get_text() for text in axes.texts] == ["small"]
    assert "without an answer: ministral" in axes.get_title()
    plt.close(axes.figure)  # type: ignore[arg-type]


class TestPolars:
    def test_its_frames_are_compared_as_those_of_pandas(self, api: FakeApi) -> None:
        found = mistral_nb.compare(pl.from_pandas(frame()), "text", LABELS, truth="topic", models=MODELS)

        assert isinstance(found, Comparison)
        assert found.table["accuracy"].tolist() == compared().table["accuracy"].tolist()
        assert found.answers.index.name == "row"

    def test_a_truth_may_be_its_series_or_categories(self, api: FakeApi) -> None:
        rows = pl.from_pandas(frame())
        for truth in (rows["topic"], rows["topic"].cast(pl.Categorical), rows["topic"].cast(pl.Enum(LABELS))):
            found = mistral_nb.compare(rows, "text", LABELS, truth=truth, models=MODELS)

            assert found.table["accuracy"].tolist() == [0.75, 0.75]  # type: ignore[union-attr]

    def test_a_truth_of_numbers_is_refused_in_its_words(self, api: FakeApi) -> None:
        rows = pl.from_pandas(frame().assign(topic=1))

        with pytest.raises(InvalidOption, match=r"df = df\.with_columns\(df\['topic'\]\.cast\(pl\.String\)\)"):
            mistral_nb.compare(rows, "text", LABELS, truth="topic", models=MODELS)

    def test_a_lazy_frame_is_to_be_collected(self, api: FakeApi) -> None:
        with pytest.raises(NotCollected, match="Collect it first"):
            mistral_nb.compare(pl.from_pandas(frame()).lazy(), "text", LABELS, truth="topic", models=MODELS)

    def test_ways_of_asking_are_compared_on_it(self, api: FakeApi) -> None:
        rows, labels = pl.from_pandas(frame(6, wrong=0)), {"labels": ("delivery", "bug", "praise")}
        found = mistral_nb.prompt_diff(rows, "text", LABELS, {}, labels, truth="topic")

        assert found.flips.index.tolist() == [0, 3]


@pytest.mark.parametrize("sample", [0, -1, 1.5, True])
def test_a_sample_is_a_whole_number(api: FakeApi, sample: object) -> None:
    with pytest.raises(InvalidOption, match="sample is"):
        compared(sample=sample)


def test_an_unknown_truth_suggests_the_nearest(api: FakeApi) -> None:
    with pytest.raises(UnknownColumn, match="Did you mean 'topic'"):
        mistral_nb.compare(frame(), "text", LABELS, truth="topics", models=MODELS)


def test_a_frame_without_usable_rows_says_so(api: FakeApi) -> None:
    with pytest.raises(InvalidOption, match="No row has both a text and a truth"):
        mistral_nb.compare(frame().assign(topic=None), "text", LABELS, truth="topic", models=MODELS)


def test_the_picture_shows_price_where_it_is_known(priced: FakeApi) -> None:
    axes = compared().plot()

    assert axes.get_xlabel() == "USD per 1,000 rows"
    assert [text.get_text() for text in axes.texts] == MODELS
    plt.close(axes.figure)  # type: ignore[arg-type]


def test_the_picture_shows_time_where_no_price_is_known(api: FakeApi) -> None:
    axes = compared().plot()

    assert axes.get_xlabel().startswith("seconds")
    plt.close(axes.figure)  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_p_values_of_several_pairs_are_never_lowered(p_values: list[float]) -> None:
    raised = raised_for_several(p_values)

    assert all(ours >= theirs for ours, theirs in zip(raised, p_values, strict=True))
    assert sorted(range(len(raised)), key=lambda place: (raised[place], p_values[place])) == sorted(
        range(len(raised)), key=p_values.__getitem__
    )


def test_p_values_are_raised_as_holm_does() -> None:
    assert raised_for_several([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


class TestPromptDiff:
    LABELS_ELSEWHERE = ("delivery", "bug", "praise")

    def test_rows_that_are_answered_differently_are_shown(self, api: FakeApi) -> None:
        found = mistral_nb.prompt_diff(
            frame(6, wrong=0), "text", LABELS, {}, {"labels": self.LABELS_ELSEWHERE}, truth="topic"
        )

        assert found.flips["first"].tolist() == ["billing", "billing"]
        assert found.flips.columns.tolist() == ["text", "first", "second", "truth"]
        assert (found.flip_rate, found.rows) == (pytest.approx(1 / 3), 6)

    def test_the_same_way_twice_flips_nothing(self, api: FakeApi) -> None:
        found = mistral_nb.prompt_diff(frame(), "text", LABELS, {}, {})

        assert (len(found.flips), found.flip_rate, found.evaluations, found.p_value) == (0, 0.0, None, None)

    def test_with_a_truth_it_says_which_way_is_right(self, api: FakeApi) -> None:
        found = mistral_nb.prompt_diff(
            frame(6, wrong=0), "text", LABELS, {}, {"labels": self.LABELS_ELSEWHERE}, truth="topic"
        )

        assert found.evaluations is not None
        assert [round(evaluation.accuracy, 2) for evaluation in found.evaluations] == [1.0, 0.67]
        assert found.p_value == 0.5

    def test_its_words_count_the_flips(self, api: FakeApi) -> None:
        found = mistral_nb.prompt_diff(frame(6), "text", LABELS, {}, {"labels": self.LABELS_ELSEWHERE})

        assert str(found).startswith("2 of 6 answers flip (33.3%")

    def test_texts_are_escaped_where_they_are_shown(self, api: FakeApi) -> None:
        rows = pd.DataFrame({"text": ["<script>billing</script>"]})
        html = mistral_nb.prompt_diff(rows, "text", LABELS, {}, {"labels": self.LABELS_ELSEWHERE})._repr_html_()

        assert "<script>" not in html

    def test_a_cascade_has_the_price_of_both_its_models(self, priced: FakeApi) -> None:
        first, second = {"model": "ministral", "confidence": True}, {"model": "large", "rows_per_request": 1}
        both = {"model": "ministral", "escalate": "large", "below": 1, "rows_per_request": 1}
        pd.Series(["what a model gives is found out once"]).mistral.classify(LABELS, **first)
        alone = mistral_nb.prompt_diff(frame(6), "text", LABELS, first, second)
        cascade = mistral_nb.prompt_diff(frame(6), "text", LABELS, second, both)

        assert cascade.usd_per_1000_rows[1] == sum(usd or 0 for usd in alone.usd_per_1000_rows)

    @pytest.mark.parametrize(
        "option",
        [
            {"mode": "batch"},
            {"background": True},
            {"dry_run": True},
            {"budget_usd": 1},
            {"multi_label": True},
            {"no_such": 1},
        ],
        ids=str,
    )
    def test_what_gives_nothing_to_compare_is_refused_before_anything_is_sent(
        self, api: FakeApi, option: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidOption, match=next(iter(option))):
            mistral_nb.prompt_diff(frame(), "text", LABELS, {}, option)

        assert not api.requests

    def test_an_option_may_be_given_the_value_it_has_anyway(self, api: FakeApi) -> None:
        plain = {"mode": "live", "background": False, "dry_run": False, "multi_label": False}

        assert mistral_nb.prompt_diff(frame(), "text", LABELS, {}, plain).flip_rate == 0

    def test_two_ways_of_giving_several_labels_are_compared_without_a_truth(self, api: FakeApi) -> None:
        several = {"multi_label": True}
        found = mistral_nb.prompt_diff(frame(6), "text", LABELS, several, {**several, "labels": self.LABELS_ELSEWHERE})

        assert found.flips["first"].tolist() == [["billing"], ["billing"]]
        with pytest.raises(InvalidOption, match="multi_label is True"):
            mistral_nb.prompt_diff(frame(6), "text", LABELS, several, several, truth="topic")

    @pytest.mark.parametrize("way", ["small", None, []])
    def test_a_way_is_a_dict_of_options(self, api: FakeApi, way: Any) -> None:
        with pytest.raises(InvalidOption, match=r'Give e\.g\. second=\{"model": "small"\}'):
            mistral_nb.prompt_diff(frame(), "text", LABELS, {}, way)

    @pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")
    def test_rows_without_an_answer_either_way_are_said(self, api: FakeApi) -> None:
        alone = {"rows_per_request": 1, "cache": False}
        api.play(*[Fault(finish_reason="content_filter", content='{"label": "bug"}')] * 4)
        found = mistral_nb.prompt_diff(frame(2), "text", LABELS, alone, alone)

        assert (found.unanswered, found.flip_rate) == ((2, 2), 0)
        assert "without an answer: 2 and 2" in str(found)
