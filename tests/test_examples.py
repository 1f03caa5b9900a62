"""The code of the README and of the docstrings runs, offline, on the embedded model."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "mistral_nb"


def modules_with_examples() -> list[str]:
    files = [file for file in PACKAGE.rglob("*.py") if ">>> " in file.read_text(encoding="utf-8")]
    return sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)


@pytest.mark.usefixtures("embedded")
def test_the_readmes_python_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "")
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)

    assert blocks


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("module", modules_with_examples())
def test_the_examples_of_a_module_give_what_they_show(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))

    assert (result.failed, result.attempted > 0) == (0, True)


@pytest.mark.parametrize("path", re.findall(r"`((?:notebooks|tests|data|mistral_nb)(?:/[\w.]+)*)`", README))
def test_every_path_that_the_readme_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()
