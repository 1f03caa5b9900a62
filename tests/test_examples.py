"""The code of the README and of the docstrings runs, offline, on the embedded model."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import mistral_nb
from mistral_nb import settings
from tests.conftest import through_polars
from tests.fake_api import FakeApi

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "mistral_nb"
# About what only Mistral's API has: batch jobs, several hosted models, a model's end.
OF_THE_API = {
    "mistral_nb.engine.retirement",
    "mistral_nb.evaluation.comparison",
    "mistral_nb.notebook.batch_job",
    "mistral_nb.notebook.job_notices",
}


def modules_with_examples() -> list[str]:
    files = [file for file in PACKAGE.rglob("*.py") if ">>> " in file.read_text(encoding="utf-8")]
    return sorted(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files)


@pytest.mark.usefixtures("embedded")
def test_the_readmes_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)

    assert blocks


def test_the_readmes_python_for_a_key_runs(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.REGIONS, "global", api.url)
    mistral_nb.configure(endpoint="")
    blocks = re.findall(r"```python hosted\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {"mistral_nb": mistral_nb, "df": mistral_nb.load_sample("tickets").head(12)}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)

    assert blocks


@pytest.mark.parametrize("module", modules_with_examples())
def test_the_examples_of_a_module_give_what_they_show(
    module: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue("priced" if module in OF_THE_API else "embedded")
    result = doctest.testmod(importlib.import_module(module))

    assert (result.failed, result.attempted > 0) == (0, True)
    if ".notebook.verbs." in module:  # the answers are kept, so that asking through Polars takes no time
        through_polars(monkeypatch)
        assert doctest.testmod(importlib.import_module(module)).failed == 0


@pytest.mark.parametrize("path", re.findall(r"`((?:notebooks|tests|data|mistral_nb)(?:/[\w.]+)*)`", README))
def test_every_path_that_the_readme_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()
