"""A conversation as a file: Markdown, HTML, a notebook, JSON.

Keeps to itself: what each format looks like.
Promises: HTML and notebooks hold nothing that runs or loads by itself; Markdown and JSON hold the answers as the models wrote them.
"""

import json
from collections.abc import Callable, Sequence
from html import escape
from pathlib import PurePath
from typing import Any

from mistral_nb.completion import JsonObject
from mistral_nb.errors import InvalidOption
from mistral_nb.notebook.chat.transcript import json_text, note_of, step_lines, transcript_html, transcript_markdown
from mistral_nb.notebook.chat.turns import ChatTurn
from mistral_nb.notebook.code_cell import answer_segments
from mistral_nb.notebook.display import answer_html, markdown_html

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Conversation</title>
<style>body {{font-family: system-ui, sans-serif; line-height: 1.5; max-width: 50em; margin: 2em auto; padding: 0 1em;}}
pre {{overflow-x: auto;}} table {{border-collapse: collapse;}} td, th {{border: 1px solid #ccc; padding: .25em .5em;}}</style>
</head>
<body>
{body}
</body>
</html>
"""


def exported(format_name: str, turns: Sequence[ChatTurn], messages: Sequence[JsonObject]) -> str:
    """Return the conversation in a format: md, html, ipynb or json.

    Raises
    ------
    InvalidOption
        There is no such format.
    """
    if format_name not in _FORMATS:
        raise InvalidOption(
            f"A conversation can't be exported as {format_name!r}.",
            f'Give a file name that ends in one of: {", ".join(f".{known}" for known in _FORMATS)}, e.g. "talk.md".',
        )
    return _FORMATS[format_name](turns, messages)


def format_of(path: PurePath) -> str:
    """Return the format that a file's name means."""
    return path.suffix.lower().removeprefix(".")


def _markdown(turns: Sequence[ChatTurn], messages: Sequence[JsonObject]) -> str:
    return f"{transcript_markdown(turns)}\n"


def _html(turns: Sequence[ChatTurn], messages: Sequence[JsonObject]) -> str:
    return _PAGE.format(body=transcript_html(turns))


def _notebook(turns: Sequence[ChatTurn], messages: Sequence[JsonObject]) -> str:
    cells = [cell for turn in turns for cell in _cells(turn)]
    return json.dumps(
        {
            "cells": [{"id": f"turn-{number}", **cell} for number, cell in enumerate(cells, start=1)],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        },
        ensure_ascii=False,
        indent=1,
    )


def _cells(turn: ChatTurn) -> list[dict[str, Any]]:
    """Return the question, and the answer with its Python code in cells that have not been run."""
    cells = [
        _html_cell(f"<blockquote>{escape(turn.question)}</blockquote>"),
        _html_cell(answer_html("", steps=step_lines(turn))),
    ]
    for kind, text in answer_segments(turn.text):
        cells.append(_code_cell(text) if kind == "code" else _html_cell(markdown_html(text)))
    cells.append(_html_cell(answer_html("", note=note_of(turn), footer=turn.footer)))
    return [cell for cell in cells if cell["source"]]


def _html_cell(html: str) -> dict[str, Any]:
    """Return a Markdown cell that holds HTML: a model's own Markdown could load and run things where it is rendered.

    A blank line would end the HTML and begin Markdown.
    """
    while "\n\n" in html:
        html = html.replace("\n\n", "\n&#10;")
    return {"cell_type": "markdown", "metadata": {}, "source": html.strip()}


def _code_cell(code: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": None}


def _json(turns: Sequence[ChatTurn], messages: Sequence[JsonObject]) -> str:
    return f"{json_text(turns, messages)}\n"


_FORMATS: dict[str, Callable[[Sequence[ChatTurn], Sequence[JsonObject]], str]] = {
    "md": _markdown,
    "html": _html,
    "ipynb": _notebook,
    "json": _json,
}
FORMATS = tuple(_FORMATS)
