"""The same text in another language.

Keeps to itself: the prompt.
Promises: see `mistral_nb.tasks.rewriting`. A text that is in that language already is asked to stay as it is.
"""

from dataclasses import dataclass
from typing import ClassVar

from mistral_nb.errors import InvalidOption
from mistral_nb.languages import language_name
from mistral_nb.tasks.length import checked_instructions
from mistral_nb.tasks.rewriting import Rewriting


@dataclass(frozen=True, slots=True)
class Translate(Rewriting):
    """Translate each text; made with `translate_task`, which checks the languages."""

    verb: ClassVar[str] = "translate"
    version: ClassVar[int] = 1
    result: ClassVar[str] = "translation"


def translate_task(to: str, *, from_: str | None = None, instructions: str | None = None) -> Translate:
    """Return the task for this language.

    Raises
    ------
    InvalidOption
        `to` or `from_` is no language, they are the same, or `instructions` is blank.
    """
    target = language_name(to, option="to")
    source = None if from_ is None else language_name(from_, option="from_")
    if source == target:
        raise InvalidOption(f"to and from_ are both {target}.", 'Give two languages, e.g. to="fr", from_="de".')
    if source is None:
        order = f"Translate {{text}} into {target}; what is {target} already stays as it is."
    else:
        order = f"Translate {{text}} from {source} into {target}."
    return Translate(order, checked_instructions(instructions))
