"""What the shared server and the processes that use it leave for each other in ``home/run``.

Keeps to itself: file names, their form, and what makes two servers different.
Promises: files are readable by their user alone; a server of another version, or with other code, has another name.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mistral_nb.errors import EngineMissing

if TYPE_CHECKING:
    from filelock import BaseFileLock


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """Where a server listens, and what it wants to hear."""

    url: str
    key: str = field(repr=False)
    pid: int


@functools.cache
def fingerprint() -> str:
    """Return what tells this code from any other: package and engine versions, and the text of this folder."""
    digest = hashlib.sha256(f"{sys.version} {sys.prefix}".encode())
    for name in ("mistral_nb", "xllamacpp"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(f"{name}=={importlib.metadata.version(name)}".encode())
    folder = Path(__file__).parent
    for file in sorted([*folder.glob("*.py"), *folder.glob("*.toml")]):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def run_folder(home: Path) -> Path:
    """Return the folder of locks, states and logs, made if it was not there."""
    folder = home / "run"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def lock(home: Path) -> "BaseFileLock":
    """Return the lock that is held while a server is looked for or started."""
    from filelock import FileLock

    return FileLock(run_folder(home) / "server.lock", mode=0o600)


def state_file(home: Path, server_fingerprint: str) -> Path:
    return run_folder(home) / f"server-{server_fingerprint}.json"


def log_file(home: Path, server_fingerprint: str) -> Path:
    return run_folder(home) / f"server-{server_fingerprint}.log"


def read_state(home: Path, server_fingerprint: str) -> ServerState | None:
    """Return what the last server of that fingerprint wrote; it may be gone. None where there is nothing to read."""
    try:
        return ServerState(**json.loads(state_file(home, server_fingerprint).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_state(home: Path, server_fingerprint: str, state: ServerState) -> None:
    """Leave the state for others, whole or not at all, and for this user's eyes only."""
    target = state_file(home, server_fingerprint)
    temporary = target.with_suffix(f".{state.pid}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file)
    temporary.replace(target)


def remove_state(home: Path, server_fingerprint: str, *, pid: int) -> None:
    """Take back the state of server `pid`, and its empty log, unless another has written its own or is being started."""
    # Timeout, of a lock that is taken, is an OSError.
    with contextlib.suppress(OSError), lock(home).acquire(blocking=False):
        state = read_state(home, server_fingerprint)
        if state is not None and state.pid == pid:
            state_file(home, server_fingerprint).unlink()
            log = log_file(home, server_fingerprint)
            if log.stat().st_size == 0:
                log.unlink()


def lease_line(server_fingerprint: str) -> bytes:
    """Return what a server says to whoever takes a lease: who it is."""
    return json.dumps({"fingerprint": server_fingerprint, "pid": os.getpid()}).encode() + b"\n"


def engine_missing(error: ImportError) -> EngineMissing:
    """Return what is to be installed."""
    return EngineMissing(
        f"The embedded model needs a package that is not installed: {error.name or error}.",
        'Install it, in a terminal:\npip install "mistral_nb[local]"',
    )
