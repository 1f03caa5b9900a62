"""Names of people: where their surroundings give them away, or where the caller lists them.

Keeps to itself: titles, and how people introduce themselves, greet and sign in English, German, Dutch, French, Spanish, Italian and
Portuguese.
Promises: a name found once in a text is found everywhere in it, in part too, whatever spaces and line ends the text has. A name
with nothing around it that gives it away is not seen, unless it is listed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from mistral_nb.errors import InvalidOption
from mistral_nb.masking.opening_words import OPENING_WORDS
from mistral_nb.masking.spans import UPPER, Span, matches

# Mails and cells end their lines with "\r\n" and others as often as with "\n", and have blanks that do not break.
_BREAKS = r"\r\n\v\f\x85\u2028\u2029"
_BREAK = rf"(?:\r\n|[{_BREAKS}])"
_BLANK = rf"[^\S{_BREAKS}]"
_GAP = rf"{_BLANK}{{1,3}}"
_BEGINNING = rf"(?<![^{_BREAKS}])"
_END = rf"(?![^{_BREAKS}])"


def _phrases(pattern: str) -> str:
    """Return the pattern with whatever blanks a text may have where it has one."""
    return pattern.replace(" ", _GAP)


_WORD = rf"[{UPPER}](?:[^\W\d_]|['’](?=[^\W\d_])|-(?=[^\W\d_])){{1,30}}"
_PARTICLE = _phrases(
    r"(?:van der|van den|van de|van|von der|von|zu|de la|de los|de|del|della|der|den|di|da|dos|du|le|la|el|al|bin|ter|ten)"
)
_INITIAL = rf"[{UPPER}]\."
_FURTHER = rf"{_GAP}(?:{_PARTICLE}{_GAP})?(?:{_INITIAL}{_BLANK}{{0,3}})?{_WORD}"
_NAME = rf"(?:{_INITIAL}{_BLANK}{{0,3}}){{0,2}}{_WORD}(?:{_FURTHER}){{0,3}}"
_FULL_NAME = rf"{_WORD}(?:{_FURTHER}){{1,3}}"

_TITLES = (
    r"Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Herrn?|Hr|Frau|Fr|M|Mme|Mlle|Monsieur|Madame|Mademoiselle|Sr|Sra|Srta|Señora?|Señorita|"
    r"Don|Doña|Sig|Signora?|Dott|Dottoressa|Dhr|Mevr|Mevrouw|Meneer|Senhora?|Dra"
)
_TITLE = rf"(?:{_TITLES})\b\.?{_GAP}(?:(?:Dr|Prof|med)\b\.?{_GAP}){{0,2}}"
_AFTER_TITLE = re.compile(rf"(?<!\w){_TITLE}(?P<name>(?:{_PARTICLE}{_GAP})?{_NAME})")

_INTRODUCTION = _phrases(
    r"my name is|my name's|i am called|mein name ist|ich heiße|ich heisse|mijn naam is|ik heet|je m['’]appelle|mon nom est|"
    r"me llamo|mi nombre es|mi chiamo|il mio nome è|chamo-me|me chamo|o meu nome é|meu nome é"
)
_INTRODUCED = re.compile(rf"(?<!\w)(?i:{_INTRODUCTION}),?{_GAP}(?P<name>{_NAME})")
# These stand before other things too, so that only a name of several words is taken for one.
_PRESENTATION = _phrases(r"i am|i['’]m|this is|here is|ich bin|hier ist|ik ben|je suis|soy|sono|sou")
_PRESENTED = re.compile(rf"(?<!\w)(?i:{_PRESENTATION}){_GAP}(?P<name>{_FULL_NAME})")

_GREETING = _phrases(
    r"dear|hi|hello|hey|greetings|good (?:morning|afternoon|evening|day)|hallo|guten (?:morgen|tag|abend)|bonjour|bonsoir|chère?|"
    r"salut|hola|buenos días|buenas tardes|estimad[oa]|querid[oa]|ciao|buongiorno|buonasera|car[oa]|gentile|"
    r"olá|bom dia|boa tarde|prezad[oa]"
)
# These praise things too ("beste Qualität"), so that a stop or the beginning of a sentence has to follow the name.
_PRAISE = r"liebe[rs]?|lieve|beste|geachte"
_SENTENCE = (
    r"ich|wir|sie|du|es|wie|was|kann(?:st)?|könn\w+|hast|haben|hat|ist|sind|hier|hoffe|vielen|herzlichen|danke|bitte|leider|und|"
    r"ik|we|wij|je|kan|kunt?|kunnen|hoe|wat|heb|heeft|graag|helaas|bedankt|hartelijk|dank|en|mijn"
)
_TITLED = rf"(?:(?!Don\b){_TITLE}(?=[{UPPER}]))?"  # "Hi Don Smith" is no Spaniard
_ONE = rf"{_TITLED}{_NAME}"
_AND = r"(?:and|und|et|y|e|en|&|\+|/)"
_STOP = rf"(?={_BLANK}{{0,3}}(?:[^\w\s'’-]|['’-](?!\w)|{_END}))"
_SEVERAL = (
    rf"{_ONE}(?:(?:,{_GAP}{_ONE}){{1,4}},?{_GAP}{_AND}{_GAP}{_ONE}{_STOP}|"
    rf"(?:{_GAP}{_AND}{_GAP}|/){_ONE}(?:{_GAP}{_AND}{_GAP}{_ONE})?)?"
)
# A greeting begins a line or follows a mark: the end of a sentence, a quotation mark, the ">" of a quoted mail.
_BEFORE_GREETING = rf"(?:{_BEGINNING}|[^\w\s'’-]|(?<!\w)['’-]){_BLANK}{{0,4}}"
_GREETED = re.compile(rf"{_BEFORE_GREETING}(?i:{_GREETING})\b{_GAP}(?P<names>{_SEVERAL})")
_GREETED_AFTER_COMMA = re.compile(rf"{_BEFORE_GREETING}(?i:{_GREETING}),{_GAP}(?P<names>{_SEVERAL}){_STOP}")
_PRAISED = re.compile(
    rf"{_BEFORE_GREETING}(?i:{_PRAISE})\b,?{_GAP}(?P<names>{_SEVERAL})(?:{_STOP}|(?={_GAP}(?i:{_SENTENCE})\b))"
)
_OF_SEVERAL = re.compile(rf"{_TITLED}(?P<name>{_NAME})")
_STOPS = re.compile(_STOP)
# Names too, but for what follows.
_ASKS = re.compile(
    _phrases(
        r"(?:can|may|will) (?:you|we|i|it|he|she|they|this|that|the|there|someone|somebody|anyone|anybody|my|our|your)\b"
    ),
    re.IGNORECASE,
)

_LETTERS_END = _phrases(
    r"(?:with )?(?:best|kind|kindest|warm|warmest) regards|sincerely yours|yours (?:truly|sincerely|faithfully)|best wishes|"
    r"mit freundlichen gr(?:ü|ue)(?:ß|ss)en|mit freundlichem gru(?:ß|ss)|"
    r"(?:viele|liebe|beste|freundliche|herzliche|schöne) gr(?:ü|ue)(?:ß|ss)e|bien à vous|saludos cordiales|cordiali saluti|"
    r"distinti saluti|met vriendelijke groet(?:en)?"
)
_THANKS = _phrases(
    r"regards|sincerely|cheers|many thanks|thanks(?: again| a lot| in advance)?|thank you(?: very much)?|mfg|danke|vielen dank|"
    r"cordialement|merci(?: d['’]avance)?|saludos|atentamente|un saludo|gracias|grazie|groet(?:en|jes)?|bedankt|"
    r"atenciosamente|cumprimentos|obrigad[oa]"
)
_ENDS_LINE = rf"(?={_BLANK}{{0,3}}[.!]?{_BLANK}{{0,3}}{_END})"
_COMPANY_FOLLOWS = rf"(?={_BLANK}{{0,3}}[,(|])"  # "Anna Schmidt, Acme Ltd"
_SIGNED = re.compile(
    rf"(?<!\w)(?i:{_LETTERS_END}|{_THANKS}|yours|best|lg|vg){_BLANK}{{0,3}}"
    rf"(?:[,.!;–—-]{{1,3}}{_BLANK}{{0,3}}{_BREAK}?|{_BREAK})[\s>|*]{{0,12}}"
    rf"(?P<name>{_NAME}{_ENDS_LINE}|{_FULL_NAME}{_COMPANY_FOLLOWS})"
)
_SIGNED_WITHOUT_COMMA = re.compile(rf"(?<!\w)(?i:{_THANKS}){_GAP}(?P<name>{_NAME}){_ENDS_LINE}")
# Of a letter whose lines are gone: "Kind regards Anna Schmidt Acme Ltd".
_SIGNED_IN_LINE = re.compile(rf"(?<!\w)(?i:{_LETTERS_END})[,.!]?{_GAP}(?P<name>{_NAME})")

# Capitalised words that stand where a name would.
_NO_NAMES = re.compile(
    r"(?:All|Team|Support|Sir|Madam|Customer|Client|Service|Everyone|Everybody|Friends?|Colleagues?|Damen|Kund(?:en?|in|innen)|"
    r"Kolleg(?:en?|in|innen)|Zusammen|Madame|Monsieur|Messieurs|Equipo|Señores|Tutti|Allemaal|Dr|Prof|Thanks?|Regards|Please|There|The|"
    r"This|We|You|It)\b",
    re.IGNORECASE,
)
# Of those who are greeted or under a letter only: after a title they are names ("Mr Sellers").
_NOBODY = re.compile(
    rf"(?:(?!Don\b|Sir\b|M\b)(?:{_TITLES})|Again|Both|Sirs|Mesdames|Ladies|Gentlemen|Customers|Clients?|Valued|Folks|Guys|"
    r"Managers?|Hiring|Readers?|Sellers?|World|Leute|Welt|Freund(?:en?|in|innen)|Gr(?:ü|ue)(?:ß|ss)e|Groet(?:en|jes)?|Tous|Toutes|"
    r"Equipe|Équipe|Clientes?|Todos|Todas|Signori|Klant(?:en)?|Kunden(?:dienst|service)|Yes|No|Okay|Great|Perfect)\b",
    re.IGNORECASE,
)
_SHORTEST_PART = 2
_POSSESSIVE = re.compile(r"['’][sS]\Z")
_TOKEN = re.compile(r"\w+")
_BETWEEN_TOKENS = re.compile(r"[\s.'’-]{1,3}")


def find_names(text: str) -> Iterator[Span]:
    """Yield the names that a title, an introduction, a greeting or a signature gives away, and wherever else they stand."""
    names: dict[str, None] = {}
    for span in chain(_greeted(text), _signed(text), _called(text)):
        name = _POSSESSIVE.sub("", text[span.start : span.end])
        if name and not _NO_NAMES.match(name):
            yield Span(span.start, span.start + len(name), "NAME")
            names[name] = None
    words = dict.fromkeys(
        part for name in names for part in [name, *re.findall(_WORD, name)] if len(part) >= _SHORTEST_PART
    )
    if words:
        longest_first = sorted(words, key=len, reverse=True)
        yield from matches(re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"), "NAME", text)


def _called(text: str) -> Iterator[Span]:
    """Yield whom a title or an introduction names."""
    for pattern in (_AFTER_TITLE, _INTRODUCED, _PRESENTED):
        yield from matches(pattern, "NAME", text, group="name")


def _greeted(text: str) -> Iterator[Span]:
    """Yield whom the text greets."""
    for pattern in (_GREETED, _GREETED_AFTER_COMMA, _PRAISED):
        for greeting in pattern.finditer(text):
            for one in _OF_SEVERAL.finditer(text, *greeting.span("names")):
                yield _somebody(text, *one.span("name"))


def _signed(text: str) -> Iterator[Span]:
    """Yield who stands under a letter."""
    for pattern in (_SIGNED, _SIGNED_WITHOUT_COMMA, _SIGNED_IN_LINE):
        for signature in pattern.finditer(text):
            yield _somebody(text, *signature.span("name"))


def _somebody(text: str, start: int, end: int) -> Span:
    """Return the name without a sentence that begins in it, as nothing need stand between; empty where it is nobody's.

    A single word before a stop is a name, whatever else it may be.
    """
    if _NOBODY.match(text, start, end):
        return Span(start, start, "NAME")
    words = list(re.finditer(_WORD, text[start:end]))
    if len(words) > 1 or not _STOPS.match(text, end):
        for word in words:
            is_opening = word.group().replace("’", "'").casefold() in OPENING_WORDS
            if is_opening or _ASKS.match(text, start + word.start()):
                return Span(start, start + len(text[start : start + word.start()].rstrip()), "NAME")
    return Span(start, end, "NAME")


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
