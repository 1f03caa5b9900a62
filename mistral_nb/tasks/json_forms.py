"""The form of an answer that is JSON, as the API's `response_format` takes it.

Promises: every property is required and no other allowed, which is what Mistral's strict mode asks for.
"""

from collections.abc import Mapping

from mistral_nb.completion import JsonObject


def object_schema(properties: Mapping[str, JsonObject]) -> JsonObject:
    """Return the schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def json_form(name: str, schema: JsonObject) -> JsonObject:
    """Return the `response_format` of an answer with this schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}
