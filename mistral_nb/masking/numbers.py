"""Numbers that belong to a person: IBANs, cards, phones, accounts.

Keeps to itself: check digits, and what tells a number of a person from a date, an amount or a quantity.
Promises: an IBAN is masked if its check digits are right (ISO 13616), a card if its number passes Luhn's test (ISO/IEC 7812); any
other number that is long enough to be an account is masked as one.
"""

import re
from collections.abc import Callable, Iterator

from mistral_nb.masking.spans import Span

FEWEST_ACCOUNT_DIGITS = 8

_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![^\W_])", re.IGNORECASE | re.ASCII)
_IBAN_LENGTHS = range(15, 35)
_CARD = re.compile(r"(?<![\w/-])(?<!\d[.,])\d(?:[ -]?\d){12,18}(?!\w)", re.ASCII)
_CARD_LENGTHS = range(13, 20)
_DIGIT_GROUPS = re.compile(r"(?<![\w/-])(?<!\d[.,])\(?(?:\+|\d)[\d ().\-/–\u00a0\u202f]{0,40}\d(?!\w)", re.ASCII)
_DATE = re.compile(r"(?:\d{4}([-./])\d{1,2}\1\d{1,2}|\d{1,2}([-./])\d{1,2}\2\d{2,4})(?![-./]?\d)")
_ADDRESS_OF_A_COMPUTER = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
# 1.000.000 and its like: up to three digits, then threes; or with a decimal point.
_AMOUNT = re.compile(r"\d{1,3}(?:([ .\u00a0\u202f])\d{3})(?:\1\d{3})*|\d+\.\d+")
_AMERICAN_PHONE = re.compile(r"\(\d{3}\) ?\d{3}[-. ]\d{4}|\d{3}([-.])\d{3}\1\d{4}")
_SOCIAL_SECURITY = re.compile(r"\d{3}-\d{2}-\d{4}")

_PHONE_WORDS = r"tel|phone|mobile|cell|call|fax|whatsapp|handy|mobil|ruf|téléphone|portable|teléfono|móvil|cellulare"
_FILLERS = r"me|us|at|on|under|unter|no|nr|number|nummer"
_AFTER_PHONE_WORD = re.compile(
    rf"\b(?:{_PHONE_WORDS})\w*[\s.:#-]*(?:(?:{_FILLERS})\b[\s.:#-]*){{0,4}}\Z", re.IGNORECASE
)
_PHONE_WORD_REACH = 40

_ACCOUNT_WORDS = (
    r"account|acct|customer|client|policy|contract|member|membership|passport|insurance|tax|social security|ssn|iban|"
    r"konto|kunden|vertrags?|versicherungs?|steuer|ausweis|mitglieds?|compte|contrat|police|cuenta|cliente|contrato|póliza|"
    r"conto|contratto|polizza|rekening|klant"
)
_NUMBER_WORDS = r"no|nr|num|number|nummer|id|n°|nº|número|numero|numéro"
_NAMED_ACCOUNT = re.compile(
    rf"\b(?:{_ACCOUNT_WORDS})(?:[\s-]?(?:{_NUMBER_WORDS}))?[ .:#=]{{1,3}}((?=[\w/-]{{0,30}}\d{{3}})[A-Z0-9][A-Z0-9/-]{{3,40}})\b",
    re.IGNORECASE,
)


def find_ibans(text: str) -> Iterator[Span]:
    """Yield the account numbers whose check digits say that they are IBANs."""
    return _longest_valid(_IBAN, "IBAN", text, lengths=_IBAN_LENGTHS, is_valid=is_iban)


def find_cards(text: str) -> Iterator[Span]:
    """Yield the numbers of 13 to 19 digits that pass Luhn's test."""
    return _longest_valid(_CARD, "CARD", text, lengths=_CARD_LENGTHS, is_valid=passes_luhn)


def find_phones(text: str) -> Iterator[Span]:
    """Yield what is written as phone numbers are: with a plus or a zero first, in the American groups, or after such a word."""
    for start, written in _numbers(text):
        if _is_phone(written, text[max(0, start - _PHONE_WORD_REACH) : start]):
            yield Span(start, start + len(written), "PHONE")


def find_accounts(text: str) -> Iterator[Span]:
    """Yield numbers that stand after a word for an account, and any other number of so many digits that is no amount."""
    for match in _NAMED_ACCOUNT.finditer(text):
        yield Span(*match.span(1), "ACCOUNT")
    for start, written in _numbers(text):
        is_long = _count_digits(written) >= FEWEST_ACCOUNT_DIGITS and not _AMOUNT.fullmatch(written)
        if is_long or _SOCIAL_SECURITY.fullmatch(written):
            yield Span(start, start + len(written), "ACCOUNT")


def is_iban(compact: str) -> bool:
    """Whether the check digits are right: moved to the end and with letters as numbers, the whole leaves 1 when divided by 97."""
    rearranged = compact[4:] + compact[:4]
    return int("".join(str(int(letter, 36)) for letter in rearranged)) % 97 == 1


def passes_luhn(digits: str) -> bool:
    """Whether the sum of the digits, every second from the right doubled and its own digits added, ends in 0."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = [sum(divmod(2 * value, 10)) for value in values[1::2]]
    return (sum(values[::2]) + sum(doubled)) % 10 == 0


def _longest_valid(
    pattern: re.Pattern[str], kind: str, text: str, *, lengths: range, is_valid: Callable[[str], bool]
) -> Iterator[Span]:
    """Yield of each match the longest beginning, up to the end of a group, that is valid: patterns run on into what follows."""
    for match in pattern.finditer(text):
        for end in range(match.end(), match.start(), -1):
            compact = re.sub("[ -]", "", text[match.start() : end])
            if len(compact) < lengths.start:
                break
            is_end_of_group = text[end - 1].isalnum() and not text[end : end + 1].isalnum()
            if is_end_of_group and len(compact) in lengths and is_valid(compact):
                yield Span(match.start(), end, kind)
                break


def _numbers(text: str) -> Iterator[tuple[int, str]]:
    """Yield start and writing of each run of digits; dates and addresses of computers are none."""
    match = _DIGIT_GROUPS.search(text)
    while match:
        start, end = match.span()
        date = _DATE.match(text, start)
        if date:
            end = date.end()
        elif not _ADDRESS_OF_A_COMPUTER.fullmatch(match.group()):
            yield start, match.group()
        match = _DIGIT_GROUPS.search(text, end)


def _is_phone(written: str, before: str) -> bool:
    digits = _count_digits(written)
    if written.lstrip("(").startswith("+"):
        return 7 <= digits <= 15
    if _AMERICAN_PHONE.fullmatch(written):
        return True
    if _AFTER_PHONE_WORD.search(before):
        return 5 <= digits <= 15
    return written.lstrip("(").startswith("0") and 7 <= digits <= 16


def _count_digits(written: str) -> int:
    return len(re.findall(r"\d", written, re.ASCII))
