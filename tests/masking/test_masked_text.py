"""Placeholders: how they are numbered, and that what they stand for comes back exactly."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mistral_nb.masking.kinds import detectors
from mistral_nb.masking.masked_text import MaskedText, mask_text, mask_together

DETECTORS = detectors(["Contoso", "Anna Schmidt"])

# Things that are masked, things that look like what stands for them, and what may stand between.
MASKED = [
    "anna@example.org",
    "EMAIL_1@example.org",
    "+49 171 2345678",
    "DE89 3704 0044 0532 0130 00",
    "12345678",
    "Dr. May",
    "contoso",
]
PLACEHOLDERS = [
    "[EMAIL_1]",
    "EMAIL_1",
    "[email_2]",
    "NAME_1",
    "[NAME_12]",
    "[PHONE_1",
    "ACCOUNT_1]",
    "xNAME_2y",
    "[[NAME_1]]",
    "EMAİL_1",
]
BETWEEN = ["", " ", "\n", "[", "]", "_", "1", "2", "a", "Dear ", "EMAIL", "NAME_", "ſ", "\0", "ß", ", "]
fragments = st.sampled_from(MASKED + PLACEHOLDERS + BETWEEN)
texts = st.lists(fragments | st.text(max_size=5), max_size=12).map("".join)


def masked(text: str) -> MaskedText:
    return mask_text(text, DETECTORS)


class TestRestoring:
    @given(texts)
    @example("xEMAIL_1 anna@example.org")
    @example("[EMAIL_1anna@example.org]")
    def test_a_masked_text_is_restored_exactly(self, text: str) -> None:
        found = masked(text)

        assert found.restored(found.text) == text

    @given(st.lists(texts, max_size=6))
    def test_texts_that_are_masked_together_are_restored_exactly_even_by_the_originals_of_all(
        self, several: list[str]
    ) -> None:
        found = mask_together(several, DETECTORS)
        all_originals = {name: original for each in found for name, original in each.originals.items()}

        assert [MaskedText(each.text, all_originals).restored(each.text) for each in found] == several

    @given(texts)
    def test_every_placeholder_stands_in_the_masked_text_and_in_no_other(self, text: str) -> None:
        found = masked(text)

        assert all(placeholder in found.text for placeholder in found.originals)
        assert not any(placeholder.strip("[]") in text for placeholder in found.originals)

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("to [EMAIL_1],", "to anna@example.org,"),
            ("to EMAIL_1,", "to anna@example.org,"),
            ("to [email_1],", "to anna@example.org,"),
            ("([Email_1])", "(anna@example.org)"),
            ("«email_1»", "«anna@example.org»"),
        ],
    )
    def test_a_placeholder_is_known_again_as_models_write_it(self, written: str, expected: str) -> None:
        assert masked("anna@example.org").restored(written) == expected

    @pytest.mark.parametrize("written", ["EMAIL_12", "XEMAIL_1", "EMAIL_1X", "[EMAIL_2]", "EMAIL 1"])
    def test_what_is_no_placeholder_of_the_text_is_left(self, written: str) -> None:
        assert masked("anna@example.org").restored(written) == written

    def test_it_reaches_into_lists_and_objects(self) -> None:
        answer: Any = {"to": ["[EMAIL_1]", 3], "[EMAIL_1]": None}

        assert masked("a@b.org").restored(answer) == {"to": ["a@b.org", 3], "a@b.org": None}


class TestNumbering:
    def test_numbers_go_by_first_appearance(self) -> None:
        assert masked("b@b.org a@a.org b@b.org").text == "[EMAIL_1] [EMAIL_2] [EMAIL_1]"

    def test_each_kind_has_numbers_of_its_own(self) -> None:
        assert masked("a@a.org +4917123456").text == "[EMAIL_1] [PHONE_1]"

    def test_texts_that_differ_in_nothing_but_a_name_become_equal(self) -> None:
        assert masked("Dear Anna, hello").text == masked("Dear Ben, hello").text

    @pytest.mark.parametrize("there", ["[EMAIL_1]", "email_1", "xEMAIL_1y", "EMAIL_17"])
    def test_a_number_that_the_text_uses_is_not_given(self, there: str) -> None:
        assert masked(f"{there} a@a.org").text == f"{there} [EMAIL_2]"

    def test_together_the_same_thing_has_the_same_placeholder(self) -> None:
        found = mask_together(["a@a.org", "b@b.org", "to a@a.org"], DETECTORS)

        assert [each.text for each in found] == ["[EMAIL_1]", "[EMAIL_2]", "to [EMAIL_1]"]

    def test_together_a_number_that_any_text_uses_is_not_given(self) -> None:
        found = mask_together(["a@a.org", "EMAIL_1"], DETECTORS)

        assert [each.text for each in found] == ["[EMAIL_2]", "EMAIL_1"]
