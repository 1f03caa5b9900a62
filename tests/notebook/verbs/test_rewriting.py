"""``translate`` and ``fix_grammar`` through the accessor."""

import json
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from tests.engine.row_runs import is_pack, pack_sizes
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")

TEXTS = ["Pay {amount} now", None, "  order 4711 is late\n"]
BOTH = pytest.mark.parametrize(
    ("verb", "own"), [("translate", {"to": "fr"}), ("fix_grammar", {})], ids=["translate", "fix_grammar"]
)


def rewritten(verb: str, rows: list[Any], **options: Any) -> Any:
    return getattr(pd.Series(rows, dtype="object").mistral, verb)(**options)


def system(api: FakeApi) -> str:
    return str(api.requests[0].body["messages"][0]["content"])


@BOTH
class TestBoth:
    def test_each_text_is_asked_for_again(self, api: FakeApi, verb: str, own: dict[str, str]) -> None:
        texts = rewritten(verb, TEXTS, **own)

        assert (str(texts.dtype), texts.isna().tolist()) == ("str", [False, True, False])
        assert texts[0] == "Answer to: Pay {amount} now"

    def test_white_space_around_a_text_stays(self, api: FakeApi, verb: str, own: dict[str, str]) -> None:
        assert rewritten(verb, TEXTS, **own)[2] == "  Answer to: order 4711 is late\n"

    def test_an_answer_that_lost_a_placeholder_fails_its_row_alone(
        self, api: FakeApi, verb: str, own: dict[str, str]
    ) -> None:
        api.play(Fault(content="Payez", when="Pay"))
        with pytest.warns(mistral_nb.FailedRowsWarning, match=r"lost '\{amount\}'"):
            texts = rewritten(verb, TEXTS, **own)

        assert texts.isna().tolist() == [True, True, False]

    @pytest.mark.usefixtures("no_audit")
    def test_a_row_of_a_pack_that_lost_something_is_asked_again_alone(
        self, api: FakeApi, verb: str, own: dict[str, str]
    ) -> None:
        field = "translation" if verb == "translate" else "text"
        packed = [{"id": 1, field: "order 1000"}, {"id": 2, field: "late"}]
        api.play(Fault(content=json.dumps({"rows": packed}), when=is_pack))
        texts = rewritten(verb, [f"order {number} is late" for number in (1000, 1001)], rows_per_request=2, **own)

        assert texts.tolist() == ["order 1000", "Answer to: order 1001 is late"]

    @pytest.mark.usefixtures("no_audit")
    def test_short_texts_may_share_a_request(self, api: FakeApi, verb: str, own: dict[str, str]) -> None:
        rows = [f"order {number}" for number in range(1000, 1012)]
        texts = rewritten(verb, rows, rows_per_request=4, **own)

        assert (texts.tolist(), pack_sizes(api)) == (rows, [4] * 3)

    def test_instructions_reach_the_model(self, api: FakeApi, verb: str, own: dict[str, str]) -> None:
        rewritten(verb, TEXTS[:1], instructions="Be formal.", **own)

        assert "\nBe formal.\n" in system(api)

    def test_blank_instructions_are_refused(self, api: FakeApi, verb: str, own: dict[str, str]) -> None:
        with pytest.raises(errors.InvalidOption, match="instructions is ' '"):
            rewritten(verb, TEXTS, instructions=" ", **own)

    def test_the_receipt_of_long_texts_expects_long_answers(self, api: FakeApi, verb: str, own: dict[str, str]) -> None:
        short, long = (rewritten(verb, ["word " * count], dry_run=True, **own) for count in (10, 1000))

        assert long.completion_tokens_expected > 50 * short.completion_tokens_expected
        assert long.completion_tokens_most > long.completion_tokens_expected

    def test_a_dollar_limit_holds_the_length_of_each_text(
        self, priced: FakeApi, verb: str, own: dict[str, str]
    ) -> None:
        receipt = rewritten(verb, TEXTS, dry_run=True, **own)
        rewritten(verb, TEXTS, budget_usd=receipt.budget_usd, **own)

        assert mistral_nb.session().last_run.result.cost_usd <= receipt.cost_usd_most


class TestLanguages:
    def test_the_model_is_told_the_language(self, api: FakeApi) -> None:
        rewritten("translate", TEXTS[:1], to="pt-BR", from_="english")

        assert "Translate the user's text from English into Portuguese (pt-BR)." in system(api)

    def test_an_unknown_language_is_refused_before_any_request(self, api: FakeApi) -> None:
        with pytest.raises(errors.InvalidOption, match="Did you mean 'French'"):
            rewritten("translate", TEXTS, to="frensh")

        assert api.requests == []

    def test_a_language_into_itself_is_refused(self, api: FakeApi) -> None:
        with pytest.raises(errors.InvalidOption, match="both French"):
            rewritten("translate", TEXTS, to="fr", from_="French")

    def test_answers_in_another_language_are_others(self, api: FakeApi) -> None:
        for language in ("fr", "de", "french"):
            rewritten("translate", TEXTS[:1], to=language)

        assert len(api.requests) == 2


@pytest.mark.usefixtures("embedded")
@BOTH
def test_the_embedded_model_writes_another_text(verb: str, own: dict[str, str]) -> None:
    texts = rewritten(verb, ["The parcel never come.", None], **own)

    assert texts.notna().tolist() == [True, False]
    assert texts[0] != "The parcel never come."
