"""What is found in a text, and what is left alone."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.errors import InvalidOption
from mistral_nb.masking.kinds import detectors, report_of
from mistral_nb.masking.masked_text import mask_text
from mistral_nb.masking.numbers import is_iban, passes_luhn
from mistral_nb.masking.spans import Span, found_by

IBANS = [
    "DE89 3704 0044 0532 0130 00",
    "GB29NWBK60161331926819",
    "FR14 2004 1010 0505 0001 3M02 606",
    "nl91abna0417164300",
]
CARDS = ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009"]


def masked(text: str, names: Sequence[str] = ()) -> str:
    return mask_text(text, detectors(names)).text


@pytest.mark.parametrize(
    "email",
    [
        "anna.schmidt@example.org",
        "a+b@mail.example.co.uk",
        "o'neill@example.org",
        "jürgen@müller.example",
        "x_1@a-b.example",
    ],
)
def test_an_email_address(email: str) -> None:
    assert masked(f"Write to {email}, please.") == "Write to [EMAIL_1], please."


@pytest.mark.parametrize("text", ["@anna wrote", "a@b", "5 @ 3.50 each", "anna at example dot org"])
def test_no_email_address(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("iban", IBANS)
def test_an_iban_with_right_check_digits(iban: str) -> None:
    assert masked(f"My IBAN is {iban} since May.") == "My IBAN is [IBAN_1] since May."


def test_an_iban_with_a_wrong_digit_is_still_an_account() -> None:
    assert masked("My IBAN is DE88 3704 0044 0532 0130 00 now") == "My IBAN is DE88 [ACCOUNT_1] now"


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number(card: str) -> None:
    assert masked(f"card {card} 12/27 was charged") == "card [CARD_1] 12/27 was charged"


def test_a_card_number_with_a_wrong_digit_is_still_an_account() -> None:
    assert masked("charged to 4111 1111 1111 1112") == "charged to [ACCOUNT_1]"


@given(st.from_regex(r"[1-9]\d{11,17}", fullmatch=True), st.integers(1, 9))
def test_luhns_test_finds_every_wrong_digit(digits: str, change: int) -> None:
    right = next(digits + last for last in "0123456789" if passes_luhn(digits + last))
    wrong = str((int(right[0]) + change) % 10) + right[1:]

    assert not passes_luhn(wrong)


@given(st.sampled_from(IBANS), st.data())
def test_check_digits_find_every_wrong_digit(iban: str, data: st.DataObject) -> None:
    compact = iban.replace(" ", "").upper()
    place = data.draw(st.sampled_from([place for place, letter in enumerate(compact) if letter.isdigit()]))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != compact[place]]))

    assert (is_iban(compact), is_iban(compact[:place] + other + compact[place + 1 :])) == (True, False)


@pytest.mark.parametrize(
    "phone",
    [
        "+49 171 2345678", "+1 (555) 010-0199", "0049 30 123456", "030/123456", "(030) 12 34 56", "01 02 03 04 05",
        "(555) 123-4567", "555-123-4567", "555.123.4567", "0171-2345678",
    ],
)  # fmt: skip
def test_a_phone_number(phone: str) -> None:
    assert masked(f"Reach me: {phone}.") == "Reach me: [PHONE_1]."


@pytest.mark.parametrize("text", ["phone 55512", "Tel.: 55512", "call me at 55512", "Handy 55512", "téléphone : 55512"])
def test_a_shorter_number_after_a_word_for_phones(text: str) -> None:
    assert masked(text) == text.replace("55512", "[PHONE_1]")


@pytest.mark.parametrize(
    "text",
    [
        "account no. 4711", "customer number KD-4711", "Kundennummer: 4711", "Vertragsnr. 4711", "Konto 4711", "numéro 12345678",
        "order 12345678", "SSN 123-45-6789", "policy 4711/22", "cuenta 4711",
    ],
)  # fmt: skip
def test_an_account_number(text: str) -> None:
    assert "[ACCOUNT_1]" in masked(text)
    assert not any(digit in masked(text).replace("ACCOUNT_1", "") for digit in "23456789")


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-25 at 10:00", "am 25.11.2026", "11/25/2026", "parcel 1182", "1.000.000 rows", "1 000 000 Euro", "3.14159265",
        "20000 Euro", "in 2024 and 2025", "version 1.2.3", "from 192.168.1.100", "rows 10-20",
    ],
)  # fmt: skip
def test_no_number_of_a_person(text: str) -> None:
    assert masked(text) == text


def test_a_number_after_a_date_is_found() -> None:
    assert masked("25.11.2026 0171 2345678") == "25.11.2026 [PHONE_1]"


@pytest.mark.parametrize(
    "address",
    [
        "221B Baker Street, London NW1 6XE", "12 Main St Apt 4, Springfield, IL 62704-1234", "12 Main Street",
        "Hauptstraße 5, 12345 Berlin", "Hauptstr. 5a", "Berliner Straße 12", "Keizersgracht 100, 1015 AA Amsterdam",
        "12 rue de la Paix, 75002 Paris",
        "3 bis, avenue Victor Hugo", "Calle Mayor 3, 28013 Madrid", "Via Roma 10", "Rua das Flores, 12", "P.O. Box 123", "SW1A 1AA",
    ],
)  # fmt: skip
def test_an_address(address: str) -> None:
    assert masked(f"It goes to {address}. Soon.") == "It goes to [ADDRESS_1]. Soon."


@pytest.mark.parametrize(
    "text", ["12 Main things", "a street", "Wall Street fell by 3", "5 Streets of London", "20000 Euro", "Paris"]
)
def test_no_address(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr Smith called", "Mr [NAME_1] called"),
        ("ask Dr. Anna-Lena Müller today", "ask Dr. [NAME_1] today"),
        ("Herr Prof. Dr. von Braun", "Herr Prof. Dr. [NAME_1]"),
        ("for Mme Dupont-Moretti", "for Mme [NAME_1]"),
        ("my name is Maria García Lopez and", "my name is [NAME_1] and"),
        ("Mein Name ist Jürgen", "Mein Name ist [NAME_1]"),
        ("Je m'appelle Zoë", "Je m'appelle [NAME_1]"),
        ("I'm Anna Schmidt from", "I'm [NAME_1] from"),
        ("Dear Anna,\nthe app", "Dear [NAME_1],\nthe app"),
        ("Hallo Björn!", "Hallo [NAME_1]!"),
        ("It works.\nBest regards,\nKlaus von der Heide", "It works.\nBest regards,\n[NAME_1]"),
        ("Danke\nÉmile", "Danke\n[NAME_1]"),
        ("Thanks, Tom", "Thanks, [NAME_1]"),
        ("Best,\nBen O'Neill", "Best,\n[NAME_1]"),
        ("Mr Smith's parcel; Smith called", "Mr [NAME_1]'s parcel; [NAME_1] called"),
        ("Dear Mr and Mrs Smith,", "Dear Mr and Mrs [NAME_1],"),
        ("Hi Don Smith,", "Hi [NAME_1],"),
        ("Guten Tag Frau Müller, eine Frau kam", "Guten Tag Frau [NAME_1], eine Frau kam"),
        ("Liebe Grüße,\nAnna", "Liebe Grüße,\n[NAME_1]"),
        ("Thanks Tom", "Thanks [NAME_1]"),
        ("Kind regards Anna Schmidt Sent from my phone", "Kind regards [NAME_1] Sent from my phone"),
        ("Regards,\nAnna Schmidt, Acme", "Regards,\n[NAME_1], Acme"),
    ],
)
def test_a_name_that_its_surroundings_give_away(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\v", "\u2028"], ids=ascii)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Regards,\nAnna Schmidt\nAcme", "Regards,\n[NAME_1]\nAcme"),
        ("Kind regards\nAnna\n", "Kind regards\n[NAME_1]\n"),
        ("Thanks!\n\nAnna\n", "Thanks!\n\n[NAME_1]\n"),
        ("> Cheers,\n> Anna", "> Cheers,\n> [NAME_1]"),
        ("Dear Anna\nit broke", "Dear [NAME_1]\nit broke"),
        ("It broke.\nDear Anna,", "It broke.\nDear [NAME_1],"),
    ],
)
def test_a_name_beside_the_end_of_a_line_of_any_kind(text: str, expected: str, line_end: str) -> None:
    assert masked(text.replace("\n", line_end)) == expected.replace("\n", line_end)


@pytest.mark.parametrize("blank", [" ", "  ", "\u00a0", "\t", "\u202f"], ids=ascii)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Miller", "Mr. [NAME_1]"),
        ("Herr Prof. Dr. von Braun", "Herr Prof. Dr. [NAME_1]"),
        ("Hi Anna Schmidt,", "Hi [NAME_1],"),
        ("Good morning Anna,", "Good morning [NAME_1],"),
        ("My name is Anna", "My name is [NAME_1]"),
        ("Mit freundlichen Grüßen Anna Schmidt", "Mit freundlichen Grüßen [NAME_1]"),
    ],
)
def test_a_name_whatever_the_blanks_around_it(text: str, expected: str, blank: str) -> None:
    assert masked(text.replace(" ", blank)) == expected.replace(" ", blank)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("> Hi Anna, it broke", "> Hi [NAME_1], it broke"),
        ('She wrote: "Hi Anna, it broke"', 'She wrote: "Hi [NAME_1], it broke"'),
        ("Good day. Dear Anna, it broke", "Good day. Dear [NAME_1], it broke"),
        ("Subject: Hello Anna!", "Subject: Hello [NAME_1]!"),
        ("Hi Anna can you help", "Hi [NAME_1] can you help"),
        ("Hi Anna Can you help", "Hi [NAME_1] Can you help"),
        ("HI ANNA CAN YOU HELP", "HI [NAME_1] CAN YOU HELP"),
        ("Hi Anna I'm late", "Hi [NAME_1] I'm late"),
        ("Hallo Björn kommst du", "Hallo [NAME_1] kommst du"),
        ("Hallo Can kannst du", "Hallo [NAME_1] kannst du"),
        ("Liebe Anna ich warte", "Liebe [NAME_1] ich warte"),
        ("Dear Anna and team,", "Dear [NAME_1] and team,"),
        ("Hi Will,", "Hi [NAME_1],"),
    ],
)
def test_a_name_in_a_greeting_wherever_it_stands_and_whatever_follows(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi Anna and Ben,", "Hi [NAME_1] and [NAME_2],"),
        ("Hallo Anna und Ben Schmidt, wo", "Hallo [NAME_1] und [NAME_2], wo"),
        ("Dear Anna, Ben and Carl,", "Dear [NAME_1], [NAME_2] and [NAME_3],"),
        ("Dear Mr Smith and Anna Jones,", "Dear Mr [NAME_1] and [NAME_2],"),
        ("Hi Anna/Ben,", "Hi [NAME_1]/[NAME_2],"),
    ],
)
def test_all_who_are_greeted(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ask Anna",
        "Dear Customer,",
        "Hi there,",
        "Dear Sir or Madam,",
        "I am German",
        "this is Great",
        "Thanks. The app",
        "Hello all,",
        "Hi There, it broke",
        "Hi team can you help",
        "Hi Team can you help",
        "Dear Sir",
        "Dear Customer support",
        "Hello World!",
        "Hi Can you help",
        "Hi Will you refund me",
        "Hello My order is late",
        "HELLO MY ORDER IS LATE",
        "Hi I'm locked out",
        "Hi, Lamps are out",
        "Guten Tag, Bestellung 4711 fehlt",
        "Bonjour Je voudrais savoir",
        "Hola Quiero saber",
        "Beste Qualität zum Preis",
        "Liebe Kundinnen und Kunden,",
        "Ich liebe Berlin.",
        "LG TV is broken",
        "Best Buy is near",
        "Thanks\r\nThe app",
        "Kind regards Sent from my phone",
    ],
)
def test_no_name_that_is_given_away(text: str) -> None:
    assert masked(text) == text


def test_a_name_that_is_found_once_is_found_everywhere_in_part_too() -> None:
    assert masked("Mr Tom Smith came. Tom Smith left, and Smith did not pay. Smithy") == (
        "Mr [NAME_1] came. [NAME_1] left, and [NAME_2] did not pay. Smithy"
    )


class TestListedNames:
    def test_they_are_found_wherever_they_stand_and_whatever_their_case(self) -> None:
        assert masked("ask anna schmidt, ANNA SCHMIDT", ["Anna Schmidt"]) == "ask [NAME_1], [NAME_2]"

    def test_only_whole_words_are(self) -> None:
        assert masked("Annabel and Anna", ["Anna"]) == "Annabel and [NAME_1]"

    def test_the_longest_of_those_that_begin_alike_is(self) -> None:
        assert masked("Contoso Ltd", ["Contoso", "Contoso Ltd"]) == "[NAME_1]"

    def test_not_across_a_comma(self) -> None:
        assert masked("Anna, Schmidt", ["Anna Schmidt"]) == "Anna, Schmidt"

    def test_missing_and_blank_ones_are_left_out(self) -> None:
        assert masked("a nan", ["", " ", None, float("nan")]) == "a nan"

    def test_one_that_is_no_text_is_refused(self) -> None:
        with pytest.raises(InvalidOption, match="name 5 is no text"):
            detectors([5])


def test_where_two_see_something_the_first_wins_and_the_other_sees_the_rest() -> None:
    def first(text: str) -> list[Span]:
        return [Span(2, 4, "A")]

    def second(text: str) -> list[Span]:
        return [Span(3, 5, "B"), Span(4, 5, "B")] if text[2:4] == "\0\0" else []

    assert found_by([first, second], "abcdefg") == [Span(2, 4, "A"), Span(4, 5, "B")]


class TestReport:
    def test_it_counts_things_and_texts(self) -> None:
        report = report_of([mask_text(text, detectors()) for text in ["a@a.org b@b.org", "Dear Anna,", "nothing"]])

        assert str(report) == "1 name and 2 e-mail addresses in 2 of 3 texts"

    def test_it_says_that_nothing_was_found(self) -> None:
        assert str(report_of([mask_text("nothing", detectors())])) == "nothing found in 1 text"
