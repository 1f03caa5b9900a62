"""The notebooks that come with the package, copied to where a reader works with them.

Keeps to itself: where they lie in an installed package and in a checkout, and how a copy that nobody touched is recognized.
Promises: whatever else stands in a notebook's place, be it edited or only run, is never written over.
"""

import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from mistral_nb.counted import counted
from mistral_nb.errors import InvalidOption, MistralNotebookError

DEFAULT_FOLDER = "mistral_nb_notebooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookCopies:
    """What became of each notebook, by file name.

    Attributes
    ----------
    folder
        Where the copies are.
    copied
        Were not there before, or were an older version that nobody had run or edited.
    unchanged
        Were there already, as they are.
    left
        Are there in another form, which was not touched.
    """

    folder: Path
    copied: tuple[str, ...]
    unchanged: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def first(self) -> Path:
        """The notebook to begin with."""
        return self.folder / min(self.copied + self.unchanged + self.left)

    def __str__(self) -> str:
        lines = [f"{counted(len(self.copied), 'notebook')} copied to {self.folder}."]
        if self.unchanged:
            lines.append(f"{counted(len(self.unchanged), 'notebook')} there already.")
        if self.left:
            lines += ["Left as they are, because they were run or edited:", *(f"  {name}" for name in self.left)]
            lines.append("For the package's own ones move or delete these, or name another folder.")
        return "\n".join(lines)


def copy_notebooks(folder: Path) -> NotebookCopies:
    """Copy the package's notebooks into a folder, which is made where it is missing.

    Parameters
    ----------
    folder
        Where to.

    Returns
    -------
    NotebookCopies
        Which were copied, were there already, or were left.

    Raises
    ------
    InvalidOption
        The folder is a file, or can't be written to.
    """
    done: dict[str, list[str]] = {"copied": [], "unchanged": [], "left": []}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for notebook in sorted(shipped_notebooks(), key=lambda file: file.name):
            ours, path = notebook.read_bytes(), folder / notebook.name
            theirs = path.read_bytes() if path.exists() else None
            if theirs == ours:
                done["unchanged"].append(path.name)
            elif theirs is None or _is_untouched(theirs):
                path.write_bytes(ours)
                done["copied"].append(path.name)
            else:
                done["left"].append(path.name)
    except OSError as error:
        raise InvalidOption(
            f"The notebooks can't be copied to {str(folder)!r}: {error.strerror or error}.", "Name another folder."
        ) from None
    return NotebookCopies(folder=folder, **{name: tuple(names) for name, names in done.items()})


def open_notebooks(first: Path) -> int:
    """Run JupyterLab with a notebook open, until it ends; returns its exit code.

    Raises
    ------
    MistralNotebookError
        JupyterLab is not installed beside this package.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise MistralNotebookError("JupyterLab is not installed here.", 'pip install "mistral_nb[notebook]"')
    with subprocess.Popen([sys.executable, "-m", "jupyterlab", str(first)]) as lab:  # noqa: S603 - this interpreter
        while True:
            try:
                return lab.wait()
            except KeyboardInterrupt:
                continue  # JupyterLab got the Ctrl-C too, and asks in this terminal whether it is meant


def shipped_notebooks() -> list[Traversable]:
    """Return the notebooks: of the installed package, or in a checkout those of the top-level ``notebooks`` folder."""
    installed = files("mistral_nb").joinpath("notebooks")
    folder: Traversable = installed if installed.is_dir() else Path(__file__).parent.parent / "notebooks"
    return [file for file in folder.iterdir() if file.name.endswith(".ipynb")]


def fingerprint(notebook: Mapping[str, Any]) -> str:
    """Return what a notebook's texts, code and outputs are known by; it is in the metadata of those that are shipped."""
    cells = [(cell["cell_type"], _text(cell["source"]), _outputs(cell)) for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()[:16]


def _is_untouched(content: bytes) -> bool:
    """Return whether a notebook is what some version of this package shipped."""
    try:
        notebook = json.loads(content)
        return bool(notebook["metadata"]["mistral_nb"]["fingerprint"] == fingerprint(notebook))
    except (ValueError, LookupError, TypeError):  # no notebook, or one of the reader's own
        return False


def _outputs(cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{name: _text(value) for name, value in output.items()} for output in cell.get("outputs", [])]


def _text(value: Any) -> Any:
    """Join what a notebook's file holds as lines and its readers hand on as one text."""
    if isinstance(value, Mapping):
        return {name: _text(part) for name, part in value.items()}
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value
