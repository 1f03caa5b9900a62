"""What the notebook's names can be for the magic: frames, schemas, tools.

Promises: nothing is evaluated and nothing heavy is imported; an object of any kind is only looked at.
"""

import dataclasses
import enum
import inspect
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

from mistral_nb.notebook.frame_context import Frame, is_frame
from mistral_nb.notebook.magic.interpolation import notebook_variables
from mistral_nb.notebook.magic.options import found

# What an answer can also be, besides the notebook's own classes.
_PLAIN: Mapping[str, Any] = {"str": str, "int": int, "float": float, "bool": bool}
_LIST_OF = re.compile(r"list\[\s*(\w+)\s*\]")


def variables(shell: InteractiveShell) -> dict[str, Any]:
    """Return the reader's own variables."""
    return notebook_variables(shell.user_ns, shell.user_ns_hidden)


def frames(among: Mapping[str, Any]) -> dict[str, Frame]:
    """Return the DataFrames and Series."""
    return {name: value for name, value in among.items() if is_frame(value)}


def schemas(among: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an answer can have the form of: classes with fields, Enums, types such as list[…], JSON schemas."""
    return {name: value for name, value in among.items() if _is_schema(value)}


def schema(name: str, among: Mapping[str, Any]) -> Any:
    """Return the schema of this name, also str, int, float and bool, or of ``list[NAME]``; InvalidOption when there is none."""
    known = {**schemas(among), **{name: kind for name, kind in _PLAIN.items() if name not in among}}
    if match := _LIST_OF.fullmatch(name):
        return list[found(match[1], known, option="--json", kind="schema")]  # type: ignore[misc]
    return found(name, known, option="--json", kind="schema")


def guardrails(among: Mapping[str, Any]) -> dict[str, Any]:
    """Return what can be Mistral's guardrails: lists of dicts."""
    return {
        name: value
        for name, value in among.items()
        if isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value)
    }


def tools(among: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model may call: functions, tools, kits of tools, and frames (for which there is a kit)."""
    return {name: value for name, value in among.items() if _is_tool(value) or is_frame(value)}


def as_tools(value: Any, *, name: str) -> Any:
    """Return the value as `chat_with_tools` takes it: a frame becomes the kit that reads it."""
    if not is_frame(value):
        return value
    from mistral_nb.tools.frame_tools import frame_tools

    return frame_tools(value.to_frame() if isinstance(value, pd.Series) else value, name=name)


def _is_schema(value: Any) -> bool:
    if isinstance(value, dict):
        return "type" in value or "properties" in value or "$ref" in value or "anyOf" in value
    if not inspect.isclass(value):
        origin = getattr(value, "__origin__", None)
        return origin is not None and not inspect.ismodule(value) and type(value).__module__ in {"types", "typing"}
    is_model = hasattr(value, "model_json_schema") and value.__name__ != "BaseModel"
    is_typed_dict = issubclass(value, dict) and hasattr(value, "__required_keys__")
    return is_model or is_typed_dict or dataclasses.is_dataclass(value) or issubclass(value, enum.Enum)


def _is_tool(value: Any) -> bool:
    if inspect.isclass(value):
        return False
    if isinstance(value, tuple | list):
        return bool(value) and all(_is_tool_object(item) for item in value)
    return inspect.isroutine(value) or _is_tool_object(value)


def _is_tool_object(value: Any) -> bool:
    return type(value).__module__ == "mistral_nb.tools.function_tool"
