import datetime
import enum
import json
from typing import Any

import pydantic
import pytest

from mistral_nb.notebook.code_cell import fenced_blocks
from mistral_nb.notebook.magic.object_text import as_json_block


class Town(enum.Enum):
    """An answer."""

    LYON = "lyon"


class Visit(pydantic.BaseModel):
    """An answer."""

    town: Town
    day: datetime.date


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Visit(town=Town.LYON, day=datetime.date(2026, 11, 3)), {"town": "lyon", "day": "2026-11-03"}),
        ([1, None, "é"], [1, None, "é"]),
        (Town.LYON, "lyon"),
        ("```", "```"),
    ],
)
def test_an_object_is_shown_as_json(value: Any, shown: Any) -> None:
    ((language, text),) = fenced_blocks(as_json_block(value))

    assert (language, json.loads(text)) == ("json", shown)


def test_what_json_has_not_is_shown_as_python_shows_it() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert fenced_blocks(as_json_block(endless)) == [("json", "[[...]]")]
