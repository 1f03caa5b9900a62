"""``mistral-nb notebooks`` copies the notebooks to where a reader works, and loses nothing of the reader's."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from mistral_nb import cli, shipped_notebooks
from mistral_nb.shipped_notebooks import copy_notebooks

ROOT = Path(__file__).parent.parent
NAMES = tuple(sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb")))
FIRST = NAMES[0]


def change(path: Path, **parts: object) -> None:
    """Change the last code cell of a notebook, as a reader would, and save it as JupyterLab does."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1].update(parts)
    path.write_text(json.dumps(notebook, indent=1), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with fresh copies."""
    copy_notebooks(tmp_path / "mine")
    return tmp_path / "mine"


def test_every_notebook_is_copied(tmp_path: Path) -> None:
    copies = copy_notebooks(tmp_path / "new" / "folder")

    assert copies.copied == NAMES
    assert [(copies.folder / name).read_bytes() for name in NAMES] == [
        (ROOT / "notebooks" / name).read_bytes() for name in NAMES
    ]


def test_a_second_copy_changes_nothing(folder: Path) -> None:
    again = copy_notebooks(folder)

    assert (again.copied, again.unchanged, again.left) == ((), NAMES, ())


@pytest.mark.parametrize("edit", [{"source": ["my = 1\n", "my"]}, {"outputs": []}], ids=["edited", "run"])
def test_a_notebook_of_the_reader_is_left(folder: Path, edit: dict[str, object]) -> None:
    change(folder / FIRST, **edit)
    before = (folder / FIRST).read_bytes()
    copies = copy_notebooks(folder)

    assert (copies.left, (folder / FIRST).read_bytes()) == ((FIRST,), before)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\x00", b'{"metadata": {"mistral_nb": 1}, "cells": []}'])
def test_a_file_that_is_no_notebook_of_ours_is_left(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FIRST).write_bytes(content)
    copies = copy_notebooks(tmp_path)

    assert (copies.left, (tmp_path / FIRST).read_bytes()) == ((FIRST,), content)


def test_an_older_version_that_nobody_touched_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = folder.parent / FIRST
    newer.write_bytes((folder / FIRST).read_bytes())
    change(newer, source=["newer"])
    monkeypatch.setattr(shipped_notebooks, "shipped_notebooks", lambda: [newer])
    copies = copy_notebooks(folder)

    assert (copies.copied, (folder / FIRST).read_bytes()) == ((FIRST,), newer.read_bytes())


def test_the_command_says_what_it_left(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder / FIRST, source=["mine"])

    assert cli.main(["notebooks", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"0 notebooks copied to {folder}.",
        f"{len(NAMES) - 1} notebooks there already.",
        "Left as they are, because they were run or edited:",
        f"  {FIRST}",
        "For the package's own ones move or delete these, or name another folder.",
    ]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")

    assert cli.main(["notebooks", str(tmp_path / "taken")]) == 1
    assert capsys.readouterr().err.endswith("taken': File exists.\nName another folder.\n")


def test_without_jupyterlab_nothing_is_started_and_the_install_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert cli.main(["notebooks", str(folder), "--open"]) == 1
    assert 'pip install "mistral_nb[notebook]"' in capsys.readouterr().err


def test_jupyterlab_is_started_on_the_first_notebook(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder.parent / "jupyterlab.py").write_text("import sys; print(sys.argv[1:]); sys.exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))

    assert cli.main(["notebooks", str(folder), "--open"]) == 3
    assert capfd.readouterr().out.splitlines()[-1] == str([str(folder / FIRST)])


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the commands of a new environment, in which pip has installed the built wheel.

    What the package depends on is the tests' own, put behind it on the path, so that nothing is downloaded.
    """
    pytest.importorskip("pip", reason="there is no pip here, which installs the wheel")
    folder = tmp_path_factory.mktemp("clean")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    commands = folder / "venv" / Path(sysconfig.get_path("scripts")).name
    install = [sys.executable, "-m", "pip", "--python", str(commands / "python"), "install", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    (site_packages,) = folder.glob("venv/**/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return commands


def ran(command: list[str], folder: Path, **variables: str) -> str:
    """Run a command of the new environment, away from the checkout, and return what it printed."""
    # Coverage of another copy of the package would be no coverage of this one.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "PYTHON"))}
    ended = subprocess.run(command, cwd=folder, env={**kept, **variables}, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-4000:]
    return ended.stdout


def test_an_installed_wheel_has_the_notebooks(installed: Path, tmp_path: Path) -> None:
    said = ran([str(installed / "mistral-nb"), "notebooks", "mine"], tmp_path)

    assert said == f"{len(NAMES)} notebooks copied to mine.\n"
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == list(NAMES)


def test_an_installed_wheel_has_the_data(installed: Path, tmp_path: Path) -> None:
    script = "import mistral_nb; print(mistral_nb.__file__); print(len(mistral_nb.load_sample('tickets')))"
    home, rows = ran([str(installed / "python"), "-c", script], tmp_path).splitlines()

    assert Path(home).is_relative_to(installed.parent)
    assert rows == "300"


def test_the_first_notebook_runs_where_the_wheel_is_installed(
    installed: Path, tmp_path: Path, embedded_home: Path
) -> None:
    """``%load_ext mistral_nb`` is its first cell."""
    script = f"""
import nbclient, nbformat
notebook = nbformat.read({str(ROOT / "notebooks" / FIRST)!r}, as_version=4)
notebook.cells.append(nbformat.v4.new_code_cell("print(mistral_nb.__file__)"))
nbclient.NotebookClient(notebook, timeout=120).execute()
print(notebook.cells[-1].outputs[0].text.strip())
print(notebook.cells[[cell.cell_type for cell in notebook.cells].index("code")].source.splitlines()[-1])
"""
    variables = {"MISTRAL_NB_HOME": str(embedded_home), "MISTRAL_NB_MODEL": "local-tiny"}
    home, first_cell = ran([str(installed / "python"), "-c", script], tmp_path, **variables).splitlines()[-2:]

    assert Path(home).is_relative_to(installed.parent)
    assert first_cell == "%load_ext mistral_nb"
