"""The processes of a measurement: a server, and a fresh Python for each run that is timed or weighed.

Keeps to itself: how children are started, heard and ended, and what /proc says of them.
Promises: a child ends with the block that started it, and with this process however that ends (on Linux even when it is killed);
none of them sees a key, a setting or a cache of the user.
"""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 5.0
RUN_SECONDS = 900.0
_SIGNAL_OF_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG
# Where a traceback names its exception; what follows is the rest of the message.
_ERROR_LINE = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Failed|Timeout|Interrupt)\b[:(]")


class ChildFailed(Exception):
    """A process ended with an error, or did not end in time; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server on loopback, in a process of its own."""

    url: str
    pid: int
    api_key: str = "fake-api-key"

    def cpu_seconds(self) -> float:
        """Return the processor time it has used; 0 where there is no /proc."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, path: str, body: Any = None) -> Any:
        """Return the JSON of a control path; with a body it is a POST."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=data), timeout=60) as answer:
            return json.load(answer)


@contextmanager
def fake_api(**settings: float) -> Iterator[Server]:
    """Run ``python -m tests.fake_api``; `settings` are its options, e.g. ``latency_per_row=0.1``."""
    options = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "tests.fake_api", *options]
    with _child(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise ChildFailed("The fake API did not start; see: python -m tests.fake_api")
        yield Server(url=url, pid=process.pid)


@contextmanager
def script_server(script: Path, *, answers_at: str, **settings: float) -> Iterator[Server]:
    """Run a server that takes ``--port`` and is there when the path `answers_at` answers."""
    port = free_port()
    options = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, str(script), "--port", str(port), *options]
    with _child(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        server = Server(url=f"http://127.0.0.1:{port}", pid=process.pid)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                server.ask(answers_at)
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ChildFailed(f"{script.name} did not start.") from None
                time.sleep(0.05)
        yield server


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def run_module(module: str, spec: Mapping[str, Any], *, environment: Mapping[str, str] | None = None) -> Any:
    """Run ``python -m module`` with the spec as JSON on its standard input; return the JSON it prints on its last line."""
    command = [sys.executable, "-m", module]
    return run_command(command, text=json.dumps(spec), environment=environment)


def run_command(
    command: Sequence[str],
    *,
    text: str = "",
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    timeout_seconds: float = RUN_SECONDS,
) -> Any:
    """Return the JSON on the last line a command prints.

    Raises
    ------
    ChildFailed
        It failed, took too long, or printed no JSON; with the exception it ended with, or its last line on standard error.
    """
    pipe = subprocess.PIPE
    with _child(command, environment=environment, folder=folder, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            output, complaints = process.communicate(text, timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"not done after {timeout_seconds:.0f} s") from None
    try:
        return json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        lines = [line.strip() for line in complaints.splitlines() if line.strip()] or ["it said nothing"]
        errors = [line for line in lines if _ERROR_LINE.match(line)]
        raise ChildFailed((errors or lines)[-1]) from None


@contextmanager
def _child(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, folder: Path = ROOT, **streams: int
) -> Iterator["subprocess.Popen[str]"]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MISTRAL_")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**inherited, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
        text=True,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # no threads here
        **streams,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                stream.close()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)


class MachineUse:
    """How busy the machine is with anything but this process and its ended children, since this was made."""

    def __init__(self) -> None:
        self._before = self._times()

    def others_cores(self) -> float:
        """Return how many cores the others kept busy on average; 0 where there is no /proc."""
        wall, machine, own = (after - before for after, before in zip(self._times(), self._before, strict=True))
        return max(0.0, (machine - own) / wall) if wall else 0.0

    @staticmethod
    def _times() -> tuple[float, float, float]:
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        try:
            fields = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)[1:9]
        except OSError:
            return times.elapsed, own, own
        idle_or_stolen = int(fields[3]) + int(fields[4]) + int(fields[7])
        return times.elapsed, (sum(map(int, fields)) - idle_or_stolen) / os.sysconf("SC_CLK_TCK"), own


def end_on_sigterm() -> None:
    """Leave every block in order when asked to terminate, as on Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
