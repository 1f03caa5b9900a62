"""Names of people: where their surroundings give them away, or where the caller lists them.

Keeps to itself: titles, and how people introduce themselves, greet and sign in English, German, Dutch, French, Spanish, Italian and
Portuguese.
Promises: a name found once in a text is found everywhere in it, in part too. A name with nothing around it that gives it away is
not seen, unless it is listed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

from mistral_nb.errors import InvalidOption
from mistral_nb.masking.spans import UPPER, Span, matches

_WORD = rf"[{UPPER}](?:[^\W\d_]|['’](?=[^\W\d_])|-(?=[^\W\d_])){{1,30}}"
_PARTICLE = r"(?:van der|van den|van de|van|von der|von|zu|de la|de los|de|del|della|der|den|di|da|dos|du|le|la|el|al|bin|ter|ten)"
_INITIAL = rf"[{UPPER}]\."
_NAME = rf"(?:{_INITIAL}[ \t]?){{0,2}}{_WORD}(?:[ \t](?:{_PARTICLE}[ \t])?(?:{_INITIAL}[ \t]?)?{_WORD}){{0,3}}"
_FULL_NAME = rf"{_WORD}(?:[ \t](?:{_PARTICLE}[ \t])?(?:{_INITIAL}[ \t]?)?{_WORD}){{1,3}}"

_TITLES = (
    r"Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Herrn?|Hr|Frau|Fr|M|Mme|Mlle|Monsieur|Madame|Mademoiselle|Sr|Sra|Srta|Señora?|Señorita|"
    r"Don|Doña|Sig|Signora?|Dott|Dottoressa|Dhr|Mevr|Mevrouw|Meneer|Senhora?|Dra"
)
_AFTER_TITLE = re.compile(
    rf"(?<!\w)(?:{_TITLES})\b\.?[ \t](?:(?:Dr|Prof|med)\b\.?[ \t]){{0,2}}(?P<name>(?:{_PARTICLE}[ \t])?{_NAME})"
)

_INTRODUCTION = (
    r"my name is|my name's|i am called|mein name ist|ich heiße|ich heisse|mijn naam is|ik heet|je m['’]appelle|mon nom est|"
    r"me llamo|mi nombre es|mi chiamo|il mio nome è|chamo-me|me chamo|o meu nome é|meu nome é"
)
_INTRODUCED = re.compile(rf"(?<!\w)(?i:{_INTRODUCTION}),?[ \t](?P<name>{_NAME})")
# These stand before other things too, so that only a name of several words is taken for one.
_PRESENTATION = r"i am|i['’]m|this is|here is|ich bin|hier ist|ik ben|je suis|soy|sono|sou"
_PRESENTED = re.compile(rf"(?<!\w)(?i:{_PRESENTATION})[ \t](?P<name>{_FULL_NAME})")

_GREETING = (
    r"dear|hi|hello|hey|good (?:morning|afternoon|evening)|hallo|guten (?:morgen|tag|abend)|liebe[r]?|lieve|beste|geachte|"
    r"bonjour|bonsoir|chère?|salut|hola|buenos días|buenas tardes|estimad[oa]|querid[oa]|ciao|buongiorno|buonasera|car[oa]|gentile|"
    r"olá|bom dia|boa tarde|prezad[oa]"
)
_GREETED = re.compile(rf"^[ \t]*(?i:{_GREETING}),?[ \t](?P<name>{_NAME})(?=[ \t]*(?:[,!.:;–—-]|$))", re.MULTILINE)

_SIGN_OFF = (
    r"(?:best|kind|kindest|warm|with)?[ \t]?regards|sincerely|yours(?: truly| sincerely| faithfully)?|best wishes|best|cheers|"
    r"many thanks|thanks(?: again| a lot| in advance)?|thank you(?: very much)?|mit freundlichen grüßen|mit freundlichem gruß|"
    r"(?:viele|liebe|beste|freundliche|schöne) grüße|mfg|lg|vg|danke|vielen dank|cordialement|bien à vous|merci(?: d['’]avance)?|"
    r"saludos(?: cordiales)?|atentamente|un saludo|gracias|cordiali saluti|distinti saluti|grazie|met vriendelijke groet(?:en)?|"
    r"groet(?:en|jes)?|bedankt|atenciosamente|cumprimentos|obrigad[oa]"
)
_SIGNED = re.compile(
    rf"(?<!\w)(?i:{_SIGN_OFF})[ \t]*(?:[,.!;–—-][ \t]*\n?|\n)\s{{0,4}}(?P<name>{_NAME})[ \t.!]*$", re.MULTILINE
)

# Capitalised words that stand where a name would.
_NO_NAMES = re.compile(
    r"(?:All|Team|Support|Sir|Madam|Customer|Client|Service|Everyone|Everybody|Friends?|Colleagues?|Damen|Kunden?\w*|Kollegen|Zusammen|"
    r"Madame|Monsieur|Messieurs|Equipo|Señores|Tutti|Allemaal|Dr|Prof|Thanks?|Regards|Please|There|The|This|We|You|It)\b"
)
_SHORTEST_PART = 2
_TOKEN = re.compile(r"\w+")
_BETWEEN_TOKENS = re.compile(r"[\s.'’-]{1,3}")


def find_names(text: str) -> Iterator[Span]:
    """Yield the names that a title, an introduction, a greeting or a signature gives away, and wherever else they stand."""
    names: dict[str, None] = {}
    for pattern in (_AFTER_TITLE, _INTRODUCED, _PRESENTED, _GREETED, _SIGNED):
        for span in matches(pattern, "NAME", text, group="name"):
            if not _NO_NAMES.match(text, span.start):
                yield span
                names[text[span.start : span.end]] = None
    words = dict.fromkeys(
        part for name in names for part in [name, *re.findall(_WORD, name)] if len(part) >= _SHORTEST_PART
    )
    if words:
        longest_first = sorted(words, key=len, reverse=True)
        yield from matches(re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"), "NAME", text)


class ListedNames:
    """The names that a caller lists, found as whole words, whatever their case.

    Parameters
    ----------
    names
        Names of people or companies, e.g. a column of customers; missing and blank ones are left out.

    Raises
    ------
    InvalidOption
        One of them is no text.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_first_word: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for name in names:
            if not isinstance(name, str):
                if _is_missing(name):
                    continue
                raise InvalidOption(f"The name {name!r} is no text.", 'Give each name as text, e.g. "Anna Schmidt".')
            words = tuple(word.group().casefold() for word in _TOKEN.finditer(name))
            if words:
                self._by_first_word[words[0]].append(words)
        for listed in self._by_first_word.values():
            listed.sort(key=len, reverse=True)

    def __call__(self, text: str) -> Iterator[Span]:
        """Yield where the text has one of the names; of names that begin alike the longest."""
        if not self._by_first_word:
            return
        tokens = list(_TOKEN.finditer(text))
        words = [token.group().casefold() for token in tokens]
        for first, word in enumerate(words):
            for name in self._by_first_word.get(word, ()):
                last = first + len(name) - 1
                is_here = tuple(words[first : last + 1]) == name
                if is_here and all(_BETWEEN_TOKENS.fullmatch(gap) for gap in _gaps(text, tokens[first : last + 1])):
                    yield Span(tokens[first].start(), tokens[last].end(), "NAME")
                    break


def _is_missing(name: object) -> bool:
    try:
        return name is None or bool(name != name)  # NaN
    except TypeError:  # NA, which is neither equal to itself nor not
        return True


def _gaps(text: str, tokens: list[re.Match[str]]) -> Iterator[str]:
    for one, following in pairwise(tokens):
        yield text[one.end() : following.start()]
