"""``sentiment``, ``score`` and ``filter`` through the accessor."""

from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from tests.engine.row_runs import pack_sizes
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")


def asked(verb: str, rows: list[Any], *arguments: Any, **options: Any) -> Any:
    return getattr(pd.Series(rows, dtype="object").mistral, verb)(*arguments, **options)


class TestSentiment:
    ROWS = ("that is negative", None, "so positive", "mixed feelings", "neutral")

    def test_it_is_a_category(self, api: FakeApi) -> None:
        found = asked("sentiment", list(self.ROWS))

        assert found.cat.categories.tolist() == ["negative", "neutral", "positive", "mixed"]
        assert found.tolist()[2:] == ["positive", "mixed", "neutral"]

    def test_without_neutral_and_mixed_it_is_one_of_two(self, api: FakeApi) -> None:
        found = asked("sentiment", list(self.ROWS), neutral=False, mixed=False)

        assert found.cat.categories.tolist() == ["negative", "positive"]

    def test_rows_may_share_a_request(self, api: FakeApi) -> None:
        rows = [f"{word} {number}" for number in range(4) for word in ("positive", "negative")]
        found = asked("sentiment", rows, rows_per_request=4)

        assert (found.tolist(), pack_sizes(api)[:2]) == (["positive", "negative"] * 4, [4, 4])

    def test_confidence_stands_beside_it(self, api: FakeApi) -> None:
        found = asked("sentiment", list(self.ROWS), confidence=True)

        assert found["confidence"].round(6).tolist() == [0.9, pd.NA, 0.9, 0.9, 0.9]

    def test_each_aspect_has_a_sentiment_of_its_own(self, api: FakeApi) -> None:
        rows = ["price: negative; service: positive", None, "service: mixed; price: not mentioned"]
        api.play(
            Fault(content='{"price": "negative", "service": "positive"}', when="negative"),
            Fault(content='{"price": "not mentioned", "service": "mixed"}', when="mixed"),
        )
        found = asked("sentiment", rows, aspects=["price", "service"])

        assert found["price"].tolist() == ["negative", *[found["price"][1]] * 2]
        assert found.isna().to_numpy().tolist() == [[False, False], [True, True], [True, False]]

    def test_an_answer_that_lacks_an_aspect_fails_its_row(self, api: FakeApi) -> None:
        api.play(Fault(content='{"price": "negative"}'))
        with pytest.warns(mistral_nb.FailedRowsWarning):
            found = asked("sentiment", ["a"], aspects=["price", "service"])

        assert found.isna().all(axis=None)

    @pytest.mark.parametrize(
        "options",
        [{"aspects": "price"}, {"aspects": []}, {"aspects": ["a", "a"]}, {"aspects": ["a\nb"]}, {"aspects": ["\ud83d"]},
         {"aspects": [1]}, {"neutral": "no"}, {"mixed": 1}, {"aspects": ["a"], "confidence": True}, {"aspects": ["a"], "votes": 3},
         {"instructions": ""}, {"confidence": 1}],
        ids=str,
    )  # fmt: skip
    def test_an_option_that_can_not_be_is_refused(self, api: FakeApi, options: dict[str, Any]) -> None:
        with pytest.raises(errors.InvalidOption):
            asked("sentiment", ["a"], **options)

        assert api.requests == []


