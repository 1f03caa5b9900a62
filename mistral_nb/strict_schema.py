"""A JSON schema as a model can be held to it, and its answers as the schema means them.

Keeps to itself: the ways around what strict decoding can't do. An optional property is asked for as a nullable one, an object with
free keys as a list of keys and values, a root that is no object as an object with one property, a value of any kind as a scalar.
Promises: pure; `decoded` turns an answer to what `asked` asks for into a value of the schema it was made from. What is sent to a
hosted model has only the keywords that say how a value is built: Mistral's servers have answered 400, "Received unsupported
keyword", to `format` (github.com/langchain-ai/langchain/issues/29604, 2025-02) and, on Azure, to `minimum`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from mistral_nb.errors import InvalidSchema

Schema = Mapping[str, Any]
Keeps = Callable[[str, Any], bool]

WRAPPED = "answer"
KEY, VALUE = "key", "value"

_LENGTHS = frozenset({"minItems", "maxItems", "minLength", "maxLength"})
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_LIMITS = _LENGTHS | _BOUNDS | {"uniqueItems", "pattern", "format", "multipleOf"}
_GRAMMAR_FORMATS = frozenset({"date", "time", "date-time", "uuid"})
_LONGEST_IN_GRAMMAR = 1000
_SCALARS = ("string", "number", "boolean", "null")
_PYTHON_KINDS: dict[str, Any] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}


def for_reading(name: str, value: Any) -> bool:
    """Whether a limit belongs into the schema as a prompt shows it: each does."""
    return name in _LIMITS


def for_hosted(name: str, value: Any) -> bool:
    """Whether a limit belongs into the schema as the hosted API takes it: none does."""
    return False


def for_grammar(name: str, value: Any) -> bool:
    """Whether the embedded model's grammar knows the limit, and stays small with it."""
    if name in _LENGTHS:
        return bool(value <= _LONGEST_IN_GRAMMAR)
    if name == "pattern":
        # The grammar takes a pattern for the only bound of a string's length, so it must come to an end by itself.
        spelled = _with_digits_spelled_out(value)
        return bool(re.fullmatch(r"\^.{,1000}\$", spelled)) and not re.search(r"[*+\\|]|,\}|\(\?|\[[^]]*\[", spelled)
    return name in _BOUNDS or (name == "format" and value in _GRAMMAR_FORMATS)


