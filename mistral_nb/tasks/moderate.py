"""What a moderation model says of a text.

Promises: a value holds a claim and a score for each category that the API names, under the API's own name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mistral_nb.completion import InputsAnswer, InputsRequest, Moderation
from mistral_nb.engine.rows import ColumnsOfAnswers
from mistral_nb.errors import InvalidAnswer
from mistral_nb.tasks.inputs import SharedInputs

# Of mistral-moderation-2603 (specification of 2026-08), for a run that gave nothing.
_CATEGORIES = (
    "sexual",
    "hate_and_discrimination",
    "violence_and_threats",
    "dangerous",
    "criminal",
    "selfharm",
    "health",
    "financial",
    "law",
    "pii",
    "jailbreaking",
)
_SCORE_SUFFIX = "_score"
_LONGEST_SHARED_TEXT_TOKENS = 2000


@dataclass(frozen=True, slots=True)
class Moderate:
    """Ask which categories each text is in: claims as ``{"sexual": false, …}``, scores as ``{"sexual_score": 0.01, …}``."""

    verb: ClassVar[str] = "moderate"
    version: ClassVar[int] = 1
    answer_tokens: ClassVar[int] = 0

    def request(self, text: str, *, model: str) -> InputsRequest:
        return self.packing.request([text], model=model)

    def value(self, answer: InputsAnswer) -> dict[str, Any]:
        return _by_category(answer.results[0])

    def agrees(self, value: dict[str, Any], other: dict[str, Any]) -> bool:
        return value == other

    @property
    def dtype(self) -> ColumnsOfAnswers:
        return ColumnsOfAnswers(_columns)

    @property
    def packing(self) -> SharedInputs:
        return SharedInputs(endpoint="moderations", read=_by_category, longest_text_tokens=_LONGEST_SHARED_TEXT_TOKENS)


def _by_category(moderation: Moderation) -> dict[str, Any]:
    if not moderation.flagged:
        raise InvalidAnswer(f"{moderation.model} named no category.", "Use Mistral's own: model='moderation'.")
    value: dict[str, Any] = {}
    for category, is_flagged in moderation.flagged.items():
        value[category] = is_flagged
        value[f"{category}{_SCORE_SUFFIX}"] = moderation.scores.get(category)
    return value


def _columns(values: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the columns that the answers have: categories as the API named them, each with its score."""
    nothing = {name: None for category in _CATEGORIES for name in (category, f"{category}{_SCORE_SUFFIX}")}
    names = dict.fromkeys(name for value in values or [nothing] for name in value)
    return {name: "Float64" if name.endswith(_SCORE_SUFFIX) else "boolean" for name in names}
