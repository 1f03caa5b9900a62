"""The labels of a choice: how they are given, how a model sees them, and how its answer is read back.

Keeps to itself: the keys. A model answers "billing" rather than "billing and refunds": as much of each label as tells it from the
others, or a letter or number where that would be long. Small models judge better in words than in letters.
Promises: every key stands for one label; anything else is no label.
"""

import json
import re
import typing
from collections.abc import Iterable, KeysView, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from string import ascii_uppercase
from typing import Any

from mistral_nb.completion import LabelChoice
from mistral_nb.errors import InvalidAnswer, InvalidLabels, InvalidOption
from mistral_nb.tasks.packing import slot
from mistral_nb.tasks.prompts import can_be_sent

_EXAMPLE = 'e.g. ["billing", "delivery", "bug"]'
_OTHER_DESCRIPTION = "none of the above fits"
# In bytes: about four tokens. Of 24 reviews local-small judged all right in words ("positive") and 16 in letters. Of intents of
# bank customers, which have long names, six sets of five, it had 40 of 60 right by beginnings of 8 letters, 40 by whole names and
# 31 in letters; 4 to 9 of 10 in each set, and in a seventh, where beginnings such as "getting_" mislead, 6 of 24 (2026-11).
_LONGEST_KEY = 16
_SHORTEST_BEGINNING = 8
# Not after the points of "e.g."
_SENTENCE_ENDS = re.compile(r"(?<![.\s]\w\.)(?<=[.!?])\s+|\s*[\n;]\s*")
# What a label is not, or when alone it is one, brings texts nearer to it that should keep away.
_RESTRICTION = re.compile(r"\b(?:not|never|no|nor|only|unless|except|without|instead|rather)\b|n['’]t\b", re.IGNORECASE)
_NO_WORD = re.compile(r"[\W_]+")
# A label is a line of the prompt.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class LabelSet:
    """Labels in the order given, checked by `label_set`.

    Attributes
    ----------
    names
        The labels, `other` last where there is one.
    descriptions
        What each label means; "" where it was not said.
    other
        The label of texts that no other fits; None where each text gets one of the others.
    """

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    other: str | None = None

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What stands for each label in an answer.

        The label itself where all are short; otherwise the beginning that no other label has; where that is long, a letter, or a
        number where there are many labels or one is a letter.
        """
        for words in (self.names, self._beginnings):
            if all(len(word.encode()) <= _LONGEST_KEY for word in words):
                return words
        count = len(self.names)
        numbers = [str(number) for number in range(1, count + 1)]
        kinds = [numbers, [f"L{number}" for number in numbers], [f"#{number}" for number in numbers]]
        if count <= len(ascii_uppercase):
            kinds.insert(0, list(ascii_uppercase[:count]))
        labels = {name.strip().upper() for name in self.names}
        # No kind is free only where labels of each kind were chosen to that end: then every answer is read as a key.
        return tuple(next((keys for keys in kinds if labels.isdisjoint(keys)), kinds[-1]))

    @property
    def key_word(self) -> str:
        """What a prompt calls a key."""
        return "label" if self.keys == self.names else "label's key"

    @cached_property
    def key_tokens(self) -> int:
        """The most tokens that a key has; none is smaller than a byte of what JSON writes."""
        return max(len(json.dumps(key)) for key in self.keys)

    @cached_property
    def lines(self) -> str:
        """One line for each label: key, label, description."""
        return "\n".join(
            (f"- {name}" if key == name else f"{key}: {name}") + (f" ({description})" if description else "")
            for key, name, description in zip(self.keys, self.names, self.descriptions, strict=True)
        )

    @property
    def _beginnings(self) -> tuple[str, ...]:
        """Of each label the shortest beginning that no other has, of 8 characters at least, without white space around it."""
        found = []
        for name in self.names:
            lengths = range(_SHORTEST_BEGINNING, min(len(name), _LONGEST_KEY + 1))
            beginnings = (name[:length] for length in lengths if not name[length - 1].isspace())
            own = (start for start in beginnings if sum(other.startswith(start) for other in self.names) == 1)
            found.append(next(own, name))
        return tuple(found)

    @cached_property
    def key_of(self) -> Mapping[str, str]:
        return dict(zip(self.names, self.keys, strict=True))

    def name(self, key: Any) -> str:
        """Return the label of a key, or that a model wrote out instead of its key; InvalidAnswer for anything else."""
        found = self._name_of.get(key) if isinstance(key, str) else None
        if found is None:
            raise InvalidAnswer(
                f"The model answered {str(key)[:80]!r}, which is none of the labels.",
                "Try another model for this row, or add a label that fits.",
            )
        return found

    def hints(self, examples: "LabelledExamples", instructions: str = "") -> "LabelHints":
        """Return for each label the texts that say more of it: its description, sentences of the instructions that name it and no
        other label (without "not", "only" and their like), and its examples.
        """
        said = self._said_of_labels(instructions)
        hints = [
            (*filter(None, [description]), *said[name], *examples.texts_of(name))
            if name != self.other
            else ()  # what it has in common is that nothing is
            for name, description in zip(self.names, self.descriptions, strict=True)
        ]
        return LabelHints(tuple(hints) if any(hints) else (), are_of_instructions=any(said.values()))

    def choice(
        self, text: str, *, hints: "LabelHints", instructions: str = "", is_several: bool = False
    ) -> LabelChoice:
        """Return the choice between the labels, for backends that can score them."""
        return LabelChoice(
            text=text,
            labels=self.names,
            answers=self.keys,
            hints=hints.texts,
            other=self.other,
            instructions=instructions,
            are_instructions_hints=hints.are_of_instructions,
            is_several=is_several,
        )

    def _said_of_labels(self, instructions: str) -> Mapping[str, list[str]]:
        said: dict[str, list[str]] = {name: [] for name in self.names}
        for sentence in _SENTENCE_ENDS.split(instructions):
            words = f" {_NO_WORD.sub(' ', sentence.casefold())} "
            named = [name for name in self.names if f" {_NO_WORD.sub(' ', name.casefold())} " in words]
            if len(named) == 1 and not _RESTRICTION.search(sentence):
                said[named[0]].append(sentence)
        return said

    @cached_property
    def _name_of(self) -> Mapping[str, str]:
        return {name: name for name in self.names} | dict(zip(self.keys, self.names, strict=True))


@dataclass(frozen=True, slots=True)
class LabelHints:
    """For each label the texts that say more of it, empty where there are none, and whether the instructions say any of them."""

    texts: tuple[tuple[str, ...], ...] = ()
    are_of_instructions: bool = False


@dataclass(frozen=True, slots=True)
class LabelledExamples:
    """Texts with their labels, checked by `labelled_examples`."""

    pairs: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def lines(self, labels: LabelSet) -> str:
        """Return one line for each example: its text as a JSON string, and the keys of its labels; "" when there are none."""
        lines = [f"{slot(text)}: {', '.join(labels.key_of[name] for name in names)}" for text, names in self.pairs]
        return "\n".join(["Examples:", *lines]) if lines else ""

    def texts_of(self, label: str) -> tuple[str, ...]:
        """Return the texts that are examples of a label."""
        return tuple(text for text, names in self.pairs if label in names)


NO_EXAMPLES = LabelledExamples()


def label_set(labels: Any, *, other: str | None = None) -> LabelSet:
    """Return the labels of a list, a dict of descriptions, an Enum or a Literal.

    Raises
    ------
    InvalidLabels
        `labels` is no ordered collection (a text, a set), holds fewer than two labels, one twice, one that is blank, or one that is
        not text of one line; a description is no text; `other` is one of them.
    """
    described = _described(labels)
    names = [name for name, _ in described]
    for name in [*names, *([] if other is None else [other])]:
        if not isinstance(name, str) or not name.strip() or _CONTROLS.search(name) or not can_be_sent(name):
            raise InvalidLabels(f"The label {name!r} is not text.", f"Give each label as a word or two, {_EXAMPLE}.")
    if len(names) < 2:
        raise InvalidLabels(f"One label is no choice: {names}.", f"Give at least two, {_EXAMPLE}.")
    if other is not None and other.strip() in {name.strip() for name in names}:
        raise InvalidLabels(
            f"other={other!r} is one of the labels.", "Leave it out of the labels, or give another word as other=."
        )
    stripped = [name.strip() for name in names]
    doubled = sorted({name for name in stripped if stripped.count(name) > 1})
    if doubled:
        raise InvalidLabels(f"Labels given twice: {', '.join(map(repr, doubled))}.", "Give each label once.")
    for name, description in described:
        if description is not None and not isinstance(description, str):
            raise InvalidLabels(
                f"The description of {name!r} is {description!r}.",
                'Give a dict of texts, e.g. {"billing": "invoices, refunds", "bug": "something broken"}.',
            )
    descriptions = [" ".join((description or "").split()) for _, description in described]
    if other is not None:
        names, descriptions = [*names, other], [*descriptions, _OTHER_DESCRIPTION]
    return LabelSet(tuple(names), tuple(descriptions), other)


def labelled_examples(examples: Any, labels: LabelSet, *, several: bool = False) -> LabelledExamples:
    """Return the examples; `several` lets one have a list of labels.

    Raises
    ------
    InvalidOption
        They are no pairs of a text and a label, or the label is none of `labels`.
    """
    if isinstance(examples, Mapping):
        examples = examples.items()
    if isinstance(examples, str) or not isinstance(examples, Iterable):
        raise _no_example(examples)
    pairs = []
    for example in examples:
        if isinstance(example, str) or not isinstance(example, Iterable) or len(pair := tuple(example)) != 2:
            raise _no_example(example)
        text, given = pair
        names = tuple(map(_named, given if several and isinstance(given, list | tuple) else (given,)))
        if not isinstance(text, str) or not text.strip():
            raise _no_example(example)
        for name in names:
            if name not in labels.names:
                raise InvalidOption(
                    f"The example {text[:40]!r} has the label {name!r}, which is none of the labels.",
                    f"The labels are: {', '.join(labels.names)}.",
                )
        pairs.append((text, names))
    return LabelledExamples(tuple(pairs))


def _described(labels: Any) -> list[tuple[Any, Any]]:
    """Return each label with its description, None where there is none."""
    if isinstance(labels, str):
        raise InvalidLabels(f"labels is the single text {labels!r}.", f"Give a list of labels, {_EXAMPLE}.")
    if isinstance(labels, type) and issubclass(labels, Enum):
        return [(_named(member), None) for member in labels]
    if typing.get_origin(labels) is typing.Literal:
        return [(_named(name), None) for name in typing.get_args(labels)]
    if isinstance(labels, Mapping):
        return [(_named(name), description) for name, description in labels.items()]
    if (isinstance(labels, Set) and not isinstance(labels, KeysView)) or not isinstance(labels, Iterable):
        # A set has another order in each kernel, and the order is part of the question that is paid for.
        raise InvalidLabels(
            f"labels is a {type(labels).__name__}.",
            f"Give a list of labels, {_EXAMPLE}, a dict of label and description, an Enum or a Literal.",
        )
    return [(_named(name), None) for name in labels]


def _named(label: Any) -> Any:
    """Return the label that a member of an Enum stands for: its text, or where it has none its name."""
    if not isinstance(label, Enum):
        return label
    return str(label.value) if isinstance(label.value, str) else label.name


def _no_example(example: Any) -> InvalidOption:
    return InvalidOption(
        f"The example {str(example)[:80]!r} is no pair of text and label.",
        'Give a list of pairs, e.g. examples=[("card charged twice", "billing")].',
    )
