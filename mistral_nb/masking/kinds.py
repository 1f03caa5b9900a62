"""What is masked, and how it is counted.

What is seen (kind of placeholder):

EMAIL      e-mail addresses
IBAN       bank accounts with right check digits
CARD       card numbers that pass Luhn's test
PHONE      numbers that begin with a plus or a zero, in American groups, or after a word such as "phone"
ACCOUNT    numbers after a word such as "account" or "customer no.", and any number of 8 digits or more that is no date or amount
ADDRESS    street and house number in seven languages, with postcode and town behind it; post boxes; British postcodes
NAME       after a title (Ms, Herr, Mme …), an introduction ("my name is"), in a greeting that begins a line or a sentence ("Hi Anna
           and Ben"), under a letter; and names that are listed

What is not seen: a name in the middle of a sentence with nothing that gives it away ("ask Anna"), or in lower case ("hi anna"),
unless it is listed; one that is also a word where a sentence may begin ("Hi Do we have"); nicknames; a town or a building alone;
streets and greetings as other languages write them; what is misspelt, spelt out ("at", "dot") or split over lines; user names, IP
addresses, dates of birth, diagnoses, and whoever can be told by what a text says. So masking lowers what leaves this machine; it
does not make a text anonymous.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mistral_nb.counted import counted
from mistral_nb.masking.masked_text import MaskedText, kinds_of
from mistral_nb.masking.names import ListedNames, find_names
from mistral_nb.masking.numbers import find_accounts, find_cards, find_ibans, find_phones
from mistral_nb.masking.places import find_addresses, find_emails
from mistral_nb.masking.spans import Detector

# In the order in which reports list them.
NOUNS = {
    "NAME": ("name", "names"),
    "ADDRESS": ("address", "addresses"),
    "EMAIL": ("e-mail address", "e-mail addresses"),
    "PHONE": ("phone number", "phone numbers"),
    "IBAN": ("IBAN", "IBANs"),
    "CARD": ("card number", "card numbers"),
    "ACCOUNT": ("account number", "account numbers"),
}


def detectors(names: Iterable[str] = ()) -> list[Detector]:
    """Return what finds all kinds, and these names besides; where two see something, the first of them wins."""
    return [
        find_emails,
        ListedNames(names),
        find_ibans,
        find_cards,
        find_addresses,
        find_phones,
        find_accounts,
        find_names,
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskReport:
    """What was masked in a column.

    Attributes
    ----------
    counts
        Number of things masked by kind, counted once in each text; see `mistral_nb.masking.kinds`.
    texts, masked_texts
        How many texts there were, and in how many something was masked.
    """

    counts: dict[str, int]
    texts: int
    masked_texts: int

    def __str__(self) -> str:
        parts = [f"{count:,} {NOUNS[kind][count != 1]}" for kind in NOUNS if (count := self.counts.get(kind, 0))]
        if not parts:
            return f"nothing found in {self._of_texts}"
        listed = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
        return f"{listed} in {self.masked_texts:,} of {self._of_texts}"

    @property
    def _of_texts(self) -> str:
        return counted(self.texts, "text")


def report_of(masked: Iterable[MaskedText]) -> MaskReport:
    """Return what was masked in these texts."""
    counts: Counter[str] = Counter()
    texts = masked_texts = 0
    for each in masked:
        texts += 1
        masked_texts += bool(each.originals)
        counts.update(kinds_of(each.originals))
    return MaskReport(counts=dict(counts), texts=texts, masked_texts=masked_texts)
