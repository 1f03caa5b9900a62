"""Run the notebooks and save their outputs: ``python -m tests.save_notebooks [NAME …]``.

Keeps to itself: what a saved notebook should not carry (times, widget states, progress bars, paths, the Python version).
Promises: each runs in a fresh kernel, from top to bottom, with nothing kept from before; the model is the one that answers here.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from mistral_nb.settings import current_settings
from mistral_nb.shipped_notebooks import fingerprint

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
FILE_OF_A_CELL = r"\S*ipykernel_\d+[/\\]\d+\.py"  # where Python says that a warning comes from
TEMPORARY_FOLDER = re.escape(tempfile.gettempdir()) + r"[/\\]\w+"


def save(path: Path) -> None:
    """Run one notebook and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.text = without_this_machine(output.text)
    notebook.metadata["mistral_nb"] = {"fingerprint": fingerprint(notebook)}
    nbformat.write(notebook, path)


def without_this_machine(text: str) -> str:
    """Return what a cell printed with other names for the files and folders of this machine."""
    home, python = re.escape(str(current_settings().home)), re.escape(sys.prefix)
    named = [(FILE_OF_A_CELL, "<cell>"), (home, "~/mistral_nb"), (python, "~/.venv"), (TEMPORARY_FOLDER, "<folder>")]
    for pattern, instead in named:
        text = re.sub(pattern, instead, text)
    return text


def main(names: list[str]) -> None:
    """Save the named notebooks, or all."""
    weights = current_settings().home / "weights"
    with tempfile.TemporaryDirectory(prefix="mistral_nb") as home:
        (Path(home) / "weights").symlink_to(weights, target_is_directory=True)
        os.environ["MISTRAL_NB_HOME"] = home
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            if not names or path.name in names:
                save(path)
                print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
