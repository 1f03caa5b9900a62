"""The same text without its mistakes.

Keeps to itself: the prompt.
Promises: see `mistral_nb.tasks.rewriting`. Language, tone and wording are asked to stay, and so is a text without mistakes.
"""

from dataclasses import dataclass
from typing import ClassVar

from mistral_nb.tasks.length import checked_instructions
from mistral_nb.tasks.rewriting import Rewriting

_ORDER = (
    "Correct spelling, grammar and punctuation of {text}, in its own language. Change nothing else, neither wording nor tone; "
    "what has no mistake stays as it is."
)


@dataclass(frozen=True, slots=True)
class FixGrammar(Rewriting):
    """Correct each text; made with `fix_grammar_task`."""

    verb: ClassVar[str] = "fix_grammar"
    version: ClassVar[int] = 1
    result: ClassVar[str] = "corrected text"


def fix_grammar_task(instructions: str | None = None) -> FixGrammar:
    """Return the task; InvalidOption for blank `instructions`."""
    return FixGrammar(_ORDER, checked_instructions(instructions))
