"""Models and prompts beside each other, asked through the fake API."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mistral_nb
from mistral_nb.errors import BudgetReached, InvalidOption, UnknownColumn
from mistral_nb.evaluation.comparison import Comparison, raised_for_several
from tests.engine.row_runs import LABELS, labels_of, texts
from tests.fake_api import FakeApi

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
        alone = mistral_nb.prompt_diff(frame(6), "text", LABELS, first, second)
        cascade = mistral_nb.prompt_diff(frame(6), "text", LABELS, second, both)

        assert cascade.usd_per_1000_rows[1] == sum(usd or 0 for usd in alone.usd_per_1000_rows)
