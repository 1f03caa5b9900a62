"""What an API error body says, whichever of its shapes it has.

Keeps to itself: the shapes: `message` as text, dict or list, `detail` as text or list, `error` as dict or text, a web page.
Promises: reading never fails, whatever the body is; a list of rejected fields becomes one line of text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MESSAGE_CHARACTERS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What was said; parts that the body does not have are empty."""

    message: str = ""
    type: str = ""
    code: str = ""
    field: str = ""
    guardrails: Any = None


def read_error_body(body: str | bytes) -> ErrorBody:
    """Return message, type, code, the rejected fields and the guardrail results of an error body."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = re.sub(r"<[^>]*>|\s+", " ", text).strip()
    if not isinstance(data, dict):
        return ErrorBody(message=str(data)[:MESSAGE_CHARACTERS])
    guardrails = data.get("guardrails")
    if isinstance(data.get("error"), dict):
        data = data["error"]
    message, field = _message_and_field(data)
    return ErrorBody(
        message=message[:MESSAGE_CHARACTERS],
        type=str(data.get("type") or ""),
        code=str(data.get("code") or ""),
        field=field,
        guardrails=guardrails,
    )


def violations(guardrails: Any) -> str:
    """Name the categories that a guardrail found violated, with their scores; empty where it found none."""
    found = [
        f"{category} {decision.get('score')}"
        for _, result in _objects_in(guardrails.get("results") if isinstance(guardrails, dict) else None)
        for category, decision in _objects_in(result.get("decisions"))
        if decision.get("violated")
    ]
    return f": {', '.join(found)}" if found else ""


def _message_and_field(data: dict[str, Any]) -> tuple[str, str]:
    message, detail = data.get("message") or data.get("error"), data.get("detail")
    if isinstance(message, dict):
        detail = message.get("detail", detail)
    elif isinstance(message, list):
        detail = message
    if isinstance(detail, str):
        return detail, ""
    if not isinstance(detail, list):
        return str(message or ""), ""
    problems = [(_field_name(item), str(item.get("msg", ""))) for item in detail if isinstance(item, dict)]
    said = "; ".join(f"{name}: {problem}".strip(": ") for name, problem in problems)
    return said, ", ".join(f"'{name}'" for name, _ in problems if name)


def _field_name(problem: dict[str, Any]) -> str:
    location = problem.get("loc")
    return ".".join(str(part) for part in location if part != "body") if isinstance(location, list) else ""


def _objects_in(mapping: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    return (
        (name, value)
        for name, value in (mapping.items() if isinstance(mapping, dict) else ())
        if isinstance(value, dict)
    )
