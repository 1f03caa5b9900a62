"""What the moderation model looks at, and which of its scores are too high.

Promises: pure; a category with a threshold is judged by its score, any other by the moderation model's own claim; a threshold for a
category that there is not is an error, so that a misspelt one does not let everything pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from mistral_nb.completion import Moderation
from mistral_nb.errors import InvalidOption

Stage = Literal["input", "output"]
Moderate = Literal["input", "output", "both"]

_THRESHOLDS_LINE = 'mistral_nb.configure(moderation_thresholds={"violence_and_threats": 0.5})'


@dataclass(frozen=True, slots=True, kw_only=True)
class ModerationPolicy:
    """Where texts are moderated, and the thresholds by category in [0, 1]."""

    moderate: Moderate
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def covers(self, stage: Stage) -> bool:
        """Whether texts at this stage are moderated."""
        return self.moderate in {stage, "both"}

    def violations(self, judged: Moderation) -> dict[str, float]:
        """Return the categories that are violated, with their scores.

        Raises
        ------
        InvalidOption
            A threshold is for a category that the moderation model does not have.
        """
        for category in self.thresholds:
            if category not in judged.scores:
                raise InvalidOption(
                    f"{judged.model} has no category {category!r}, for which there is a threshold.",
                    f"There are: {', '.join(judged.scores)}.",
                )
        return {
            category: score
            for category, score in judged.scores.items()
            if (
                score >= self.thresholds[category]
                if category in self.thresholds
                else judged.flagged.get(category, False)
            )
        }

    def __str__(self) -> str:
        limits = ",".join(f"{category}={limit:g}" for category, limit in sorted(self.thresholds.items()))
        return f"{self.moderate}({limits})"


def checked_moderate(value: object) -> Moderate:
    """Return which texts are moderated; InvalidOption for anything else."""
    if value not in get_args(Moderate):
        raise InvalidOption(
            f"moderate is {value!r}.", 'Give moderate="input", "output" or "both"; moderate="" for none.'
        )
    return cast(Moderate, value)


def checked_thresholds(value: object) -> dict[str, float]:
    """Return the thresholds, given as a mapping or as text: ``category=0.5,other=0.9``."""
    given: Any = _pairs(value) if isinstance(value, str) else value
    if not isinstance(given, Mapping) or not all(isinstance(category, str) for category in given):
        raise InvalidOption(
            f"moderation_thresholds is {value!r}.", f"Give a score by category, e.g. {_THRESHOLDS_LINE}."
        )
    return {category: _checked_threshold(category, limit) for category, limit in given.items()}


def _pairs(text: str) -> dict[str, str] | None:
    pairs = [entry.partition("=") for entry in text.split(",") if entry.strip()]
    return {name.strip(): limit for name, _, limit in pairs} if all(sign for _, sign, _ in pairs) else None


def _checked_threshold(category: str, limit: Any) -> float:
    try:
        number = -1.0 if isinstance(limit, bool) else float(limit)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 1:
        raise InvalidOption(
            f"The threshold of {category!r} is {limit!r}.", f"Give a score from 0 to 1, e.g. {_THRESHOLDS_LINE}."
        )
    return number
