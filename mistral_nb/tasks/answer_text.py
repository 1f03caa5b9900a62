"""The text of an answer that can be used, whatever the task, and whether two of them agree.

Promises: a cut, refused or empty answer is an error of its own kind, never a value.
"""

import json
import re
from typing import Any, ClassVar

from mistral_nb.completion import Completion
from mistral_nb.counted import counted
from mistral_nb.errors import InvalidAnswer, TruncatedAnswer
from mistral_nb.refusal import check_answered

# Two free answers to one question rarely have the same words; of those that say the same, most share this many.
_SHARED_WORDS = 0.3
# Servers that don't know `json_schema` let models wrap their JSON in a code block.
_FENCE = re.compile(r"\A```\w*\s*|\s*```\Z")


def answered_text(completion: Completion) -> str:
    """Return the text of a complete answer, without surrounding white space.

    Raises
    ------
    TruncatedAnswer
        The answer ended at `max_tokens`.
    Refused
        The finish_reason is neither "stop" nor one the API documents for complete answers, e.g. "content_filter".
    InvalidAnswer
        The answer is empty.
    """
    if completion.is_truncated:
        raise TruncatedAnswer(
            f"The answer was cut at {counted(completion.usage.completion_tokens, 'token')}: {completion.text[-60:]!r}.",
            "Allow more words where the verb takes a number of them; a model that thinks before it answers may need another model.",
        )
    check_answered(completion, remedy="Change the text of this row, or leave it out.")
    text = whole_characters(completion.text).strip()
    if not text:
        raise InvalidAnswer(f"{completion.model} gave an empty answer.", "Try another model for this row.")
    return text


def answered_json(completion: Completion) -> Any:
    """Return the JSON value that the answer is; errors as in `answered_text`, and InvalidAnswer for what is no JSON."""
    text = answered_text(completion)
    try:
        return json.loads(_FENCE.sub("", text))
    except (ValueError, RecursionError):
        raise InvalidAnswer(
            f"{completion.model} answered {text[:80]!r}, which is no JSON.", "Try another model for this row."
        ) from None


def checked_answer(answer: Any) -> str:
    """Return a free answer that came among others; InvalidAnswer for what is no text, or blank."""
    text = whole_characters(answer).strip() if isinstance(answer, str) else ""
    if not text:
        raise InvalidAnswer(f"The model's answer is {str(answer)[:80]!r}.", "Try another model for this row.")
    return text


def whole_characters(text: str) -> str:
    """Return the text with half an emoji, which a model can write and nothing else can store, as a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


class FreeAnswer:
    """What the tasks have in common whose value is the model's text."""

    __slots__ = ()

    dtype: ClassVar[str] = "str"

    def value(self, completion: Completion) -> str:
        return answered_text(completion)

    def agrees(self, value: str, other: str) -> bool:
        return says_the_same(value, other)


def says_the_same(text: str, other: str) -> bool:
    """Whether two free answers share so many words that they say the same."""
    words, others = (set(re.findall(r"\w+", said.lower())) for said in (text, other))
    return len(words & others) >= _SHARED_WORDS * len(words | others)
