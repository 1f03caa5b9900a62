"""The server process that all kernels of a user share: found, started, and kept alive.

Keeps to itself: the lock, the state file and the lease: one open connection per client process, which the operating system closes
however the process ends.
Promises: one server per home and version, whoever asks first; it survives the interrupt and the death of the kernel that started
it, and ends a few seconds after the last process that used it; the key is never on a command line.
"""

import atexit
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mistral_nb.backends.embedded import run_files
from mistral_nb.errors import EmbeddedServerFailed

START_SECONDS = 60.0
ANSWER_SECONDS = 10.0
LOG_LINES = 8
POLL_SECONDS = 0.02
ENGINE_PACKAGES = ("xllamacpp", "aiohttp", "filelock")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHandle:
    """A running server: its address and its key."""

    url: str
    key: str = field(repr=False)
    pid: int


@dataclass(slots=True)
class _Lease:
    handle: ServerHandle
    connection: socket.socket

    def is_alive(self) -> bool:
        """Whether the server still holds its end: it never sends anything more."""
        try:
            return bool(self.connection.recv(1))
        except BlockingIOError:
            return True
        except OSError:
            return False


_leases: dict[Path, _Lease] = {}
_one_at_a_time = threading.Lock()


def ensure_server(home: Path, *, linger_seconds: float | None = None) -> ServerHandle:
    """Return the server of this home, started if there is none; blocks until it answers.

    Called before each request, it costs one system call as long as the server lives.

    Parameters
    ----------
    home
        Folder with "weights" (models) and "run" (this module's files).
    linger_seconds
        How long a server that is started now stays when nobody uses it any more.

    Raises
    ------
    EngineMissing
        A package of the extra ``local`` is not installed.
    EmbeddedServerFailed
        The server did not start; with the last lines it wrote.
    """
    home = home.expanduser().absolute()
    with _one_at_a_time:
        lease = _leases.get(home)
        if lease is not None:
            if lease.is_alive():
                return lease.handle
            _leases.pop(home).connection.close()
        lease = _find_or_start(home, linger_seconds)
        _leases[home] = lease
        return lease.handle


def release_servers() -> None:
    """Give back this process's leases; servers that nobody else uses end soon after."""
    with _one_at_a_time:
        for lease in _leases.values():
            lease.connection.close()
        _leases.clear()


def is_running(handle: ServerHandle, *, home: Path) -> bool:
    """Whether the server of this handle, on which this process has a lease, is still there."""
    # Without the lock, which another thread may hold while a server starts.
    lease = _leases.get(home.expanduser().absolute())
    return lease is not None and lease.handle == handle and lease.is_alive()


def last_words(home: Path) -> str:
    """Return the last lines that this version's server wrote to its log; empty where there are none."""
    try:
        log = run_files.log_file(home, run_files.fingerprint()).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(log.strip().splitlines()[-LOG_LINES:])


def engine_is_installed() -> bool:
    """Whether every package of the extra ``local`` is there."""
    return all(map(_is_installed, ENGINE_PACKAGES))


def check_engine_is_installed() -> None:
    """Raise EngineMissing where a package of the extra ``local`` is not installed."""
    for package in ENGINE_PACKAGES:
        if not _is_installed(package):
            raise run_files.engine_missing(ModuleNotFoundError(name=package))


def _find_or_start(home: Path, linger_seconds: float | None) -> _Lease:
    check_engine_is_installed()
    server_fingerprint = run_files.fingerprint()
    try:
        with run_files.lock(home):
            lease = _take_lease(home, server_fingerprint)
            if lease is not None:
                return lease
            run_files.state_file(home, server_fingerprint).unlink(missing_ok=True)
            return _start(home, server_fingerprint, linger_seconds)
    except OSError as error:
        raise EmbeddedServerFailed(
            f"The embedded server can't be started from {home / 'run'}: {error}.",
            'Choose a folder you can write to: mistral_nb.configure(home="…")',
        ) from None


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # ValueError: another module took its place
        return False


def _start(home: Path, server_fingerprint: str, linger_seconds: float | None) -> _Lease:
    command = [sys.executable, "-m", "mistral_nb.backends.embedded.server"]
    command += ["--home", str(home), "--fingerprint", server_fingerprint]
    if linger_seconds is not None:
        command += ["--linger-seconds", str(linger_seconds)]
    log_path = run_files.log_file(home, server_fingerprint)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and this package
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=home,
            env=_server_environment(),
            # A session of its own: Ctrl-C and the end of the kernel don't reach it.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
            | getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    finally:
        os.close(log)
    # Whoever ends first: this thread takes the exit status, so that no zombie is left behind.
    with contextlib.suppress(RuntimeError):  # from Python 3.12 on no thread starts after the main one has ended
        threading.Thread(target=process.wait, daemon=True, name="mistral-nb-server-reaper").start()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        lease = _take_lease(home, server_fingerprint)
        if lease is not None:
            return lease
        if process.poll() is not None:
            raise EmbeddedServerFailed(
                f"The embedded server ended at its start, with status {process.returncode}.\n{last_words(home)}".strip(),
                'If the engine is damaged, install it again: pip install --force-reinstall "mistral_nb[local]"',
            )
        time.sleep(POLL_SECONDS)
    process.terminate()
    raise EmbeddedServerFailed(
        f"The embedded server did not answer within {START_SECONDS:g} s.\n{last_words(home)}".strip(),
        "Try again when the machine is less busy.",
    )


def _server_environment() -> dict[str, str]:
    """Return this process's environment, in which the server finds the package that this process uses, and no API key."""
    environment = {name: value for name, value in os.environ.items() if name != "MISTRAL_API_KEY"}
    root = str(Path(__file__).parents[3])
    paths = [root, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    return {**environment, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def _take_lease(home: Path, server_fingerprint: str) -> _Lease | None:
    """Connect to the server that left its state here; None where it is gone, or is another than it should be."""
    state = run_files.read_state(home, server_fingerprint)
    if state is None:
        return None
    address = urlsplit(state.url)
    try:
        connection = socket.create_connection((address.hostname, address.port), timeout=ANSWER_SECONDS)
    except OSError:
        return None
    try:
        # HTTP/1.0: the answer is the bare line, and the connection's end is the answer's end.
        connection.sendall(
            f"GET /v1/mistral_nb/lease HTTP/1.0\r\nHost: {address.netloc}\r\n"
            f"Authorization: Bearer {state.key}\r\n\r\n".encode()
        )
        said = b""
        while not said.partition(b"\r\n\r\n")[2].endswith(b"\n"):
            piece = connection.recv(4096)
            if not piece:
                raise ConnectionResetError
            said += piece
        if json.loads(said.partition(b"\r\n\r\n")[2]) != {"fingerprint": server_fingerprint, "pid": state.pid}:
            raise ValueError
    except (OSError, ValueError):
        connection.close()
        return None
    connection.setblocking(False)
    return _Lease(ServerHandle(url=state.url, key=state.key, pid=state.pid), connection)


def _forget_inherited_leases() -> None:
    """In a forked child: the parent's leases are the parent's, and its lock may be held by a thread that is not here."""
    global _one_at_a_time  # noqa: PLW0603 - a lock in an unknown state can only be replaced
    _one_at_a_time = threading.Lock()
    for lease in _leases.values():
        with contextlib.suppress(OSError):
            lease.connection.close()
    _leases.clear()


atexit.register(release_servers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited_leases)
