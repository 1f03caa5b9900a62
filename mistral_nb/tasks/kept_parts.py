"""What must stand in a rewritten text as it stood in the source: placeholders, links, addresses, code, numbers.

Keeps to itself: what counts as such a part.
Promises: pure and forgiving: a number may be grouped otherwise (1,000 or 1 000), numbers of one or two digits may become words or
move in a date, and what looks like a part but was prose in the source is not looked for.
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
    | \{\{[^{}\n]+\}\} | \{[A-Za-z_0-9][\w.:!%-]*\} | \{\}   # {name}, {{ name }}, {0}
    | %\([A-Za-z_]\w*\)[sdif] | %(?:\d+\$)?[sdif](?!\w)   # %(name)s, %s
    | \$\{[^{}\n]+\}                                   # ${name}
    | </?[A-Za-z][^<>\n]*>                             # tags
    | \[[A-Z][A-Z_]*_\d+\]                             # [EMAIL_1], what masking puts in the place of an address
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"\d{3,}")
_GROUPING = re.compile(r"(?<=\d)[.,'’\u00a0\u202f ](?=\d{3}(?!\d))")


def check_kept(source: str, rewritten: str) -> None:
    """Raise InvalidAnswer when a part of the source is missing in the rewritten text."""
    wanted = Counter(_PART.findall(source))
    missing = [part for part in wanted if _times(part, rewritten) < wanted[part]]
    digits = _GROUPING.sub("", _PART.sub(" ", rewritten))
    missing += [
        number
        for number in dict.fromkeys(_NUMBER.findall(_GROUPING.sub("", _PART.sub(" ", source))))
        if number not in digits
    ]
    if missing:
        raise InvalidAnswer(
            f"The answer lost {', '.join(repr(part[:40]) for part in missing[:3])}: {rewritten[:80]!r}.",
            "Try another model for this row.",
        )


def _times(part: str, text: str) -> int:
    """Return how often the part is in the text; a mask counts without its brackets too, as it is put back without them."""
    return text.lower().count(part[1:-1].lower()) if part.startswith("[") else text.count(part)
