"""Every test gets a home of its own, no key from outside, and a session that is closed afterwards."""

import asyncio
import functools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import mistral_nb
from mistral_nb import price_list, settings
from mistral_nb.backends.embedded.weights import weights_path
from mistral_nb.engine import account, audit, batches, current, database, events, provider, tokens
from mistral_nb.engine import session as session_module
from mistral_nb.engine.batch_run import Polling
from mistral_nb.engine.limiter import Limiter
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.errors import WeightsMissing
from tests.fake_api import FakeApi

DEFAULT_HOME = settings.current_settings().home

# Some tests are about Ctrl-C, which a shell that runs them in the background has its children ignore.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A new file waits three times for the disk, and nearly each test makes one.
database._SYNCHRONOUS = "OFF"

# The embedded models of test processes that run side by side share the cores: with a thread for each core in each of them, they
# spend half as much processor time again on waiting for one another.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile(
    "without a clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("without a clock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process waits for another one at the end, and leave together what shares a server."""
    longest = {"test_quality.py", "test_notebooks.py", "test_examples.py"}
    shared = {"chromium", "embedded_home"}

    def turn(item: pytest.Item) -> int:
        if item.path.name in longest:
            return 0
        return 1 if shared.intersection(getattr(item, "fixturenames", ())) else 2

    items.sort(key=turn)


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Isolate settings, cache and session of each test."""
    for variable in [name for name in os.environ if name.startswith("MISTRAL_") and name != "MISTRAL_NB_TEST_HOME"]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("MISTRAL_API_KEY", "")  # set to nothing: a .env of the checkout is not looked at
    monkeypatch.setenv("MISTRAL_NB_HOME", str(tmp_path / "home"))
    yield
    current.close_current_session()
    settings._arguments.clear()
    price_list._contracts.clear()
    events._listeners.clear()


class QuickTime:
    """A clock that waiting moves on, so that nobody waits."""

    def __init__(self) -> None:
        self._skipped_seconds = 0.0

    def now(self) -> float:
        return time.monotonic() + self._skipped_seconds

    async def sleep(self, seconds: float) -> None:
        self._skipped_seconds += max(0.0, seconds)
        await asyncio.sleep(0)


@pytest.fixture
def quick_time() -> QuickTime:
    return QuickTime()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, quick_time: QuickTime) -> None:
    """Try again, and let rate limits pass, without waiting."""
    retry = functools.partial(
        RetryPolicy, max_attempts=4, first_wait_seconds=0, clock=quick_time.now, sleep=quick_time.sleep
    )
    polling = functools.partial(Polling, sleep=quick_time.sleep)
    limiter = functools.partial(Limiter, clock=quick_time.now, sleep=quick_time.sleep)
    monkeypatch.setattr(session_module, "RetryPolicy", retry)
    monkeypatch.setattr(batches, "Polling", polling)
    monkeypatch.setattr(account, "Limiter", limiter)


@pytest.fixture
def api(impatient: None) -> Iterator[FakeApi]:
    """Serve a fake of Mistral's API, and make it the one that the session asks."""
    with FakeApi() as fake:
        mistral_nb.configure(endpoint=fake.url, api_key=fake.api_key)
        yield fake


@pytest.fixture
def priced(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """Serve the fake in the place of Mistral's own address, so that prices are known.

    The fake counts a token for every 4 characters, as no real tokenizer does: its prompts are bounded by their bytes, as where the
    tokenizer is not installed.
    """
    monkeypatch.setitem(settings.REGIONS, "global", api.url)
    counter = tokens._counter(is_tekken=False, has_settings=False)
    monkeypatch.setattr(provider, "token_counter", lambda model, *, is_hosted: counter)
    mistral_nb.configure(endpoint="")
    return api


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks for `library` on pandas and on Polars; where the embedded model answers, which takes seconds, on pandas."""
    is_once = metafunc.definition.get_closest_marker("pandas_only") or "embedded" in metafunc.fixturenames
    if "library" in metafunc.fixturenames and not is_once:
        metafunc.parametrize("library", ["pandas", "polars"], indirect=True)


@pytest.fixture
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the accessor of pandas frames be its own, and in a second run of the test the one of Polars."""
    name = str(getattr(request, "param", "pandas"))
    if name == "polars":
        through_polars(monkeypatch)
    return name


def through_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``df.mistral`` and ``series.mistral`` take the way over Polars frames."""
    from tests.notebook.libraries import ThroughPolars

    for subject in (pd.Series, pd.DataFrame):
        monkeypatch.setattr(subject, "mistral", property(ThroughPolars))


@pytest.fixture
def no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no packed row again alone."""
    monkeypatch.setattr(audit, "SHARE", 0)
    monkeypatch.setattr(audit, "FEWEST_ROWS", 0)


@pytest.fixture(scope="session")
def weights_home() -> Path:
    """Return the home that holds the weights of local-tiny and local-embed, or skip (in CI: fail)."""
    home = Path(os.environ.get("MISTRAL_NB_TEST_HOME") or DEFAULT_HOME)
    try:
        for name in ("local-tiny", "local-embed"):
            weights_path(name, home=home)
    except WeightsMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the embedded model's weights are not here: {missing}")
    return home


@pytest.fixture(scope="session")
def embedded_home(weights_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with the weights that are here, so that the tests share one embedded server."""
    home = tmp_path_factory.mktemp("embedded")
    (home / "weights").symlink_to(weights_home / "weights", target_is_directory=True)
    return home


@pytest.fixture
def embedded(embedded_home: Path) -> Path:
    """Make local-tiny the model that answers, with nothing kept from other tests."""
    for file in embedded_home.glob("mistral_nb.sqlite*"):
        file.unlink()
    mistral_nb.configure(home=embedded_home, model="local-tiny")
    return embedded_home


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the front end's packages, installed as its lock file says, or skip (in CI: fail)."""
    npm = shutil.which("npm")
    if npm is None and not os.environ.get("CI"):
        pytest.skip("there is no npm, which installs the front end's packages")
    assert npm is not None, "CI needs npm: .ci/run installs it"
    source = Path(mistral_nb.__file__).parent / "notebook" / "chat" / "frontend"
    folder = tmp_path_factory.mktemp("frontend") / "frontend"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run([npm, "ci"], cwd=folder, check=True, capture_output=True)
    return folder / "node_modules"


@pytest.fixture
def bare_shell() -> Iterator[InteractiveShell]:
    """A real IPython shell, as in a terminal."""
    # Without the user's own history, which is not for tests to write to, and for which IPython would leave a connection open.
    yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(bare_shell: InteractiveShell) -> Iterator[InteractiveShell]:
    """The same with the extension loaded."""
    with capture_output():
        bare_shell.run_line_magic("load_ext", "mistral_nb")
    yield bare_shell
    with capture_output():
        bare_shell.run_line_magic("unload_ext", "mistral_nb")


@pytest.fixture
def notebook(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """The same shell, as a kernel has it: with displays that can be updated and cells below."""
    monkeypatch.setattr(type(shell), "kernel", object(), raising=False)
    return shell
