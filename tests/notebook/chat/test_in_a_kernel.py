"""The panel in a real kernel, as nbclient runs it: no page is there, and no widget is seen."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.fake_api import FakeApi, Fault


def executed(*cells: str, **options: Any) -> list[Any]:
    """Run the cells; returns the outputs of each."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    NotebookClient(notebook, timeout=120, **options).execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.fixture
def hosted(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """Make the fake API the one that the kernel asks."""
    monkeypatch.setenv("MISTRAL_NB_ENDPOINT", api.url)
    monkeypatch.setenv("MISTRAL_API_KEY", api.api_key)
    return api


def test_the_panel_and_its_transcript_are_shown_once(hosted: FakeApi) -> None:
    """Also where the panel is the value of the cell's last line, which Jupyter displays by itself."""
    for last_line in ("panel = mistral_nb.chat()", "mistral_nb.chat()"):
        outputs = executed("import mistral_nb", last_line)[1]

        assert [sorted(output.data) for output in outputs] == [
            ["application/vnd.jupyter.widget-view+json", "text/plain"],
            ["text/html", "text/plain"],
        ]


def test_one_line_says_why_where_there_are_no_widgets(hosted: FakeApi) -> None:
    outputs = executed("import mistral_nb", "panel = mistral_nb.chat()")[1]

    assert outputs[0].data["text/plain"].startswith("mistral_nb: there are no widgets here")
    assert len(outputs[0].data["text/plain"].splitlines()) == 1


def test_a_conversation_in_plain_text_is_left_in_the_transcript(hosted: FakeApi) -> None:
    outputs = executed("import mistral_nb\npanel = mistral_nb.chat()", 'panel.ask("Hello")', 'panel.ask("And now?")')

    assert outputs[1][0].data["text/plain"].startswith("Answer to: Hello")
    assert "Answer to: And now?" in outputs[0][1].data["text/html"]
    assert "> And now?" in outputs[0][1].data["text/plain"]


def test_a_transcript_can_be_read_in_an_exported_notebook(hosted: FakeApi, tmp_path: Path) -> None:
    from nbconvert import HTMLExporter

    hosted.play(Fault(content="**bold** <img src=x onerror=alert(1)>"))
    cells = ["import mistral_nb\npanel = mistral_nb.chat()", 'answer = panel.ask("Hello")']
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, store_widget_state=False).execute()
    html, _ = HTMLExporter().from_notebook_node(notebook)

    assert "<strong>bold</strong> &lt;img" in html


def test_an_error_fails_the_cell_that_asked(hosted: FakeApi) -> None:
    hosted.play(Fault(status=401))
    outputs = executed("import mistral_nb\npanel = mistral_nb.chat()", 'panel.ask("Hello")', allow_errors=True)

    assert outputs[1][-1].ename == "InvalidKey"


def test_an_answer_under_way_does_not_keep_python_from_ending(hosted: FakeApi) -> None:
    hosted.play(Fault(delay_seconds=600))
    ask = "import mistral_nb\nmistral_nb.ChatPanel().conversation.ask('Hello')"
    ended = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=120, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
