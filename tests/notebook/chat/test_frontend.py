"""The built front end is what its source gives."""

import subprocess
from pathlib import Path

import pytest

import mistral_nb.notebook.chat

STATIC = Path(mistral_nb.notebook.chat.__file__).parent / "static"


@pytest.fixture(scope="module")
def rebuilt(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("static")
    subprocess.run(["node", "build.mjs", str(target)], cwd=node_modules.parent, check=True)
    return target


@pytest.mark.parametrize("name", ["panel.js", "panel.css", "panel.licenses.txt"])
def test_a_rebuild_gives_the_committed_file(rebuilt: Path, name: str) -> None:
    assert (rebuilt / name).read_bytes() == (STATIC / name).read_bytes()


def test_the_module_loads_nothing_from_elsewhere() -> None:
    code = (STATIC / "panel.js").read_text(encoding="utf-8")

    assert "import(" not in code
    assert "fetch(" not in code
    assert "XMLHttpRequest" not in code


def test_the_lock_file_names_no_registry() -> None:
    lock = STATIC.parent / "frontend" / "package-lock.json"

    assert '"resolved"' not in lock.read_text(encoding="utf-8")
