"""What counts as an output that is older than the code, and what as another model's words."""

import copy
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.checked_notebook import check_notebook
from tests.saved_outputs import facts

ANSWER = (
    '<style>.mistral-nb .note {color: gray;}</style><div class="mistral-nb"><p>North.</p>'
    '<p class="note">local-small · 70 tokens read, 17 written · $0 · first token after 1.6 s, 3.2 s · stop</p></div>'
)
TABLE = (
    '<table class="dataframe"><thead><tr><th></th><th>error</th></tr></thead><tbody><tr><th>0</th></tr></tbody></table>'
)
RUN = "classify with local-small: 8 of 8 rows, 0 cached, 0 failed, $0.0000; 7 requests in 8.6 s\n"


def display(html: str, **metadata: object) -> dict[str, Any]:
    return {
        "output_type": "display_data",
        "data": {"text/html": html, "text/plain": "…"},
        "metadata": {"mistral_nb": metadata},
    }


OUTPUTS = [display(ANSWER, model="local-small", seconds=3.2), display(TABLE), {"name": "stdout", "text": RUN}]


def outputs_with(old: str, new: str) -> list[dict[str, Any]]:
    """Return the outputs with a text in them replaced."""

    def replaced(part: Any) -> Any:
        if isinstance(part, dict):
            return {name.replace(old, new): replaced(value) for name, value in part.items()}
        return part.replace(old, new) if isinstance(part, str) else part

    changed = [replaced(output) for output in copy.deepcopy(OUTPUTS)]
    assert changed != OUTPUTS
    return changed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("North.", "**South**, I think."),
        ("local-small", "local-tiny"),
        ("70 tokens read", "1,070 tokens read"),
        ("3.2 s · stop", "12 s · length"),
        ("7 requests in", "1 request in"),
    ],
)
def test_another_models_words_and_figures_are_no_difference(old: str, new: str) -> None:
    assert facts(outputs_with(old, new)) == facts(OUTPUTS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("color: gray", "color: red"),
        ("tokens read", "tokens in"),
        ("seconds", "latency_seconds"),
        (">error<", ">problem<"),
        (" cached, ", " kept, "),
        ("text/html", "text/markdown"),
    ],
)
def test_what_the_package_says_otherwise_is_one(old: str, new: str) -> None:
    assert facts(outputs_with(old, new)) != facts(OUTPUTS)


def test_a_notebook_with_an_outdated_answer_fails(tmp_path: Path) -> None:
    update = f"shown = display(HTML(''), display_id=True)\nshown.update(HTML({ANSWER!r}))"
    cell = nbformat.v4.new_code_cell(f"from IPython.display import HTML\n{update}", execution_count=1)
    cell.metadata["tags"] = ["nbval-ignore-output"]
    older = {"text/html": ANSWER.replace("tokens read", "tokens in"), "text/plain": ""}
    cell.outputs = [nbformat.v4.new_output("display_data", older)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "old.ipynb")
    ended = check_notebook(tmp_path / "old.ipynb")

    assert ended.returncode == 1
    assert "save them anew: python -m tests.save_notebooks old.ipynb" in ended.stdout


def test_a_notebook_with_a_solution_that_fails_fails(tmp_path: Path) -> None:
    exercise = "<details><summary>One solution</summary>\n\n```python\nprint(undefined)\n```\n\n</details>"
    cells = [nbformat.v4.new_code_cell("x = 1", execution_count=1), nbformat.v4.new_markdown_cell(exercise)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "exercise.ipynb")
    ended = check_notebook(tmp_path / "exercise.ipynb")

    assert ended.returncode == 1
    assert "name 'undefined' is not defined" in ended.stdout
