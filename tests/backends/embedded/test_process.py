"""The life of the shared server: started once, seen by its user alone, and gone when nobody needs it."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mistral_nb.backends.embedded import process, run_files
from mistral_nb.backends.embedded.process import ensure_server, is_running
from mistral_nb.errors import EmbeddedServerFailed, EngineMissing
from tests.backends.embedded.conftest import is_process, wait_until

pytestmark = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="the life of processes is tested where it can be seen"
)

ROOT = Path(__file__).parents[3]
# Prints the server's pid, then waits until its standard input ends.
CLIENT = """
import sys
from pathlib import Path
from mistral_nb.backends.embedded.process import ensure_server
print(ensure_server(Path(sys.argv[1]), linger_seconds=0.2).pid, flush=True)
sys.stdin.read()
"""


class Client:
    """Another process that uses the server of a home."""

    def __init__(self, home: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def server_pid(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Return a home without weights, and end its server afterwards."""
    yield tmp_path
    lease = process._leases.pop(tmp_path, None)
    if lease is not None:
        lease.connection.close()


@pytest.fixture
def client(home: Path) -> Iterator[Callable[[], Client]]:
    clients: list[Client] = []

    def start() -> Client:
        clients.append(Client(home))
        return clients[-1]

    yield start
    for started in clients:
        started.process.kill()
        started.end()


def test_a_server_is_asked_for_once(home: Path) -> None:
    assert ensure_server(home, linger_seconds=0.2) == ensure_server(home)


def test_two_processes_share_one_server(client: Callable[[], Client]) -> None:
    first, second = client(), client()

    assert first.server_pid() == second.server_pid()


def test_the_server_stays_until_its_last_client_has_gone(client: Callable[[], Client]) -> None:
    first, second = client(), client()
    pid = first.server_pid()
    second.server_pid()
    first.end()
    time.sleep(0.8)  # four times what it lingers

    assert is_process(pid)
    second.end()
    wait_until(lambda: not is_process(pid), what="the end of the server")


def test_the_server_ends_when_its_client_is_killed(client: Callable[[], Client]) -> None:
    killed = client()
    pid = killed.server_pid()
    killed.process.send_signal(signal.SIGKILL)

    wait_until(lambda: not is_process(pid), what="the end of the server")


def test_an_interrupt_of_the_kernel_does_not_reach_the_server(client: Callable[[], Client]) -> None:
    interrupted, other = client(), client()
    pid = interrupted.server_pid()
    other.server_pid()
    os.killpg(interrupted.process.pid, signal.SIGINT)
    interrupted.process.wait()

    assert is_process(pid)


def test_a_server_that_ends_takes_its_state_with_it(home: Path, client: Callable[[], Client]) -> None:
    only = client()
    pid = only.server_pid()
    only.end()
    wait_until(lambda: not is_process(pid), what="the end of the server")

    assert list((home / "run").glob("*.json")) == []


def test_a_server_that_is_asked_to_end_does(home: Path) -> None:
    handle = ensure_server(home, linger_seconds=60)
    os.kill(handle.pid, signal.SIGTERM)

    wait_until(lambda: not is_process(handle.pid), what="the end of the server")


def test_a_killed_server_is_replaced(home: Path) -> None:
    killed = ensure_server(home)
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(lambda: not is_running(killed, home=home), what="the notice of its end")
    replacement = ensure_server(home, linger_seconds=0.2)

    assert replacement.pid != killed.pid
    assert is_running(replacement, home=home)


def test_a_state_file_of_a_server_that_is_gone_is_not_believed(home: Path) -> None:
    gone = run_files.ServerState(url="http://127.0.0.1:9", key="old", pid=1)
    run_files.write_state(home, run_files.fingerprint(), gone)

    assert ensure_server(home, linger_seconds=0.2).key != "old"


def test_a_state_file_that_can_not_be_read_is_not_believed(home: Path) -> None:
    run_files.state_file(home, run_files.fingerprint()).write_text("{")

    assert ensure_server(home, linger_seconds=0.2).pid


