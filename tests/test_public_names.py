"""The README's table, `__all__` and what can really be imported are the same list."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import mistral_nb
from mistral_nb import cli
from mistral_nb.notebook.accessor import FrameVerbs, SeriesVerbs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def section(title: str) -> str:
    """Return the README's text below a heading, up to the next of the same rank."""
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def has_example(thing: object) -> bool:
    """Whether the docstring that `help` shows of it, not one that it inherits, has a line to try."""
    return re.search(r"^ *>>> ", thing.__doc__ or "", re.MULTILINE) is not None


def test_the_readme_lists_exactly_the_public_names() -> None:
    listed = re.findall(r"^\| `mistral_nb\.(\w+)", section("Public names"), re.MULTILINE)

    assert sorted(listed) == sorted(mistral_nb.__all__)


@pytest.mark.parametrize("name", mistral_nb.__all__)
def test_every_public_name_can_be_used(name: str) -> None:
    assert getattr(mistral_nb, name) is not None


def test_public_names_are_offered_by_completion() -> None:
    assert set(mistral_nb.__all__) <= set(dir(mistral_nb))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'clasify'"):
        _ = mistral_nb.clasify


@pytest.mark.parametrize("name", mistral_nb.__all__)
def test_every_public_name_has_an_example_of_its_own(name: str) -> None:
    assert has_example(getattr(mistral_nb, name))


@pytest.mark.parametrize("accessor", [FrameVerbs, SeriesVerbs])
def test_everything_that_the_accessor_offers_has_an_example(accessor: type) -> None:
    offered = [name for name in dir(accessor) if not name.startswith("_")]

    assert [name for name in offered if not has_example(getattr(accessor, name))] == []


def test_the_version_is_the_projects() -> None:
    assert mistral_nb.__version__ == PROJECT["version"]


def test_conda_gets_the_extras_that_the_readme_promises() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    extras = set(re.findall(r"\w+", pip[0].split("[", 1)[1]))

    assert extras <= set(PROJECT["optional-dependencies"])
    assert f"python{PROJECT['requires-python']}" in environment["dependencies"][0]


def test_the_readme_lists_every_extra() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|", section("Start"), re.MULTILINE)

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(PROJECT["optional-dependencies"])


def test_the_readme_lists_every_verb() -> None:
    listed = re.findall(r"^\| `(\w+)\(", section("The verbs"), re.MULTILINE)

    assert sorted(listed) == sorted(
        name for name, value in vars(FrameVerbs).items() if callable(value) and name[0] != "_"
    )


def test_the_readme_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    listed = re.findall(r"`mistral-nb ([\w-]+)", "\n".join(re.findall(r"^\|.*", section("Public names"), re.MULTILINE)))
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])

    assert sorted(listed) == sorted(re.findall(r"^    ([\w-]+)", capsys.readouterr().out, re.MULTILINE))


@pytest.mark.parametrize("command", ["demo", "doctor", "download-model", "jobs", "login", "serve", "usage"])
def test_the_help_of_a_command_says_its_purpose(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])

    assert re.search(r"^[A-Z].*[a-z ]", capsys.readouterr().out, re.MULTILINE)


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = [line for line in README.splitlines() if "pytest --cov" in line]

    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
