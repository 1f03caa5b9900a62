"""What is said unasked of answers that the embedded model all but guesses.

Promises: a warning says what was measured to go wrong and the line that helps; nothing is said of other models.
"""

import warnings
from typing import TYPE_CHECKING, Any

from mistral_nb.notebook.parts import current_part
from mistral_nb.readers_code import readers_stacklevel
from mistral_nb.settings import is_local

if TYPE_CHECKING:
    from mistral_nb.engine.rows import RowTask


def warn_of_guesses(task: "RowTask", *, model: str, rows_per_request: Any) -> None:
    """Warn of labels that the embedded model would write instead of scoring them, and of instructions that scores do not heed."""
    if current_part() is not None or not is_local(model):
        return
    choice = task.request("", model=model).choice
    if choice is None:
        return
    if rows_per_request != "auto" and rows_per_request > 1 and task.packing is not None:
        _warn(
            f"{model} writes the labels of rows that share a request, and is then right less often, of many "
            "choices hardly more than by chance.\n"
            "Leave rows_per_request out: each row's labels are scored, which takes less time as well."
        )
    elif choice.instructions and not choice.are_instructions_hints:
        _warn(
            f"{model} scores labels, which these instructions do not change: {choice.instructions[:80]!r}.\n"
            'In classify, sentences that name one label count, e.g. instructions="A complaint about a price is billing."; so do '
            "descriptions of labels, and examples. A hosted model follows instructions."
        )


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=readers_stacklevel())
