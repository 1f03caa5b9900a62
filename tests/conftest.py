"""Every test gets a home of its own, no key from outside, and a session that is closed afterwards."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import mistral_nb
from mistral_nb import settings
from mistral_nb.backends.embedded.weights import weights_path
from mistral_nb.engine import session as session_module
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.errors import WeightsMissing
from tests.fake_api import FakeApi

DEFAULT_HOME = settings.current_settings().home


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Isolate settings, cache and session of each test."""
    for variable in [name for name in os.environ if name.startswith("MISTRAL_") and name != "MISTRAL_NB_TEST_HOME"]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("MISTRAL_NB_HOME", str(tmp_path / "home"))
    yield
    session_module.close_current_session()
    settings._arguments.clear()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again without waiting."""
    monkeypatch.setattr(session_module, "RetryPolicy", lambda: RetryPolicy(max_attempts=4, first_wait_seconds=0))


@pytest.fixture
def api(impatient: None) -> Iterator[FakeApi]:
    """Serve a fake of Mistral's API, and make it the one that the session asks."""
    with FakeApi() as fake:
        mistral_nb.configure(endpoint=fake.url, api_key=fake.api_key)
        yield fake


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
