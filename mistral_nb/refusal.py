"""Whether a model answered at all.

Keeps to itself: which ends of an answer the API documents; an end that it does not, such as "content_filter", is a refusal.
"""

from mistral_nb.completion import Completion
from mistral_nb.errors import Refused

ANSWERED = frozenset({"stop", "tool_calls"})


def is_refusal(completion: Completion) -> bool:
    """Whether the answer ended, and neither by itself nor by a cut."""
    return bool(completion.finish_reason) and completion.finish_reason not in ANSWERED and not completion.is_truncated


def check_answered(completion: Completion, *, remedy: str = "Change the prompt, or ask another model.") -> None:
    """Raise `Refused` for an answer that is none; what had come of it is in the exception's `withheld`."""
    if is_refusal(completion):
        raise Refused(
            f"{completion.model} did not answer (finish_reason {completion.finish_reason!r}).",
            remedy,
            withheld=completion,
        )
