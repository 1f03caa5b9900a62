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
    """What was said; parts that the body does not have are empty.

    Attributes
    ----------
    field
        The rejected fields, each in quotes.
    is_field_unknown
        Whether they are rejected because there are no such fields, rather than for their values.
    guardrails
        The results of guardrails, as they came.
    """

    message: str = ""
    type: str = ""
    code: str = ""
    field: str = ""
    is_field_unknown: bool = False
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
    detail = _detail(data)
    if isinstance(detail, str):
        message, problems = detail, []
    elif isinstance(detail, list):
        problems = [item for item in detail if isinstance(item, dict)]
        message = "; ".join(f"{_field_name(item)}: {item.get('msg', '')}".strip(": ") for item in problems)
    else:
        message, problems = str(data.get("message") or data.get("error") or ""), []
    return ErrorBody(
        message=message[:MESSAGE_CHARACTERS],
        type=str(data.get("type") or ""),
        code=str(data.get("code") or ""),
        field=", ".join(f"'{name}'" for item in problems if (name := _field_name(item))),
        is_field_unknown=bool(problems) and all(item.get("type") == "extra_forbidden" for item in problems),
        guardrails=guardrails,
    )


def violations(guardrails: Any) -> dict[str, float | None]:
    """Return the categories that guardrails found violated, with their scores (None where there is no number)."""
    return {
        category: float(score) if isinstance(score := decision.get("score"), int | float) else None
        for _, result in _objects_in(guardrails.get("results") if isinstance(guardrails, dict) else None)
        for category, decision in _objects_in(result.get("decisions"))
        if decision.get("violated")
    }


def failed_guardrails(guardrails: Any) -> list[str]:
    """Return the names of the guardrails that failed themselves, so that they found nothing about the text."""
    verdicts = guardrails if isinstance(guardrails, list) else []
    return [name for verdict in verdicts for name, result in _objects_in(verdict) if result.get("error")]


def _detail(data: dict[str, Any]) -> Any:
    """Return what stands in the place of details: a text, a list of problems, or nothing."""
    message = data.get("message") or data.get("error")
    if isinstance(message, dict):
        return message.get("detail", data.get("detail"))
    return message if isinstance(message, list) else data.get("detail")


def _field_name(problem: dict[str, Any]) -> str:
    location = problem.get("loc")
    return ".".join(str(part) for part in location if part != "body") if isinstance(location, list) else ""


def _objects_in(mapping: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    return (
        (name, value)
        for name, value in (mapping.items() if isinstance(mapping, dict) else ())
        if isinstance(value, dict)
    )
