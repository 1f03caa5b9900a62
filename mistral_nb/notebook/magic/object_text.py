"""An object of the notebook as JSON in a Markdown answer.

Promises: any object becomes a code block; what JSON has not is shown as Python shows it.
"""

from typing import Any

from mistral_nb.notebook.code_cell import as_block


def as_json_block(value: Any) -> str:
    """Return a fenced block with the value as JSON, indented."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        text = to_json(value, indent=2, inf_nan_mode="strings", fallback=str).decode()
    except (PydanticSerializationError, ValueError, RecursionError):
        text = repr(value)
    return as_block(text, "json")
