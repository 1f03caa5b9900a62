import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from mistral_nb import errors
from tests.browser.answers import ATTACK
from tests.fake_api import FakeApi, Fault
from tests.notebook.chat.page import Page

Opened = Callable[..., Page]
CODE = "Try this:\n\n```python\nx = 1\n```\n\nand then\n\n```sql\nselect 1\n```\n"


class Acting(HTMLParser):
    """Collects what can act in HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "img", "svg", "iframe", "form", "input", "object", "embed", "link", "base"}:
            self.found.append(tag)
        for name, value in attrs:
            if (
                name.startswith("on")
                or name in {"style", "srcdoc"}
                or (value or "").startswith(("javascript:", "data:"))
            ):
                self.found.append(name)


def acting(html: str) -> list[str]:
    parser = Acting()
    parser.feed(html)
    return parser.found


def test_markdown_has_questions_answers_and_bills(api: FakeApi, opened: Opened, tmp_path: Path) -> None:
    panel = opened().panel
    turn = panel.ask("Hello")
    written = panel.export(tmp_path / "talk.md").read_text()

    assert written == f"> Hello\n\nAnswer to: Hello\n\n*{turn.footer}*\n"


def test_a_notebook_has_the_code_in_cells_that_were_not_run(api: FakeApi, opened: Opened, tmp_path: Path) -> None:
    api.play(Fault(content=CODE))
    panel = opened().panel
    panel.ask("Code?")
    notebook = nbformat.read(panel.export(tmp_path / "talk.ipynb"), as_version=4)
    nbformat.validate(notebook)

    assert [(cell.source, cell.execution_count) for cell in notebook.cells if cell.cell_type == "code"] == [
        ("x = 1", None)
    ]


def test_json_has_the_messages_and_the_figures(api: FakeApi, opened: Opened, tmp_path: Path) -> None:
    panel = opened(system="Be brief.").panel
    panel.ask("Hello")
    data = json.loads(panel.export(tmp_path / "talk.json").read_text())

    assert data["messages"] == panel.messages
    assert data["turns"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("suffix", ["html", "ipynb"])
def test_an_attack_can_not_act_in_a_file(api: FakeApi, opened: Opened, tmp_path: Path, suffix: str) -> None:
    api.play(Fault(content=ATTACK))
    panel = opened().panel
    panel.ask("<img src=x onerror=alert(1)>\n\n<script>alert(1)</script>")
    path = panel.export(tmp_path / f"talk.{suffix}")
    if suffix == "html":
        parts = [path.read_text()]
    else:
        parts = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]

    assert [acting(part) for part in parts] == [[]] * len(parts)
    # A blank line would end the HTML in a Markdown cell, and begin Markdown, which a model must not write there.
    assert suffix == "html" or not any("\n\n" in part for part in parts)


def test_another_ending_is_refused(api: FakeApi, opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidOption, match=r"\.md, \.html, \.ipynb, \.json"):
        opened().panel.export(tmp_path / "talk.docx")


def test_the_page_is_given_a_file(api: FakeApi, opened: Opened) -> None:
    page = opened()
    page.panel.ask("Hello")
    page.says("export", format="md")

    assert page.received[-1]["name"] == "conversation.md"
    assert page.received[-1]["text"].startswith("> Hello")
