"""What a moderation model says of a text.

Promises: a value holds a claim and a score for each category that the API names, under the API's own name.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from mistral_nb.completion import InputsAnswer, InputsRequest, Moderation
from mistral_nb.errors import InvalidAnswer
from mistral_nb.tasks.inputs import SharedInputs

SCORE_SUFFIX = "_score"
_LONGEST_SHARED_TEXT_TOKENS = 2000


@dataclass(frozen=True, slots=True)
class Moderate:
    """Ask which categories each text is in: claims as ``{"sexual": false, …}``, scores as ``{"sexual_score": 0.01, …}``."""

    verb: ClassVar[str] = "moderate"
    version: ClassVar[int] = 1
    dtype: ClassVar[str] = "object"
    answer_tokens: ClassVar[int] = 0

    def request(self, text: str, *, model: str) -> InputsRequest:
        return self.packing.request([text], model=model)

    def value(self, answer: InputsAnswer) -> dict[str, Any]:
        return _by_category(answer.results[0])

    def agrees(self, value: dict[str, Any], other: dict[str, Any]) -> bool:
        return value == other

    @property
    def packing(self) -> SharedInputs:
        return SharedInputs(endpoint="moderations", read=_by_category, longest_text_tokens=_LONGEST_SHARED_TEXT_TOKENS)


def _by_category(moderation: Moderation) -> dict[str, Any]:
    if not moderation.flagged:
        raise InvalidAnswer(f"{moderation.model} named no category.", "Use Mistral's own: model='moderation'.")
    value: dict[str, Any] = {}
    for category, is_flagged in moderation.flagged.items():
        value[category] = is_flagged
        value[f"{category}{SCORE_SUFFIX}"] = moderation.scores.get(category)
    return value
