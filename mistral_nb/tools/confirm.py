"""How a person is asked whether a call may be made.

Promises: only a person's own yes allows a call; where nobody can be asked it is denied, with the reason.
"""

import sys
from collections.abc import Callable

from mistral_nb.tools.records import Call, shown_call

# True allows the call, anything else denies it; a text is the reason that the model is given.
Confirm = Callable[[Call], bool | str]

NOBODY_TO_ASK = "There is nobody to ask here, and this tool needs a person's consent."

_YES = {"y", "yes"}
# What is approved must have been seen; longer arguments say how much of them was not.
_SHOWN_CHARACTERS = 2_000


def ask_person(call: Call) -> bool | str:
    """Ask by a prompt below the cell (or in the terminal), and return whether the answer was yes.

    Without a front end that can ask (Run All by nbclient or papermill, a script without a terminal), nobody is asked and the
    reason is returned.
    """
    from IPython.core.error import StdinNotImplementedError

    if not _can_ask():
        return NOBODY_TO_ASK
    try:
        answer = input(f"Run {shown_call(call.name, call.arguments, characters=_SHOWN_CHARACTERS)}? [y/N] ")
    except (EOFError, StdinNotImplementedError):
        return NOBODY_TO_ASK
    return answer.strip().lower() in _YES


def _can_ask() -> bool:
    """Whether `input` reaches a person: a kernel finds out by itself, elsewhere there must be a terminal."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return hasattr(shell, "kernel") or (sys.stdin is not None and sys.stdin.isatty())