@dataclass(frozen=True, slots=True)
class StrictSchema:
    """One JSON schema; made with `strict_schema`, which checks that it can be asked for."""

    root: Schema

    @property
    def is_wrapped(self) -> bool:
        """Whether the answer is an object with the one property `answer`, because the schema's own root is no object."""
        return not _is_record(self.resolved(self.root))

    def asked(self, keeps: Keeps) -> dict[str, Any]:
        """Return the strict schema with the limits that `keeps`."""
        writing = _Writing(self, keeps)
        root = writing.node(self.resolved(self.root))
        if self.is_wrapped:
            root = _closed_object({WRAPPED: root})
        return {**root, "$defs": writing.definitions} if writing.definitions else root

    def decoded(self, answer: Any) -> Any:
        """Return the value that an answer stands for: unwrapped, free keys restored, optional properties that are null left out.

        What does not have the form that was asked for stays as it is, for the validator to name.
        """
        if self.is_wrapped and isinstance(answer, dict) and answer.keys() == {WRAPPED}:
            answer = answer[WRAPPED]
        return self._decoded(self.root, answer)

    def _decoded(self, node: Any, value: Any) -> Any:
        node = self.resolved(node)
        if branches := _branches(node):
            fitting = next((branch for branch in branches if self._fits(branch, value)), None)
            return value if fitting is None else self._decoded(fitting, value)
        if isinstance(value, list) and _is_map(node):
            if not _is_pairs(value):
                return value
            return {str(pair[KEY]): self._decoded(_map_value(node), pair[VALUE]) for pair in value}
        if isinstance(value, list):
            first, rest = _item_schemas(node)
            kinds = [*first[: len(value)], *[rest] * (len(value) - len(first))]
            return [self._decoded(kind, item) for kind, item in zip(kinds, value, strict=True)]
        if isinstance(value, dict):
            properties, required = node.get("properties", {}), node.get("required", ())
            return {
                name: self._decoded(properties.get(name, True), inner)
                for name, inner in value.items()
                if inner is not None or name in required or self.takes_null(properties.get(name, True))
            }
        return value

    def _fits(self, node: Any, value: Any) -> bool:
        """Whether the value can be an answer to this branch of a union: told by its kind, its names, and its fixed words."""
        node = self.resolved(node)
        if branches := _branches(node):
            return any(self._fits(branch, value) for branch in branches)
        if _is_fixed(node):
            return value in _words(node)
        if _is_map(node):
            return isinstance(value, dict) or _is_pairs(value)
        if _is_record(node):
            properties = node["properties"]
            return (
                isinstance(value, dict)
                and set(node.get("required", ())) <= value.keys() <= properties.keys()
                and all(
                    inner is None or self._fits(properties[name], inner)
                    for name, inner in value.items()
                    if _is_fixed(self.resolved(properties[name]))
                )
            )
        kind = _kind(node)
        if kind == "null" or value is None or (isinstance(value, bool) and kind in {"number", "integer"}):
            return value is None and kind in {"null", None}
        return isinstance(value, _PYTHON_KINDS.get(str(kind), object))

    def takes_null(self, node: Any) -> bool:
        """Whether null is a value of the node."""
        node = self.resolved(node)
        if branches := _branches(node):
            return any(self.takes_null(branch) for branch in branches)
        return None in _words(node) if _is_fixed(node) else _kind(node) in {"null", None}

    def resolved(self, node: Any, seen: frozenset[str] = frozenset()) -> Schema:
        """Return the node with its reference followed and the parts of its `allOf` put together."""
        if not isinstance(node, Mapping):
            return {"type": "null"} if node is False else {}
        said = {name: value for name, value in node.items() if name not in {"$ref", "allOf"}}
        reference = node.get("$ref")
        if reference in seen:
            raise InvalidSchema(f"The reference {reference!r} leads only to itself.", "Say what the value is.")
        parts = [self.target(reference), *node.get("allOf", ())] if reference else node.get("allOf", ())
        for part in parts:
            found = self.resolved(part, seen | {reference} if reference else seen)
            both = {**found, **said}
            if "properties" in both:
                both["properties"] = {**found.get("properties", {}), **said.get("properties", {})}
            if "required" in both:
                both["required"] = [*found.get("required", ()), *said.get("required", ())]
            said = both
        if _is_map(said) and _is_fixed(keys := self.resolved(said.get("propertyNames", True), seen)):
            # Free keys that are known are names: a small model does not know when to stop writing keys.
            return {**said, "properties": {str(key): _map_value(said) for key in _words(keys)}}
        return said

    def target(self, reference: str) -> Any:
        """Return what a reference leads to inside the schema; InvalidSchema where that is nothing."""
        found: Any = self.root
        for step in reference.removeprefix("#").split("/")[1:] if reference.startswith("#/") else ():
            name = step.replace("~1", "/").replace("~0", "~")
            inside = {str(place): item for place, item in enumerate(found)} if isinstance(found, list) else found
            found = inside.get(name) if isinstance(inside, Mapping) else None
        if found is None or not (reference == "#" or reference.startswith("#/")):
            raise InvalidSchema(
                f"The schema has a reference {reference!r} that leads nowhere inside it.",
                'Put what it means under "$defs" and refer to "#/$defs/<name>".',
            )
        return found


