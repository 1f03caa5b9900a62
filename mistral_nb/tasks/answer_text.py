"""The text of an answer that can be used, whatever the task.

Promises: a cut, refused or empty answer is an error of its own kind, never a value.
"""

from mistral_nb.completion import Completion
from mistral_nb.errors import InvalidAnswer, Refused, TruncatedAnswer


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
            f"The answer was cut at {completion.usage.completion_tokens} tokens: {completion.text[-60:]!r}.",
            "Allow more words where the verb takes a number of them; a model that thinks before it answers may need another model.",
        )
    if completion.finish_reason not in {"stop", "tool_calls"}:
        raise Refused(
            f"{completion.model} did not answer (finish_reason {completion.finish_reason!r}).",
            "Change the text of this row, or leave it out.",
        )
    # Half an emoji, which a model can write and nothing else can store.
    text = completion.text.encode("utf-8", "replace").decode("utf-8").strip()
    if not text:
        raise InvalidAnswer(f"{completion.model} gave an empty answer.", "Try another model for this row.")
    return text
