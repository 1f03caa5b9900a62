"""Many texts made into one answer, level by level: what is asked next, and what the answers come to.

Keeps to itself: which chunk of which group is where.
Promises: pure bookkeeping, nothing is sent here. Each text of a group is in exactly one question of the first level (one that is
long in several, a part in each); the answers of a level are the texts of the next, until one question holds all that is left. A
question that is refused is asked in halves, down to single texts, so that a bad text loses only itself, and is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from mistral_nb.engine.rows import RowTask
from mistral_nb.engine.text_groups import TextGroup
from mistral_nb.errors import AnswerProblem, InvalidInput, MistralNotebookError, PromptTooLong, RequestRejected

# What is wrong with one question, which others may not share; anything else (a budget, an outage) is no text's fault.
_OF_THE_QUESTION = (AnswerProblem, InvalidInput, RequestRejected)


@dataclass(frozen=True, slots=True)
class Passage:
    """Something to read: a text, a part of one, or the answer to others.

    Attributes
    ----------
    text
        What is read.
    rows
        How many rows it stands for.
    first, last
        Numbers, within its group, of the texts that it stands for.
    """

    text: str
    rows: int
    first: int
    last: int


class FoldTask(Protocol):
    """How one verb folds; pure. The answers are texts; `result_name` is what one is called, e.g. "summary"."""

    verb: ClassVar[str]
    result_name: ClassVar[str]

    @property
    def dtype(self) -> Any:
        """The pandas dtype (or its name) of the answers."""

    def leaves(self, group: TextGroup) -> list[list[Passage]]:
        """Return a group's texts as the chunks that are asked first."""

    def chunks(self, passages: Sequence[Passage]) -> list[list[Passage]]:
        """Return answers as the chunks that are asked next; fewer than there are answers, and one in the end."""

    def parts(self, passage: Passage) -> list[Passage]:
        """Return a passage that the model could not read at once in smaller ones, which together say the same."""

    def question(
        self, passages: Sequence[Passage], *, level: int, is_last: bool, is_one_text: bool
    ) -> tuple[RowTask, str]:
        """Return what is asked of these passages.

        Parameters
        ----------
        level
            0 where they are texts, else answers.
        is_last
            Whether they are all that is left of their group.
        is_one_text
            Whether their group is a single text, of which these may be parts.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One question of one group: the row task that asks it, and the text that it is asked of."""

    group: int
    level: int
    place: int
    task: RowTask
    text: str
    passages: Sequence[Passage]
    is_last: bool

    @property
    def rows(self) -> int:
        """How many rows it stands for."""
        return sum(passage.rows for passage in self.passages)


@dataclass(slots=True)
class _Group:
    """One group: at its level, a place for each chunk, which holds the chunk's question until it is answered."""

    rows: Sequence[int]
    level: int = 0
    places: list[list[Question | Passage]] = field(default_factory=list)
    open: int = 0
    lost: dict[int, MistralNotebookError] = field(default_factory=dict)
    value: str | None = None
    error: MistralNotebookError | None = None


class Fold:
    """The folding of several groups.

    Parameters
    ----------
    task
        How it is done.
    groups
        Each with at least one text.
    may_lose
        Whether a group goes on without a text that can't be read; else it fails with it.
    """

    def __init__(self, task: FoldTask, groups: Sequence[TextGroup], *, may_lose: bool) -> None:
        self._task = task
        self._may_lose = may_lose
        self._groups = [_Group(group.rows) for group in groups]
        for number, group in enumerate(groups):
            self._ask(number, task.leaves(group))

    def questions(self) -> list[Question]:
        """Return what must be answered now, all groups together; none when nothing is left to ask."""
        return [
            found
            for group in self._groups
            if group.error is None and group.open
            for place in group.places
            for found in place
            if isinstance(found, Question)
        ]

    def answer(self, question: Question, text: str) -> None:
        """Take note of an answer."""
        group = self._groups[question.group]
        if question.is_last:
            group.value, group.open = text, 0
            return
        answered = Passage(text, question.rows, question.passages[0].first, question.passages[-1].last)
        self._settle(question, [answered])

    def fail(self, question: Question, error: MistralNotebookError) -> None:
        """Take note that there is no answer: halve the question, lose its text, or lose the group."""
        group, passages = self._groups[question.group], question.passages
        is_of_question = isinstance(error, _OF_THE_QUESTION)
        if len(passages) == 1 and isinstance(error, PromptTooLong):
            passages = self._task.parts(passages[0])
        if is_of_question and len(passages) > 1:
            middle = len(passages) // 2
            halves = passages[:middle], passages[middle:]
            self._settle(question, [self._question(question.group, half, question.place) for half in halves])
        elif is_of_question and self._may_lose and not _are_all(group, passages[0]):
            group.lost.update(dict.fromkeys(_texts_of(passages[0]), error))
            self._settle(question, [])
        else:
            group.error = error

    @property
    def values(self) -> list[str | None]:
        """The answer of each group; None where it failed or was not come to."""
        return [group.value for group in self._groups]

    @property
    def errors(self) -> dict[int, MistralNotebookError]:
        """Number of each group that failed, and why."""
        return {number: group.error for number, group in enumerate(self._groups) if group.error is not None}

    @property
    def covered_rows(self) -> list[int]:
        """How many rows each group's answer stands for; 0 where there is none."""
        return [
            0 if group.value is None else sum(group.rows) - sum(group.rows[text] for text in group.lost)
            for group in self._groups
        ]

    @property
    def losses(self) -> list[tuple[int, int, MistralNotebookError]]:
        """Group, rows and reason of each text that a group's answer does without."""
        return [
            (number, group.rows[text], error)
            for number, group in enumerate(self._groups)
            if group.value is not None
            for text, error in group.lost.items()
        ]

    def _ask(self, number: int, chunks: Sequence[Sequence[Passage]]) -> None:
        """Open the questions of the group's next level."""
        group, is_last = self._groups[number], len(chunks) == 1
        group.places = [
            # An answer that is alone in its chunk waits for the next level as it is.
            [
                chunk[0]
                if group.level and len(chunk) == 1 and not is_last
                else self._question(number, chunk, place, is_last)
            ]
            for place, chunk in enumerate(chunks)
        ]
        group.open = sum(isinstance(place[0], Question) for place in group.places)

    def _question(self, number: int, passages: Sequence[Passage], place: int, is_last: bool = False) -> Question:
        group = self._groups[number]
        task, text = self._task.question(passages, level=group.level, is_last=is_last, is_one_text=len(group.rows) == 1)
        return Question(number, group.level, place, task, text, passages, is_last)

    def _settle(self, question: Question, found: Sequence[Question | Passage]) -> None:
        """Put what was found in the question's place; when the level has no question left, open the next."""
        group = self._groups[question.group]
        place = group.places[question.place]
        at = place.index(question)
        place[at : at + 1] = found
        group.open += sum(isinstance(one, Question) for one in found) - 1
        if not group.open and group.error is None:
            group.level += 1
            answers = [one for place in group.places for one in place if isinstance(one, Passage)]
            self._ask(question.group, self._task.chunks(answers))


def _texts_of(passage: Passage) -> range:
    return range(passage.first, passage.last + 1)


def _are_all(group: _Group, passage: Passage) -> bool:
    """Whether nothing is left of the group without this passage."""
    return len(group.lost.keys() | _texts_of(passage)) == len(group.rows)