class _Writing:
    """One writing of a strict schema: its definitions, each once, as references need them."""

    def __init__(self, source: StrictSchema, keeps: Keeps) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self._source = source
        self._keeps = keeps
        self._names: dict[str, str] = {}

    def node(self, node: Any) -> dict[str, Any]:
        """Return the strict form of one node."""
        if isinstance(node, Mapping) and "$ref" in node and not node.keys() & {"properties", "allOf"}:
            written = {"$ref": f"#/$defs/{self._definition(node['$ref'])}"}
            # Not every reader of schemas heeds words beside a reference.
            return {"anyOf": [written], "description": node["description"]} if "description" in node else written
        resolved = self._source.resolved(node)
        described = {"description": resolved["description"]} if resolved.get("description") else {}
        return {**self._built(resolved), **described}

    def _definition(self, reference: str) -> str:
        """Return the name of the definition that a reference leads to, written now if it was not."""
        if reference not in self._names:
            plain = re.sub(r"\W+", "_", reference.rsplit("/", 1)[-1].removeprefix("#")) or "root"
            names = (plain if number == 1 else f"{plain}_{number}" for number in count(1))
            name = next(name for name in names if name not in self.definitions)
            self._names[reference] = name
            self.definitions[name] = {}  # before it is written: what it holds may refer to it
            self.definitions[name].update(self.node(self._source.target(reference)))
        return self._names[reference]

    def _built(self, node: Schema) -> dict[str, Any]:
        if branches := _branches(node):
            return {"anyOf": [self.node(branch) for branch in branches]}
        kind = _kind(node)
        if _is_fixed(node):
            return {**({"type": kind} if isinstance(kind, str) else {}), "enum": _words(node)}
        if _is_record(node):
            required = node.get("required", ())
            return _closed_object(
                {
                    name: self.node(inner) if name in required else self._nullable(inner)
                    for name, inner in node["properties"].items()
                }
            )
        if _is_map(node):
            pair = _closed_object({KEY: {"type": "string"}, VALUE: self.node(_map_value(node))})
            return {"type": "array", "items": pair}
        limits = {name: node[name] for name in node if name in _LIMITS and self._keeps(name, node[name])}
        match kind:
            case "object":
                return _closed_object({})
            case "array":
                return {"type": "array", **self._items(node), **limits}
            case None:
                return {"anyOf": [{"type": scalar} for scalar in _SCALARS]}
            case _:
                return {"type": kind, **_together(limits, self._keeps)}

    def _items(self, node: Schema) -> dict[str, Any]:
        first, rest = _item_schemas(node)
        written = [self.node(item) for item in first]
        if written and self._keeps("minItems", len(first)):
            return {"prefixItems": written}
        kinds = [kind for place, kind in enumerate(written) if kind not in written[:place]]
        return {"items": {"anyOf": kinds} if len(kinds) > 1 else kinds[0] if kinds else self.node(rest)}

    def _nullable(self, node: Any) -> dict[str, Any]:
        written = self.node(node)
        if self._source.takes_null(node):
            return written
        described = {"description": written.pop("description")} if "description" in written else {}
        kinds = written["anyOf"] if written.keys() == {"anyOf"} else [written]
        return {"anyOf": [*kinds, {"type": "null"}], **described}


def strict_schema(schema: Schema) -> StrictSchema:
    """Return the schema, ready to be asked for.

    Raises
    ------
    InvalidSchema
        There is nothing in it to fill in, or a reference leads nowhere.
    """
    strict = StrictSchema(schema)
    try:
        asked = strict.asked(for_reading)
    except RecursionError:
        raise InvalidSchema(
            "The schema contains itself without end.", "Let one of its unions or lists end it."
        ) from None
    if not asked["properties"] or asked["properties"].get(WRAPPED, {}).get("enum") == []:
        raise InvalidSchema("The schema has nothing to fill in.", "Give it at least one field, e.g. summary: str.")
    return strict


def _kind(node: Schema) -> Any:
    implied = {"properties": "object", "items": "array", "prefixItems": "array"}
    return node.get("type", next((kind for name, kind in implied.items() if name in node), None))


def _branches(node: Schema) -> list[Any]:
    """Return the branches of a union; none where the node says itself what it is, and its branches only limit that."""
    kind = _kind(node)
    if _is_fixed(node) or isinstance(kind, str):
        return []
    if isinstance(kind, list):
        return [{**node, "type": one} for one in kind]
    return list(node.get("anyOf") or node.get("oneOf") or ())


def _is_fixed(node: Schema) -> bool:
    return "const" in node or "enum" in node


def _words(node: Schema) -> list[Any]:
    return list(node["enum"]) if "enum" in node else [node["const"]]


def _is_record(node: Schema) -> bool:
    """Whether the node is an object with names of its own."""
    return "properties" in node and _kind(node) == "object"


def _is_map(node: Schema) -> bool:
    """Whether the node is an object with free keys."""
    is_open = node.get("additionalProperties") is not False or "patternProperties" in node
    return _kind(node) == "object" and "properties" not in node and is_open


def _map_value(node: Schema) -> Any:
    said = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    values = [value for value in said if isinstance(value, Mapping)]
    return {"anyOf": values} if len(values) > 1 else values[0] if values else True


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(pair, dict) and pair.keys() == {KEY, VALUE} for pair in value)


def _item_schemas(node: Schema) -> tuple[list[Any], Any]:
    """Return the schemas of the first items, and that of all further ones."""
    items = node.get("items", True)
    if isinstance(items, list):  # how drafts before 2020-12 say prefixItems
        return items, node.get("additionalItems", True)
    return list(node.get("prefixItems", ())), items


def _closed_object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _together(limits: dict[str, Any], keeps: Keeps) -> dict[str, Any]:
    """Return the limits of one string or number that can hold at once: the grammar knows a pattern or a length, not both."""
    is_grammar = keeps is for_grammar and "pattern" in limits
    return {"pattern": _with_digits_spelled_out(limits["pattern"])} if is_grammar else limits


def _with_digits_spelled_out(pattern: str) -> str:
    return pattern.replace(r"\d", "[0-9]")  # a class that the grammar does not know
