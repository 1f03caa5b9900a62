"""This machine: Python, packages, folders and files, widgets, the embedded model.

Promises: nothing is sent and no engine is started.
"""

import importlib.metadata
import os
import platform
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import mistral_nb
from mistral_nb.backends.embedded.process import engine_is_installed
from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_folder
from mistral_nb.backends.sdk_client import DEBUG_VARIABLE
from mistral_nb.counted import counted
from mistral_nb.doctor.findings import Finding, Status
from mistral_nb.engine.current import current_session
from mistral_nb.errors import MistralNotebookError
from mistral_nb.key_sources import env_file
from mistral_nb.settings import Settings

_OLDEST_PYTHON = (3, 11)
_NEEDED = ("mistralai", "pandas", "ipython", "aiohttp", "pydantic")
_WIDGETS = ("ipywidgets", "anywidget", "ipykernel", "jupyterlab")


def python() -> Finding:
    """Return whether this Python is one that the package is made for."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info >= _OLDEST_PYTHON:
        return Finding(name="Python", status="ok", found=found)
    return Finding(name="Python", status="fail", found=found, fix="Install Python 3.11 or later.")


def packages() -> Finding:
    """Return the versions of what the package stands on."""
    versions = {name: _version(name) for name in _NEEDED}
    missing = [name for name, version in versions.items() if version is None]
    found = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    sdk = versions["mistralai"]
    found = f"mistral_nb {mistral_nb.__version__}, {found}"
    if missing:
        return Finding(name="packages", status="fail", found=found, fix=f"pip install {' '.join(missing)}")
    if sdk is not None and not sdk.startswith("3."):
        return Finding(name="packages", status="fail", found=found, fix='pip install "mistralai>=3.7,<4"')
    return Finding(name="packages", status="ok", found=found)


def token_counts() -> Finding:
    """Return whether tokens are counted or estimated."""
    version = _version("mistral-common")
    if version is not None:
        return Finding(name="token counts", status="ok", found=f"exact (mistral-common {version})")
    return Finding(
        name="token counts",
        status="warn",
        found="estimates: mistral-common is not installed",
        fix='pip install "mistral_nb[tokens]"',
    )


def debug_output() -> Iterator[Finding]:
    """Yield a line where the SDK prints what is sent."""
    if os.environ.get(DEBUG_VARIABLE):
        yield Finding(
            name="debug output",
            status="warn",
            found=f"{DEBUG_VARIABLE} is set: the SDK prints every request and answer, texts included",
            fix=f"unset {DEBUG_VARIABLE}",
        )


def unreadable_env_file() -> Iterator[Finding]:
    """Yield a line where the project's ``.env`` can't be read."""
    file = env_file()
    if file is None:
        return
    try:
        file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield Finding(
            name=".env",
            status="warn",
            found=f"{file} can't be read ({type(error).__name__})",
            fix="Save it as UTF-8 text.",
        )


def files(settings: Settings) -> Finding:
    """Return where answers and ledger are kept, how large they are, and whether others can read them."""
    try:
        info = current_session().cache.info()
    except MistralNotebookError as error:
        return Finding(name="cache and ledger", status="fail", found=error.problem, fix=error.remedy)
    found = (
        f"{info.path}: {counted(info.answers, 'answer')}, {info.size_bytes / 1e6:,.1f} MB, rights {_rights(info.path)}"
    )
    if os.name == "posix" and info.path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding(
            name="cache and ledger",
            status="warn",
            found=f"{found}: others on this machine can read the answers",
            fix=f"chmod 600 {info.path}",
        )
    return Finding(name="cache and ledger", status="ok", found=found)


def widgets() -> Finding:
    """Return whether the chat panel and progress lines can be shown."""
    versions = {name: _version(name) for name in _WIDGETS}
    found = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return Finding(name="widgets", status="warn", found=found, fix=f"pip install {' '.join(missing)}")
    return Finding(name="widgets", status="ok", found=found)


def embedded_model(settings: Settings) -> Finding:
    """Return which embedded models are here; a failure only where one of them has to answer."""
    folder = weights_folder(settings.home)
    here = [name for name, model in LOCAL_MODELS.items() if (folder / model.file_name).is_file()]
    wanted = settings.default_model if settings.answered_by == "embedded" else None
    trouble: Status = "fail" if wanted is not None else "warn"
    if not engine_is_installed():
        return Finding(
            name="embedded model",
            status=trouble,
            found="its engine is not installed",
            fix='pip install "mistral_nb[local]"',
        )
    if wanted in LOCAL_MODELS and wanted not in here:
        found = f"{wanted} has to answer, and its weights are not in {folder}"
        return Finding(name="embedded model", status="fail", found=found, fix=f"mistral-nb download-model {wanted}")
    if not here:
        fix = "mistral-nb download-model"
        return Finding(name="embedded model", status="warn", found=f"no weights in {folder}", fix=fix)
    return Finding(name="embedded model", status="ok", found=f"{', '.join(here)} in {folder}")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _rights(path: Path) -> str:
    return stat.filemode(path.stat().st_mode)
