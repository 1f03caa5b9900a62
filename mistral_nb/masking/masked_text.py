"""A text with placeholders instead of what was found in it, and the way back.

Keeps to itself: the form of placeholders, e.g. [EMAIL_1], and how they are numbered.
Promises: `restored` gives a masked text back exactly, whatever it held, placeholders of its own included. Numbers are given in the
order in which things first stand in the texts that are masked together, and depend on nothing else: so equal texts are masked
equally, and texts that differ in nothing but names become equal. A thing that stands twice has one placeholder.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mistral_nb.masking.spans import Detector, found_by

# Digits and letters of ASCII alone: other scripts' are no placeholders of ours.
_PLACEHOLDER = re.compile(r"\[([A-Z]+)_(\d+)\]|(?<![A-Z0-9_])([A-Z]+)_(\d+)(?![A-Z0-9_])", re.IGNORECASE | re.ASCII)
# As much of it as a placeholder of ours can be.
_LIKE_A_PLACEHOLDER = re.compile(r"([A-Z]{1,12})_(\d{1,8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A masked text.

    Attributes
    ----------
    text
        What may be sent.
    originals
        What each placeholder in it stands for; empty where nothing was found.
    """

    text: str
    originals: Mapping[str, str]

    def restored(self, value: Any) -> Any:
        """Return an answer with the originals in place of their placeholders, see `restored`."""
        return restored(value, self.originals)


def restored(value: Any, originals: Mapping[str, str]) -> Any:
    """Return an answer with the originals in place of their placeholders, in lists and dicts too.

    A placeholder is known again without its brackets and in lower case, as some models write it.
    """
    if not originals:
        return value
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: originals.get(_placeholder_of(match), match.group()), value)
    if isinstance(value, list):
        return [restored(each, originals) for each in value]
    if isinstance(value, dict):
        return {restored(key, originals): restored(each, originals) for key, each in value.items()}
    return value


def kinds_of(placeholders: Iterable[str]) -> list[str]:
    """Return the kind of each placeholder, e.g. "EMAIL"."""
    return [placeholder[1:].partition("_")[0] for placeholder in placeholders]


def mask_text(text: str, detectors: Iterable[Detector]) -> MaskedText:
    """Return the text with a placeholder for each thing that the detectors find."""
    return mask_together([text], detectors)[0]


def mask_together(texts: Sequence[str], detectors: Iterable[Detector]) -> list[MaskedText]:
    """Return the texts masked so that a placeholder means the same in all of them, and their answers can be mixed."""
    numbering = _Numbering(texts)
    several = list(detectors)
    return [numbering.masked(text, several) for text in texts]


class _Numbering:
    """The placeholders of some texts: none that one of them has already, even as a part of a word."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._taken = {taken for text in texts for taken in _taken_by(text)}
        self._placeholders: dict[tuple[str, str], str] = {}
        self._last: dict[str, int] = defaultdict(int)

    def masked(self, text: str, detectors: Iterable[Detector]) -> MaskedText:
        pieces: list[str] = []
        originals: dict[str, str] = {}
        end = 0
        for span in found_by(detectors, text):
            original = text[span.start : span.end]
            placeholder = self._placeholder(span.kind, original)
            originals[placeholder] = original
            pieces += [text[end : span.start], placeholder]
            end = span.end
        pieces.append(text[end:])
        return MaskedText("".join(pieces), originals)

    def _placeholder(self, kind: str, original: str) -> str:
        if (kind, original) not in self._placeholders:
            self._last[kind] += 1
            while (kind, str(self._last[kind])) in self._taken:
                self._last[kind] += 1
            self._placeholders[kind, original] = f"[{kind}_{self._last[kind]}]"
        return self._placeholders[kind, original]


def _taken_by(text: str) -> Iterable[tuple[str, str]]:
    """Yield kind and number of whatever looks like a placeholder; next to something masked a part of it would do so too."""
    if "_" not in text:  # nearly always
        return
    for letters, digits in _LIKE_A_PLACEHOLDER.findall(text.upper()):
        for start in range(len(letters)):
            for end in range(1, len(digits) + 1):
                yield letters[start:], digits[:end]


def _placeholder_of(match: re.Match[str]) -> str:
    kind, number = match.group(1) or match.group(3), match.group(2) or match.group(4)
    return f"[{kind.upper()}_{number}]"
