"""Runs a notebook from top to bottom in a kernel of its own and compares what it gives with what it shows.

Then, in the same kernel, which has what they need, the solutions of its exercises: of these it is checked that they run.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tests.saved_outputs import SOLUTION

ROOT = Path(__file__).parent.parent
IGNORED = "nbval-ignore-output"
ADDRESS = """
[address]
regex: http://127\\.0\\.0\\.1:\\d+
replace: https://api.mistral.ai
"""


def solutions(notebook: NotebookNode) -> list[str]:
    """Return the code that is folded away in a notebook's texts."""
    texts = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    folded = re.findall(r"<details>(.*?)</details>", texts, re.DOTALL)
    return [code for text in folded for code in re.findall(r"```\w*\n(.*?)\n```", text, re.DOTALL)]


def check_notebook(
    path: Path, *, is_embedded: bool = True, ignored: Collection[str] = (), **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Return how nbval ended.

    Parameters
    ----------
    path
        The notebook.
    is_embedded
        Whether the embedded model answers, as when it was saved: then the package's own words are compared in the cells whose
        output nbval does not compare. Otherwise a server on this machine does, whose address stands for Mistral's.
    ignored
        Beginnings of cells whose output is not compared either.
    **environment
        Further variables of the kernel.

    Notes
    -----
    Of pytest's plugins there are only those that are needed: importing all takes three seconds for each notebook. Nor is coverage
    measured, which would take half as long again: what notebooks run, other tests run too.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    names = [
        "tests.light_imports",
        "nbval.plugin",
        "tests.widgets_left_out",
        *["tests.saved_outputs"] * is_embedded,
        "no:cacheprovider",
    ]
    options = [word for name in names for word in ("-p", name)]
    with tempfile.TemporaryDirectory() as folder:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if any(cell.source.startswith(beginning) for beginning in ignored):
                cell.metadata["tags"] = [IGNORED]
        for code in solutions(notebook):
            notebook.cells.append(nbformat.v4.new_code_cell(code, metadata={"tags": [IGNORED, SOLUTION]}))
        nbformat.write(notebook, Path(folder) / path.name)
        if not is_embedded:
            (Path(folder) / "sanitize.cfg").write_text(ADDRESS)
            options += ["--nbval-sanitize-with", str(Path(folder) / "sanitize.cfg")]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, "--nbval", "--nbval-current-env", str(Path(folder) / path.name)],
            cwd=ROOT,
            env={**inherited, **environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
