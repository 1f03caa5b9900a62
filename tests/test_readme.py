"""What the README shows besides Python holds too: cells with magics, shell commands, and the output of the first ten lines."""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

import mistral_nb
from mistral_nb import cli
from mistral_nb.backends.embedded.weights import weights_path
from mistral_nb.errors import WeightsMissing
from tests.conftest import DEFAULT_HOME
from tests.fake_api import FakeApi
from tests.notebook.cells import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## Changes\n")[0]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
PLACEHOLDERS = {"NAME": "local-small", "N": "20", "FILE": "usage.csv", "DIR": "mine", "…": "model"}


def blocks() -> list[tuple[str, str]]:
    """Return what stands behind the three ticks of each block, and the block."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def blocks_of(kind: str) -> list[str]:
    return [text for name, text in blocks() if name == kind]


def words_of_commands() -> Iterator[list[str]]:
    """Yield the words of each shell command: those of the blocks, and in the text those of pip and of ours."""
    for block in blocks_of("bash"):
        for line in block.splitlines():
            yield from (shlex.split(command) for command in line.split("&&"))
    for command in re.findall(r"`((?:mistral-nb|pip|conda) [^`]*)`", README):
        yield shlex.split(command.replace("[--", "--").replace("] ", " ").removesuffix("]"))


def ours() -> list[list[str]]:
    """Return the arguments of each `mistral-nb`, with values for what stands for one."""
    found = [words[1:] for words in words_of_commands() if Path(words[0]).name == "mistral-nb"]
    return [[PLACEHOLDERS.get(word.strip("[]"), word) for word in words] for words in found]


def test_every_block_is_of_a_kind_that_is_tried() -> None:
    assert {kind for kind, _ in blocks()} == {"python", "python hosted", "ipython", "bash", "text"}


def test_the_cells_with_magics_run(api: FakeApi, bare_shell: InteractiveShell) -> None:
    bare_shell.user_ns |= {"sales": pd.DataFrame({"region": ["North"], "sold": [3]}), "region": "the North"}
    for cell in blocks_of("ipython"):
        result, _ = run(bare_shell, cell)
        result.raise_error()
    (asked,) = [request.text for request in api.requests if request.path == "/v1/chat/completions"]

    assert "pandas DataFrame `sales`" in asked
    assert 'Compare the North with the rest. Keep {"json": "braces"} as they are.' in asked


@pytest.mark.parametrize("arguments", ours(), ids=" ".join)
def test_a_command_of_ours_has_these_options(arguments: list[str]) -> None:
    assert cli._parser().parse_args(arguments).command


def test_pip_is_asked_for_extras_that_there_are() -> None:
    asked = [words[-1] for words in words_of_commands() if Path(words[0]).name == "pip"]
    extras = {extra for requirement in asked for extra in re.findall(r"\w+", requirement.split("[", 1)[1])}

    assert extras
    assert extras <= set(EXTRAS)


def test_every_file_of_a_command_is_there() -> None:
    files = [word for words in words_of_commands() for word in words if re.search(r"\.(ipynb|yml)$", word)]

    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_program_of_a_command_is_known() -> None:
    programs = {Path(words[0]).name for words in words_of_commands()}

    assert programs == {"python3", "python", "pip", "mistral-nb", "jupyter", "conda"}


def test_the_ten_lines_print_what_stands_below_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights_home = Path(os.environ.get("MISTRAL_NB_TEST_HOME") or DEFAULT_HOME)
    try:
        for name in ("local-small", "local-embed"):
            weights_path(name, home=weights_home)
    except WeightsMissing as missing:
        pytest.skip(f"the README shows what local-small writes: {missing}")
    home = tmp_path / "small"
    home.mkdir()
    (home / "weights").symlink_to(weights_home / "weights", target_is_directory=True)
    mistral_nb.configure(home=home, model="local-small")
    ten_lines = next(block for block in blocks_of("python") if "to_string" in block)
    exec(compile(ten_lines, "README.md", "exec"), {})

    assert capsys.readouterr().out == blocks_of("text")[0]
