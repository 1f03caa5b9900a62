"""How a text feels about what it speaks of, as a whole.

Keeps to itself: the prompt, and what each sentiment is called.
Promises: as `mistral_nb.tasks.classify`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from mistral_nb.errors import InvalidOption
from mistral_nb.tasks.classify import Classify
from mistral_nb.tasks.labels import LabelHints, LabelSet
from mistral_nb.tasks.length import checked_instructions

# In this order they are also the categories.
_DESCRIPTIONS = {
    "negative": "",
    "neutral": "neither good nor bad",
    "positive": "",
    "mixed": "both good and bad",
}


@dataclass(frozen=True)
class Sentiment(Classify):
    """Choose the sentiment of each text; made with `sentiment_task`."""

    verb: ClassVar[str] = "sentiment"
    version: ClassVar[int] = 1
    question: ClassVar[str] = "Which sentiment does {text} express?"

    @property
    def _hints(self) -> LabelHints:
        # The descriptions tell a reader; they are no texts that such a sentiment is found in. Neither are instructions.
        return LabelHints()


def sentiment_labels(*, neutral: Any, mixed: Any) -> LabelSet:
    """Return "negative" and "positive" with those of the others that are wanted; InvalidOption for what is no boolean."""
    for name, value in {"neutral": neutral, "mixed": mixed}.items():
        if not isinstance(value, bool):
            raise InvalidOption(f"{name} is {value!r}.", f"Give {name}=True or {name}=False.")
    is_wanted = {"negative": True, "neutral": neutral, "positive": True, "mixed": mixed}
    names = tuple(name for name in _DESCRIPTIONS if is_wanted[name])
    return LabelSet(names, tuple(_DESCRIPTIONS[name] for name in names))


def sentiment_task(
    *, neutral: bool = True, mixed: bool = True, instructions: str | None = None, shows_confidence: bool = False
) -> Sentiment:
    """Return the task; InvalidOption for blank `instructions`, or a flag that is no boolean."""
    return Sentiment(
        labels=sentiment_labels(neutral=neutral, mixed=mixed),
        instructions=checked_instructions(instructions),
        shows_confidence=shows_confidence,
    )
