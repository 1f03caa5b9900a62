"""What must stand in a rewritten text as it stood in the source: placeholders, links, addresses, code, numbers.

Keeps to itself: what counts as such a part.
Promises: pure and forgiving: a number may be grouped otherwise (1,000 or 1 000), numbers of one or two digits may become words or
move in a date, and what looks like a part but was prose in the source is not looked for. A number of three digits or more has to
stand as often as it stood, and not as a part of another.
"""

import re
from collections import Counter

from mistral_nb.errors import InvalidAnswer

# In this order: what an earlier one takes is not looked at by a later one.
_PART = re.compile(
    r"""
      ```.*?``` | `[^`\n]+`                            # code
    | https?://[^\s<>()"']+[^\s<>()"'.,;:!?]           # links
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                     # addresses
    | \{\{[^{}\n]+\}\} | \{[A-Za-z_0-9][\w.:!%-]*(?:[ ][\w.:!%-]+){0,2}\} | \{\}   # {name}, {{ name }}, {0}, {user name}
    | %(?:\([A-Za-z_]\w*\)|\d+\$)?[-+0#]*\d*(?:\.\d+)?(?:l{0,2}[sdiufxXeEgGc](?!\w)|@)   # %s, %(name)s, %.2f, %5d, %@
    | \$\{[^{}\n]+\}                                   # ${name}
    | </?[A-Za-z][\w:.-]*(?:                           # tags, whose attributes have values or are known: <b and c> is prose
        \s+(?:[\w:@.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>=]+)
            |async|autoplay|checked|controls|defer|disabled|hidden|loop|multiple|muted|open|readonly|required|selected)
      )*\s*/?>
    | \[[A-Z][A-Z_]*_\d+\]                             # [EMAIL_1], what masking puts in the place of an address
    """,
    re.VERBOSE | re.DOTALL,
)
_SEPARATOR = r"[.,'’\u00a0\u202f ]"
_GROUPING = re.compile(rf"(?<=\d){_SEPARATOR}(?=\d{{3}}(?!\d))")
# 10,00,000 is how a million is grouped in India.
_INDIAN = re.compile(r"(?<![\d,])\d{1,2}(?:,\d\d)+,\d{3}(?![\d,])")
# 1 000 can be nothing else, but 100 200 may be two numbers.
_SURELY_GROUPED = re.compile(rf"(?<!\d)\d{{1,2}}(?:{_SEPARATOR}\d{{3}})+(?!\d)")
_NUMBER = re.compile(r"\d{3,}")


def check_kept(source: str, rewritten: str) -> None:
    """Raise InvalidAnswer when a part of the source is missing in the rewritten text."""
    wanted = Counter(_PART.findall(source))
    missing = [part for part in wanted if _times(part, rewritten) < wanted[part]]
    missing += _missing_numbers(
        _PART.sub(" ", source), _PART.sub(lambda part: " " if part.group() in wanted else part.group(), rewritten)
    )
    if missing:
        raise InvalidAnswer(
            f"The answer lost {', '.join(repr(part[:40]) for part in missing[:3])}: {rewritten[:80]!r}.",
            "Try another model for this row.",
        )


def _times(part: str, text: str) -> int:
    """Return how often the part is in the text; a mask counts without its brackets too, as it is put back without them."""
    return text.lower().count(part[1:-1].lower()) if part.startswith("[") else text.count(part)


def _missing_numbers(source: str, rewritten: str) -> list[str]:
    """Return the numbers that stand more often in the source; none where one of the two ways to read groups finds them all."""
    together = _numbers_together(source) - _numbers_together(rewritten)
    apart = _numbers_apart(source) - _numbers_apart(rewritten)
    return list(together) if together and apart else []


def _numbers_together(text: str) -> Counter[str]:
    return _numbers(_GROUPING.sub("", _without_indian_groups(text)))


def _numbers_apart(text: str) -> Counter[str]:
    return _numbers(_SURELY_GROUPED.sub(_digits_of, _without_indian_groups(text)))


def _without_indian_groups(text: str) -> str:
    return _INDIAN.sub(_digits_of, text)


def _numbers(text: str) -> Counter[str]:
    """Return the numbers of three digits or more, in whatever digits a language writes them."""
    return Counter("".join(str(int(digit)) for digit in number) for number in _NUMBER.findall(text))


def _digits_of(number: re.Match[str]) -> str:
    return re.sub(r"\D", "", number.group())
