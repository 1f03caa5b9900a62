"""How a JSON schema is filled from a text.

Keeps to itself: the reading of schemas. Promises: `fill` returns what the schema allows, the same for the same text,
and what the text says if it says it.

Told        ``price: 12`` or ``"price": 12`` in the text tells the property `price`; underscores may be spaces.
const       Itself.
enum        The value that occurs in the text, whatever its case; the last one if several do (instructions come first,
            data after), else one that a crc32 of the text chooses. A key that a legend explains (see `Legend`) occurs where
            its label does or, where no label does, a phrase of its description; else the key that is for all else.
string      What is told, else a date, time or address for such a `format`, a match of `pattern`, or the first 8 words.
number      What is told, else the first number of the text, else a crc32; kept within the bounds.
boolean     What is told (true, yes, 1), else whether the property's words are in the text.
array       Of an enum: the values that occur. Otherwise `minItems` items, at least one unless `maxItems` is 0.
object      All properties, required or not.
nullable    null unless told, or a literal enum value is in the text; a nullable object or array is filled.
Rows        A text with several rows (see `rows_in`) fills an array of objects that have an id property with one
            object for each row, from that row's text alone; so it does an array that must have as many items as there
            are rows, and a property named as a row's id. A text with a single row is that row's text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

Schema = Mapping[str, Any]

_ID_NAMES = ("id", "row_id", "row", "index", "key")
_TAGGED_ROW = re.compile(r"""<(\w+)\s[^>]*?\bid=["']?([\w.-]+)["']?[^>]*>(.*?)</\1>""", re.DOTALL)
_MARKED_ROW = re.compile(r"^\[([\w.-]+)\][ \t]+(.*?)(?=^\[[\w.-]+\][ \t]|\Z)", re.DOTALL | re.MULTILINE)
_QUOTED_ROW = re.compile(r'^(\d+) ("(?:[^"\\]|\\.)*")$', re.MULTILINE)
_LEGEND_LINE = re.compile(r"^(?:([^:\n]{1,16}): |- )((?:(?! \().)+)(?: \((.*)\))?$", re.MULTILINE)
_FOR_ALL_ELSE = "none of the above fits"
_RECORD_ROW = re.compile(r"^(\d+) (\{.*\})$", re.MULTILINE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NULL_WORDS = frozenset({"null", "none", "unknown", "n/a"})
_TRUE_WORDS = frozenset({"true", "yes", "1"})
_FORMATS = {
    "date": (r"\d{4}-\d{2}-\d{2}", "2026-01-01"),
    "date-time": (r"\d{4}-\d{2}-\d{2}T[\d:]+(?:Z|[+-]\d{2}:\d{2})", "2026-01-01T00:00:00Z"),
    "time": (r"\d{2}:\d{2}:\d{2}", "00:00:00"),
    "email": (r"[\w.+-]+@[\w-]+\.[\w.]*\w", "someone@example.org"),
    "uri": (r"https?://[^\s\"<>]+", "https://example.org/"),
    "uuid": (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "00000000-0000-4000-8000-000000000000"),
}
# Far deeper than any real schema; what a schema that contains itself is stopped at.
_DEEP = 8


class Legend:
    """What keys stand for: lines ``A: label (phrase, phrase)`` of a prompt, or ``- label (phrase)`` for a label that is its key."""

    def __init__(self, prompt: str = "") -> None:
        self._lines = {found[1] or found[2]: (found[2], found[3] or "") for found in _LEGEND_LINE.finditer(prompt)}

    def is_of(self, values: list[Any]) -> bool:
        return bool(values) and all(value in self._lines for value in values)

    def place(self, key: str, text: str) -> tuple[int, int]:
        """Return where the last occurrence of what a key stands for ends: its label, or else a phrase; -1 for nowhere."""
        label, description = self._lines[key]
        phrases = description.split(", ") if description else []
        return _last_place(label, text), max([_last_place(phrase, text) for phrase in phrases], default=-1)

    def is_said(self, key: str, text: str) -> bool:
        return self.place(key, text) != (-1, -1)

    def chosen(self, keys: list[str], text: str) -> str | None:
        """Return the key that the text speaks for, or the one that is for all else."""
        # Of two labels that end at the same place, such as "active" and "inactive", the longer one is meant.
        best = max(keys, key=lambda key: (self.place(key, text), len(self._lines[key][0])))
        if self.is_said(best, text):
            return best
        return next((key for key in keys if self._lines[key][1] == _FOR_ALL_ELSE), None)


class Row(NamedTuple):
    id: str
    text: str


def rows_in(text: str) -> list[Row]:
    """Return the rows packed into a text, in order; empty for a text that is no pack.

    A row is a line with a number and a JSON string or object (if every line is), ``<row id="7">…</row>`` (any tag with an id), a
    JSON object with an `id` (in an array, or one per line), or what follows ``[7]`` at the start of a line.
    """
    records = _RECORD_ROW.findall(text)
    if records and len(records) == text.strip().count("\n") + 1:
        told = [(number, _decode(record)) for number, record in records]
        return [Row(number, "; ".join(f"{name}: {value}" for name, value in record.items())) for number, record in told]
    quoted = _QUOTED_ROW.findall(text)
    if quoted and len(quoted) == text.strip().count("\n") + 1:
        return [Row(number, str(_decode(string))) for number, string in quoted]
    tagged = [Row(found[1], found[2].strip()) for found in _TAGGED_ROW.findall(text)]
    if tagged:
        return tagged
    return _json_rows(text) or [Row(found[0], found[1].strip()) for found in _MARKED_ROW.findall(text)]


def _json_rows(text: str) -> list[Row]:
    start = text.find("[{") if "[{" in text else text.find("[\n")
    found: Any = None
    if start >= 0:
        found = _decode(text[start:])
    if not isinstance(found, list):
        found = [_decode(line) for line in map(str.strip, text.splitlines()) if line.startswith("{")]
    rows: list[Row] = []
    for record in found:
        id_name = next((name for name in _ID_NAMES if isinstance(record, dict) and name in record), None)
        if id_name is None:
            return []
        others = {name: value for name, value in record.items() if name != id_name}
        told = [str(value) if len(others) == 1 else f"{name}: {value}" for name, value in others.items()]
        rows.append(Row(str(record[id_name]), "; ".join(told)))
    return rows


def _decode(text: str) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except ValueError:
        return None


def fill(schema: Schema, text: str, *, salt: int = 0, legend: Legend | None = None) -> Any:
    """Return a value that `schema` allows; `salt` varies what is left to chance (the choices of `n`)."""
    rows = rows_in(text)
    return _Filler(schema, rows, salt, legend or Legend()).fill(schema, rows[0].text if len(rows) == 1 else text)


@dataclass(frozen=True, slots=True)
class _Filler:
    """One schema (for its references), one text's rows, one salt, one legend."""

    root: Schema
    rows: list[Row]
    salt: int
    legend: Legend

    def fill(self, schema: Any, text: str, name: str = "", depth: int = 0) -> Any:
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        branches = [self._resolve(branch) for branch in schema.get("anyOf") or schema.get("oneOf") or ()]
        if isinstance(schema.get("type"), list):
            branches = [{**schema, "type": kind} for kind in schema["type"]]
        if branches:
            return self._union(branches, text, name, depth)
        if "enum" in schema:
            return self._enum(schema["enum"], text, name)
        match schema.get("type", "object" if "properties" in schema else "string"):
            case "object":
                return self._object(schema, text, depth)
            case "array":
                return self._array(schema, text, name, depth)
            case "integer" | "number" as kind:
                return self._number(schema, text, name, is_integer=kind == "integer")
            case "boolean":
                told = _told(name, text)
                return told.lower() in _TRUE_WORDS if told is not None else bool(name) and _has_words_of(name, text)
            case "null":
                return None
            case _:
                return self._string(schema, text, name)

    def _resolve(self, schema: object) -> Schema:
        if not isinstance(schema, dict):  # true, or nothing: anything goes
            return {}
        for part in schema.get("allOf") or ():
            schema = {**self._resolve(part), **{name: value for name, value in schema.items() if name != "allOf"}}
        if "$ref" not in schema:
            return schema
        found: Any = self.root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
            found = found[step] if step else found
        return self._resolve({**found, **{name: value for name, value in schema.items() if name != "$ref"}})

    def _chance(self, text: str, name: str) -> int:
        return crc32(f"{self.salt}:{name}:{text}".encode())

    def _union(self, branches: list[Schema], text: str, name: str, depth: int) -> Any:
        real = [branch for branch in branches if branch.get("type") != "null" and branch.get("const", 0) is not None]
        if not real:
            return None
        if len(real) == len(branches):
            return self.fill(real[0], text, name, depth)
        told = _told(name, text)
        if depth > _DEEP or (told is not None and told.lower() in _NULL_WORDS):
            return None
        is_said = any(_last_place(value, text) >= 0 for value in real[0].get("enum", ()))
        is_scalar = real[0].get("type", "object") not in ("object", "array")
        return None if is_scalar and told is None and not is_said else self.fill(real[0], text, name, depth)

    def _enum(self, values: list[Any], text: str, name: str) -> Any:
        if self.legend.is_of(values):
            return self.legend.chosen(values, text) or values[self._chance(text, name) % len(values)]
        for where in (_told(name, text) or "", text):
            # Of two values that end at the same place, such as "active" and "inactive", the longer one is meant.
            said = max(values, key=lambda value: (_last_place(value, where), len(str(value))))
            if _last_place(said, where) >= 0:
                return said
        return values[self._chance(text, name) % len(values)]

    def _object(self, schema: Schema, text: str, depth: int) -> dict[str, Any]:
        by_id = {row.id: row.text for row in self.rows}
        return {
            name: self.fill(inner, by_id.get(name, text), name, depth + 1)
            for name, inner in schema.get("properties", {}).items()
        }

    def _array(self, schema: Schema, text: str, name: str, depth: int) -> list[Any]:
        items = self._resolve(schema.get("items", {}))
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        id_name = next((known for known in _ID_NAMES if known in items.get("properties", {})), None)
        if self.rows and id_name is not None:
            return [self._row(items, id_name, row, depth) for row in self.rows]
        if self.rows and least == most == len(self.rows):
            return [self.fill(items, row.text, name, depth + 1) for row in self.rows]
        if "enum" in items:
            is_said = self.legend.is_said if self.legend.is_of(items["enum"]) else _occurs
            said = [value for value in items["enum"] if is_said(value, text)]
            others = [value for value in items["enum"] if value not in said]
            return [*said, *others[: max(0, least - len(said))]][: len(items["enum"]) if most is None else most]
        count = least if depth > _DEEP else max(least, 1)
        count = count if most is None else min(count, most)
        return [self.fill(items, text, name, depth + 1) for _ in range(count)]

    def _row(self, items: Schema, id_name: str, row: Row, depth: int) -> dict[str, Any]:
        filled = _Filler(self.root, [], self.salt, self.legend)._object(items, row.text, depth + 1)
        kind = self._resolve(items["properties"][id_name]).get("type")
        return {**filled, id_name: int(row.id) if kind == "integer" and row.id.isdigit() else row.id}

    def _number(self, schema: Schema, text: str, name: str, *, is_integer: bool) -> int | float:
        step = 1 if is_integer else 1e-6
        low = schema.get("minimum", schema["exclusiveMinimum"] + step if "exclusiveMinimum" in schema else None)
        high = schema.get("maximum", schema["exclusiveMaximum"] - step if "exclusiveMaximum" in schema else None)
        found = _NUMBER.search(_told(name, text) or "") or _NUMBER.search(text)
        value: float = float(found[0]) if found else self._chance(text, name) % 100
        value = value if low is None else max(low, value)
        value = value if high is None else min(high, value)
        return int(value) if is_integer else value

    def _string(self, schema: Schema, text: str, name: str) -> str:
        pattern, default = _FORMATS.get(schema.get("format", ""), (schema.get("pattern"), None))
        told = _told(name, text)
        value = told if told is not None else " ".join(text.split(maxsplit=8)[:8])
        if pattern is not None:
            found = re.search(pattern.removeprefix("^").removesuffix("$"), told or text)
            value = found[0] if found else default or value
        while value and len(value) < schema.get("minLength", 0):
            value = f"{value} {value}"
        return value[: schema.get("maxLength")]


def _told(name: str, text: str) -> str | None:
    """Return what follows ``name:`` in the text, up to the end of the clause."""
    if not name:
        return None
    words = r"[ _]".join(map(re.escape, name.split("_")))
    found = re.search(rf"""\b{words}["']?\s*[:=]\s*["']?([^\n;,"|<>{{}}]*)""", text, re.IGNORECASE)
    return found[1].strip() or None if found else None


def _last_place(value: Any, text: str) -> int:
    """Return where the last occurrence of an enum value ends, -1 if there is none."""
    if not isinstance(value, str) or not value:
        return -1
    at = text.lower().rfind(value.lower())
    return at if at < 0 else at + len(value)


def _occurs(value: Any, text: str) -> bool:
    return _last_place(value, text) >= 0


def _has_words_of(name: str, text: str) -> bool:
    return all(word in text.lower() for word in re.split(r"[_\W]+", name.lower()))
