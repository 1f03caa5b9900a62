"""A class of fields that a model proposed.

Keeps to itself: how what a model says becomes Python.
Promises: nothing of what it says is run. Names become identifiers that clash with nothing, texts become literals; the class is made
of them by pydantic, and its source says the same.
"""

import keyword
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mistral_nb.errors import InvalidAnswer

if TYPE_CHECKING:
    from pydantic import BaseModel

# The kinds of fields by the words a model is asked for, with their annotation and its default.
KINDS: Mapping[str, tuple[str, str]] = {
    "text": ("str | None", "default=None"),
    "whole number": ("int | None", "default=None"),
    "number": ("float | None", "default=None"),
    "yes or no": ("bool | None", "default=None"),
    "date": ("datetime.date | None", "default=None"),
    "choice": ("", "default=None"),
    "list of texts": ("list[str]", "default_factory=list"),
}
PROPOSAL = {
    "title": "Proposal",
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "What one object is, as a class name", "maxLength": 40},
        "fields": {
            "type": "array",
            "minItems": 1,
            "maxItems": 16,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "description": "In snake_case", "maxLength": 40},
                    "kind": {"enum": list(KINDS)},
                    "choices": {
                        "type": "array",
                        "items": {"type": "string", "maxLength": 40},
                        "maxItems": 12,
                        "description": "Of a choice; else empty",
                    },
                    "description": {"type": "string", "maxLength": 120},
                },
                "required": ["name", "kind", "choices", "description"],
            },
        },
    },
    "required": ["name", "fields"],
}
_FEWEST_CHOICES = 2


def checked_proposal(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a proposal with names that Python takes, each once; InvalidAnswer when no field is left."""
    taken: dict[str, dict[str, Any]] = {}
    for field in said["fields"]:
        name = _field_name(field["name"])
        choices = list(dict.fromkeys(choice.strip() for choice in field["choices"] if choice.strip()))
        kind = "text" if field["kind"] == "choice" and len(choices) < _FEWEST_CHOICES else field["kind"]
        if name and name not in taken:
            description = " ".join(field["description"].split())
            taken[name] = {"name": name, "kind": kind, "choices": choices, "description": description}
    if not taken:
        raise InvalidAnswer(
            "The model proposed no field.",
            "Say more of what you are after, or try another model.",
            errors=["fields: none has a name"],
        )
    return {"name": _class_name(said["name"]), "fields": list(taken.values())}


def proposed_source(proposal: Mapping[str, Any], what: str) -> str:
    """Return the Python source of the class."""
    annotations = [_annotation(field) for field in proposal["fields"]]
    imports = ["import datetime"] if any("datetime" in annotation for annotation in annotations) else []
    imports += ["from typing import Literal"] if any("Literal" in annotation for annotation in annotations) else []
    lines = [
        f"    {field['name']}: {annotation} = Field({KINDS[field['kind']][1]}, description={field['description']!r})"
        for field, annotation in zip(proposal["fields"], annotations, strict=True)
    ]
    head = [*imports, *([""] if imports else []), "from pydantic import BaseModel, Field", "", ""]
    return "\n".join([*head, f"class {proposal['name']}(BaseModel):", f"    {what!r}", "", *lines, ""])


def proposed_class(proposal: Mapping[str, Any], what: str) -> "type[BaseModel]":
    """Return the class, with its source in `__source__`."""
    import datetime
    from typing import Literal

    from pydantic import Field, create_model

    types: dict[str, Any] = {
        "text": str | None,
        "whole number": int | None,
        "number": float | None,
        "yes or no": bool | None,
        "date": datetime.date | None,
        "list of texts": list[str],
    }
    fields: dict[str, Any] = {}
    for field in proposal["fields"]:
        is_list = field["kind"] == "list of texts"
        annotation = types.get(field["kind"]) or Literal[tuple(field["choices"])] | None
        default: Any = {"default_factory": list} if is_list else {"default": None}
        fields[field["name"]] = (annotation, Field(**default, description=field["description"]))
    made: type[BaseModel] = create_model(proposal["name"], __doc__=what, **fields)
    made.__source__ = proposed_source(proposal, what)  # type: ignore[attr-defined]  # for whoever wants to change it
    return made


def _annotation(field: Mapping[str, Any]) -> str:
    if field["kind"] == "choice":
        return f"Literal[{', '.join(map(repr, field['choices']))}] | None"
    return KINDS[field["kind"]][0]


def _field_name(said: str) -> str:
    from pydantic import BaseModel

    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", said.strip())
    name = re.sub(r"[^0-9a-zA-Z]+", "_", name).strip("_").lower()
    if not name:
        return ""
    if name[0].isdigit():
        name = f"field_{name}"
    clashes = keyword.iskeyword(name) or hasattr(BaseModel, name) or name.startswith("model_")
    return f"{name}_" if clashes and not name.startswith("model_") else f"the_{name}" if clashes else name


def _class_name(said: str) -> str:
    words: Sequence[str] = re.findall(r"[A-Za-z][a-z0-9]*|[0-9]+", said)
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name.isidentifier() and not keyword.iskeyword(name) else "Record"