class TestScore:
    def test_it_is_a_number_in_the_range(self, api: FakeApi) -> None:
        scores = asked("score", ["about 3", None, "about 99"], "urgency")

        assert (str(scores.dtype), scores.tolist()) == ("Float64", [3.0, pd.NA, 10.0])

    def test_a_range_of_fractions_is_read_off_a_scale_to_100(self, api: FakeApi) -> None:
        assert asked("score", ["about 25"], "urgency", low=0, high=1).tolist() == [0.25]

    def test_a_kept_score_is_shown_in_the_range_that_is_asked_for_now(self, api: FakeApi) -> None:
        for high, score in ((1, 0.25), (100, 25.0), (2.5, 0.625)):
            assert asked("score", ["about 25"], "urgency", low=0, high=high).tolist() == [score]

        assert len(api.requests) == 1

    def test_rows_may_share_a_request(self, api: FakeApi) -> None:
        rows = [f"about {number}" for number in range(10)]
        scores = asked("score", rows, "urgency", rows_per_request=5)

        assert (scores.tolist(), pack_sizes(api)[:2]) == ([float(number) for number in range(10)], [5, 5])

    @pytest.mark.parametrize(
        "answer", ['{"score": 11}', '{"score": -1}', '{"score": "3"}', '{"score": true}', "{}", "3"]
    )
    def test_what_is_no_number_of_the_range_fails_its_row(self, api: FakeApi, answer: str) -> None:
        api.play(Fault(content=answer))
        with pytest.warns(mistral_nb.FailedRowsWarning):
            scores = asked("score", ["a", "about 4"], "urgency")

        assert scores.isna().tolist() == [True, False]

    @pytest.mark.parametrize(
        ("arguments", "options"),
        [(["  "], {}), ([3], {}), (["x"], {"low": 5, "high": 5}), (["x"], {"low": 9, "high": 1}), (["x"], {"low": "0"}),
         (["x"], {"high": float("inf")}), (["x"], {"high": True}), (["x"], {"high": 10**400}), (["x"], {"instructions": " "})],
        ids=str,
    )  # fmt: skip
    def test_a_range_or_criterion_that_is_none_is_refused(
        self, api: FakeApi, arguments: list[Any], options: dict[str, Any]
    ) -> None:
        with pytest.raises(errors.InvalidOption):
            asked("score", ["a"], *arguments, **options)

        assert api.requests == []


class TestFilter:
    ROWS = ("yes, it is", None, "it is not", "yes, it is too")

    def test_it_is_a_boolean_mask(self, api: FakeApi) -> None:
        mask = asked("filter", list(self.ROWS), "mentions a competitor")

        assert (str(mask.dtype), mask.tolist()) == ("boolean", [True, pd.NA, False, True])

    @pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")
    def test_a_row_whose_answer_failed_is_on_neither_side(self, api: FakeApi) -> None:
        api.play(Fault(content='{"label": "perhaps"}', when="too"))
        df = pd.DataFrame({"text": self.ROWS})
        mask = df.mistral.filter("text", "mentions a competitor")

        assert (df[mask].index.tolist(), df[~mask].index.tolist()) == ([0], [2])

    def test_rows_may_share_a_request(self, api: FakeApi) -> None:
        rows = [f"yes {number}" if number % 2 else f"not {number}" for number in range(8)]
        mask = asked("filter", rows, "is odd", rows_per_request=4)

        assert (mask.tolist(), pack_sizes(api)[:2]) == ([False, True] * 4, [4, 4])

    def test_the_condition_reaches_the_model(self, api: FakeApi) -> None:
        asked("filter", ["a"], "mentions a competitor?", instructions="Be strict.")

        assert (
            "meet this condition: mentions a competitor?\nBe strict.\n"
            in api.requests[0].body["messages"][0]["content"]
        )

    @pytest.mark.parametrize("condition", ["", " ", None, 3, ["a"]])
    def test_a_condition_that_is_none_is_refused(self, api: FakeApi, condition: Any) -> None:
        with pytest.raises(errors.InvalidOption, match="The condition is"):
            asked("filter", ["a"], condition)

        assert api.requests == []


@pytest.mark.usefixtures("embedded")
class TestOnTheEmbeddedModel:
    def test_sentiments_are_told_apart(self) -> None:
        rows = ["I love it, it works perfectly.", "Terrible. It broke after a day, a waste of money."]

        assert asked("sentiment", rows, neutral=False, mixed=False).tolist() == ["positive", "negative"]

    def test_aspects_are_answered(self) -> None:
        found = asked("sentiment", ["The price is great, the service terrible."], aspects=["price", "service"])

        assert found.columns.tolist() == ["price", "service"]

    def test_a_score_is_within_the_range(self) -> None:
        assert asked("score", ["The server is on fire!"], "urgency", low=1, high=5).between(1, 5).all()

    def test_a_condition_is_decided(self) -> None:
        assert asked("filter", ["The parcel never came."], "is about a delivery").notna().all()
