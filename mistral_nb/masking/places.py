"""E-mail addresses and postal addresses.

Keeps to itself: how streets are written in English, German, Dutch, French, Spanish, Italian and Portuguese.
"""

import re
from collections.abc import Iterator

from mistral_nb.masking.spans import UPPER, Span, matches

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[^\W\d_]{2,24}(?![\w-])")

_WORD = rf"[{UPPER}][\w'’-]{{0,30}}"
_WORDS = rf"{_WORD}(?:[ \t]{_WORD}){{0,3}}"
_HOUSE = r"\d{1,5}(?:[ \t]?[a-zA-Z]\b)?(?:[-/]\d{1,4})?"
_OF = r"(?:(?:de la|de los|de las|de l['’]|des|del|della|delle|dei|dos|das|du|do|da|de|d['’]|di|la|le|les|los|las)[ \t]?){0,2}"
_ENGLISH_ENDING = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Square|Sq|Place|Pl|Way|Terrace|Close|Crescent|"
    r"Highway|Hwy|Parkway|Pkwy|Row|Mews|Gardens)\b"
)
_FLAT = r"(?:,?[ \t](?:Apt|Apartment|Suite|Unit|Flat|Floor|No)\.?[ \t]?#?\w{1,5}|,?[ \t]#\w{1,5})?"
_GERMANIC_ENDING = r"(?:straße|strasse|str\.|weg|gasse|platz|allee|ring|damm|ufer|laan|straat|plein|gracht)"
_GERMAN_STREET = r"(?:Straße|Strasse|Str\.|Weg|Gasse|Platz|Allee|Ring)"
_FRENCH_STREET = r"(?:[Rr]ue|[Aa]venue|[Bb]oulevard|[Bb]d|[Pp]lace|[Cc]hemin|[Ii]mpasse|[Aa]llée|[Qq]uai|[Rr]oute)"
_SOUTHERN_STREET = r"(?:Calle|C/|Avenida|Avda\.?|Plaza|Paseo|Via|Viale|Piazza|Corso|Rua|Travessa|Praça)"
_STREETS = (
    rf"{_HOUSE},?[ \t](?:{_WORD}\.?[ \t]){{1,4}}{_ENGLISH_ENDING}{_FLAT}",
    rf"[{UPPER}][\w-]{{0,30}}{_GERMANIC_ENDING}[ \t]?{_HOUSE}",
    rf"{_WORD}[ \t]{_GERMAN_STREET}[ \t]{_HOUSE}",
    rf"\d{{1,4}}(?:[ \t]?(?:bis|ter))?,?[ \t]{_FRENCH_STREET}[ \t]{_OF}{_WORDS}",
    rf"{_SOUTHERN_STREET}[ \t]{_OF}{_WORDS},?[ \t](?:n[º°.][ \t]?)?\d{{1,4}}[a-zA-Z]?\b",
    r"(?:P\.?[ \t]?O\.?[ \t]?Box|Postfach|Apartado)[ \t]\d{1,6}",
)
# Postcode and town count only after a street: alone, "20000 Euro" looks the same.
_TOWN = rf"[{UPPER}][\w'’-]{{1,30}}(?:[ \t][{UPPER}][\w'’-]{{1,30}}){{0,2}}"
_TOWN_AFTER_CODE = rf",?\s{{1,2}}(?:[A-Z]{{1,2}}-)?\d{{4,5}}(?:[ \t]?[A-Z]{{2}}\b)?[ \t]{_TOWN}"
_AMERICAN_TOWN = rf",?\s{{1,2}}{_TOWN},?[ \t][A-Z]{{2}}[ \t]\d{{5}}(?:-\d{{4}})?"
_BRITISH_TOWN = rf"(?:,?\s{{1,2}}{_TOWN})?,?\s{{1,2}}[A-Z]{{1,2}}\d[A-Z\d]?[ \t]?\d[A-Z]{{2}}\b"
_ADDRESS = re.compile(rf"(?<!\w)(?:{'|'.join(_STREETS)})(?:{_AMERICAN_TOWN}|{_BRITISH_TOWN}|{_TOWN_AFTER_CODE})?")
_BRITISH_POSTCODE = re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b", re.ASCII)


def find_emails(text: str) -> Iterator[Span]:
    """Yield e-mail addresses, with letters of any script."""
    return matches(_EMAIL, "EMAIL", text)


def find_addresses(text: str) -> Iterator[Span]:
    """Yield streets with a house number, with the town if it follows; post boxes; British postcodes."""
    yield from matches(_ADDRESS, "ADDRESS", text)
    yield from matches(_BRITISH_POSTCODE, "ADDRESS", text)
