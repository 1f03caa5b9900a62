"""mistral-nb login and logout."""

import getpass
import io
import sys
from collections.abc import Callable, Iterator

import pytest

from mistral_nb.cli import main
from mistral_nb.settings import current_settings
from tests.fake_api import FakeApi
from tests.keyrings import MemoryKeyring, in_use

KEY = "abcdefghijklmnopqrstuvwxyz012345"


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    monkeypatch.delenv("MISTRAL_API_KEY")
    memory = MemoryKeyring()
    with in_use(memory):
        yield memory


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as fake:
        monkeypatch.setenv("MISTRAL_NB_ENDPOINT", fake.url)
        yield fake


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def give(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    return give


def test_a_key_that_is_accepted_is_stored_and_found(
    server: FakeApi, memory: MemoryKeyring, type_in: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(f"{KEY}\n")
    code = main(["login"])
    said = capsys.readouterr().out

    assert (code, list(memory.passwords.values())) == (0, [KEY])
    assert "The key …2345 is in a keyring in memory from now on." in said
    assert KEY not in said


def test_a_key_that_is_refused_is_not_stored(
    server: FakeApi, memory: MemoryKeyring, type_in: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    type_in("another-key-that-is-none-at-all\n")
    code = main(["login"])

    assert (code, memory.passwords) == (1, {})
    assert "did not accept the key …-all" in capsys.readouterr().err


def test_a_key_that_cannot_be_tried_is_stored_and_said_to_be_untried(
    memory: MemoryKeyring,
    type_in: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MISTRAL_NB_ENDPOINT", "http://127.0.0.1:9")
    type_in(KEY)
    main(["login"])

    assert list(memory.passwords.values()) == [KEY]
    assert "It could not be tried: No connection to http://127.0.0.1:9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("\n", "No key was typed"),
        ("two words and more\n", "white space in its middle"),
        ("sk-ant-0123456789abcdef\n", "key of Anthropic"),
    ],
    ids=["nothing", "white space", "another product's"],
)
def test_what_is_no_key_is_refused_before_anything_is_sent(
    server: FakeApi,
    memory: MemoryKeyring,
    type_in: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    typed: str,
    problem: str,
) -> None:
    type_in(typed)
    main(["login"])

    assert problem in capsys.readouterr().err
    assert (memory.passwords, server.requests) == ({}, [])


def test_at_a_terminal_the_key_is_asked_for_without_an_echo(
    server: FakeApi, memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: KEY)
    main(["login"])

    assert list(memory.passwords.values()) == [KEY]


def test_logging_out_forgets_the_key(
    server: FakeApi, memory: MemoryKeyring, type_in: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(KEY)
    main(["login"])
    main(["logout"])

    assert "The key is removed" in capsys.readouterr().out
    assert (memory.passwords, current_settings().api_key) == ({}, None)


def test_a_key_that_goes_before_the_keyrings_is_told(
    server: FakeApi,
    type_in: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    type_in(KEY)
    main(["login"])

    assert "MISTRAL_API_KEY in the environment goes before the keyring." in capsys.readouterr().out