def test_another_server_at_the_same_port_is_not_believed(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other_home = tmp_path_factory.mktemp("other")
    other = ensure_server(other_home, linger_seconds=0.2)
    fake = run_files.ServerState(url=other.url, key="not its key", pid=other.pid)
    run_files.write_state(home, run_files.fingerprint(), fake)

    assert ensure_server(home, linger_seconds=0.2).pid != other.pid


def test_other_code_gets_a_server_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure_server(home, linger_seconds=0.2)
    process._leases.pop(home).connection.close()
    monkeypatch.setattr(run_files, "fingerprint", lambda: "0123456789abcdef")

    assert ensure_server(home, linger_seconds=0.2).pid != first.pid


def test_the_key_is_for_its_user_alone(home: Path) -> None:
    handle = ensure_server(home, linger_seconds=0.2)
    command_line = Path(f"/proc/{handle.pid}/cmdline").read_bytes()
    modes = {file.name: file.stat().st_mode & 0o777 for file in (home / "run").iterdir()}

    assert handle.key not in repr(handle)
    assert handle.key.encode() not in command_line
    assert set(modes.values()) == {0o600}, modes
    assert (home / "run").stat().st_mode & 0o777 == 0o700


def test_the_server_does_not_get_the_api_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "a-key-that-is-none")
    handle = ensure_server(home, linger_seconds=0.2)

    assert b"a-key-that-is-none" not in Path(f"/proc/{handle.pid}/environ").read_bytes()


def test_a_forked_process_takes_a_lease_of_its_own(home: Path) -> None:
    script = textwrap.dedent(
        """
        import os, sys, time
        from pathlib import Path
        from mistral_nb.backends.embedded.process import ensure_server, is_running
        home = Path(sys.argv[1])
        before = ensure_server(home, linger_seconds=0.2)
        if os.fork():
            os._exit(0)
        assert not is_running(before, home=home)
        after = ensure_server(home, linger_seconds=0.2)
        print(before.pid == after.pid and is_running(after, home=home), flush=True)
        """
    )
    ended = subprocess.run(
        # From 3.12 on Python warns of every fork of a process with threads, as libraries have them.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, str(home)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )

    assert (ended.stdout.strip(), ended.stderr) == ("True", "")


@pytest.mark.parametrize("package", ["xllamacpp", "aiohttp", "filelock"])
def test_a_missing_package_is_told_with_the_line_that_installs_it(home: Path, package: str) -> None:
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path

        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == {package!r}:
                    raise ModuleNotFoundError(f"No module named {{name}}", name=name)

        sys.meta_path.insert(0, Blocker())
        from mistral_nb.backends.embedded.process import ensure_server
        from mistral_nb.errors import EngineMissing
        try:
            ensure_server(Path(sys.argv[1]))
        except EngineMissing as error:
            print(error)
        """
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )

    assert f"not installed: {package}" in ended.stdout
    assert 'pip install "mistral_nb[local]"' in ended.stdout


def test_a_package_that_something_else_took_the_place_of_is_missing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    with pytest.raises(EngineMissing):
        ensure_server(home)


def test_a_damaged_engine_is_told_with_its_last_words(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path_factory.mktemp("damaged")
    (damaged / "xllamacpp.py").write_text("raise ImportError('GLIBC_9.99 not found')")
    monkeypatch.setenv("PYTHONPATH", str(damaged))

    with pytest.raises(EmbeddedServerFailed, match=r"GLIBC_9\.99 not found"):
        ensure_server(home)


def test_a_server_that_is_not_ready_in_time_is_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_SECONDS", 0.0)

    with pytest.raises(EmbeddedServerFailed, match="did not answer within 0 s"):
        ensure_server(home)


def test_a_home_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where a folder should be")

    with pytest.raises(EmbeddedServerFailed, match="can't be started"):
        ensure_server(tmp_path)


def test_released_servers_are_found_again_and_nothing_is_left_open(home: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from mistral_nb.backends.embedded.process import ensure_server, is_running, release_servers
        home = Path(sys.argv[1])
        before = ensure_server(home, linger_seconds=1)
        release_servers()
        assert not is_running(before, home=home)
        print(ensure_server(home).pid == before.pid)
        """
    )
    command = [sys.executable, "-W", "error", "-c", script, str(home)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)

    assert (ended.stdout.strip(), ended.stderr) == ("True", "")


def test_the_state_is_whole(home: Path) -> None:
    handle = ensure_server(home, linger_seconds=0.2)
    state = json.loads(run_files.state_file(home, run_files.fingerprint()).read_text())

    assert state == {"url": handle.url, "key": handle.key, "pid": handle.pid}
