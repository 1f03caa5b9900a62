"""``{name}`` in a prompt becomes what the notebook's variable holds.

Keeps to itself: which braces mean a variable, and how a value is written.
Promises: never raises, never evaluates an expression, never reads what it has put in; every brace that means no variable stays as
it is. Read are variables, their attributes (properties too) and their items; nothing is called.
"""

import inspect
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from mistral_nb.counted import counted
from mistral_nb.notebook.frame_context import compact, is_frame

# What is not text is bounded; a text is the reader's own words, and is never cut.
MOST_CHARACTERS_OF_A_VALUE = 20_000

_NAME = r"[^\W\d]\w*"
_STEP = rf"\.{_NAME}|\[(?:-?\d+|\"[^\"\n]*\"|'[^'\n]*'|[^\[\]{{}}\"'\n]+)\]"
_DOUBLED = rf"\{{\{{{_NAME}(?:{_STEP})*\}}\}}"
_FIELD = re.compile(rf"{_DOUBLED}|\{{(?P<name>{_NAME})(?P<steps>(?:{_STEP})*)\}}")
_ONE_STEP = re.compile(_STEP)
_NOTHING = object()


def interpolated(text: str, variables: Mapping[str, Any]) -> str:
    """Return the text with ``{name}``, ``{name.attr}`` and ``{name[key]}`` replaced where the name is known and the access works.

    Parameters
    ----------
    text
        What the reader typed. ``{{name}}`` stays as it is.
    variables
        The notebook's variables by name.
    """

    def replacement(match: re.Match[str]) -> str:
        if match["name"] is None:
            return match[0]
        value = _value(match["name"], match["steps"], variables)
        written = None if value is _NOTHING else value_text(value, name=match[0][1:-1])
        return match[0] if written is None else written

    return _FIELD.sub(replacement, text)


def value_text(value: object, *, name: str) -> str | None:
    """Return how a value is written in a prompt; None when it can't be written (a module, or an object whose str fails).

    A frame is a bounded table that says what was cut, a function or class its source, anything else its `str`.
    """
    try:
        if isinstance(value, str):
            return str(value)
        if is_frame(value):
            return compact(value, name=name)
        if isinstance(value, ModuleType):
            return None
        if inspect.isclass(value) or inspect.isroutine(value):
            return inspect.getsource(value)
        return _bounded(str(value))
    except Exception:  # noqa: BLE001  # whatever an object of the reader's does, the brace stays
        return None


def notebook_variables(user_ns: Mapping[str, Any], hidden: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reader's own variables: without IPython's (In, Out, exit, …) and without those that begin with an underscore."""
    return {
        name: value
        for name, value in user_ns.items()
        if not name.startswith("_") and not (name in hidden and hidden[name] is value)
    }


def _value(name: str, steps: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        return _NOTHING
    value = variables[name]
    for step in _ONE_STEP.findall(steps):
        try:
            value = _attribute(value, step[1:]) if step.startswith(".") else _item(value, step[1:-1])
        except Exception:  # noqa: BLE001  # a property or an item of the reader's objects may do anything
            return _NOTHING
        if value is _NOTHING:
            return _NOTHING
    return value


def _attribute(value: Any, name: str) -> Any:
    return _NOTHING if name.startswith("_") else getattr(value, name, _NOTHING)


def _item(value: Any, key: str) -> Any:
    """Return the item for a number, or for a text in quotes or without."""
    if key[0] in "\"'":
        keys: list[Any] = [key[1:-1]]
    elif re.fullmatch(r"-?\d+", key):
        keys = [int(key), key]
    else:
        keys = [key]
    for wanted in keys:
        if isinstance(value, Mapping):  # asked first: a defaultdict would make up the item
            if wanted in value:
                return value[wanted]
        else:
            try:
                return value[wanted]
            except (KeyError, IndexError, TypeError):
                continue
    return _NOTHING


def _bounded(text: str) -> str:
    cut = len(text) - MOST_CHARACTERS_OF_A_VALUE
    return text if cut <= 0 else f"{text[:MOST_CHARACTERS_OF_A_VALUE]}… ({counted(cut, 'character')} more)"
