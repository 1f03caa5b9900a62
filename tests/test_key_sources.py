"""Where a key is found: argument, environment, the project's .env, the system's keyring."""

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backends import fail

import mistral_nb
from mistral_nb import key_sources
from mistral_nb.api_key import SecretKey
from mistral_nb.errors import KeyringProblem
from mistral_nb.key_sources import remove_key, store_key
from mistral_nb.settings import current_home, current_settings
from tests.keyrings import LockedKeyring, MemoryKeyring, in_use

ARGUMENT, VARIABLE, IN_FILE, IN_KEYRING = (f"{place}-key-0123456789abcdef" for place in "aefk")


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.delenv("MISTRAL_API_KEY")
    monkeypatch.chdir(project)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    return tmp_path / "project"


@pytest.fixture
def memory_keyring() -> Iterator[MemoryKeyring]:
    memory = MemoryKeyring()
    with in_use(memory):
        yield memory


def write_env(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".env").write_text(text, encoding="utf-8")


def key() -> str | None:
    found = current_settings().api_key
    return found.reveal() if found else None


def test_the_order_is_argument_environment_env_file_keyring(
    project: Path, memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [key()]
    store_key(SecretKey(IN_KEYRING), home=current_home())
    found.append(key())
    write_env(project, f"MISTRAL_API_KEY={IN_FILE}")
    found.append(key())
    monkeypatch.setenv("MISTRAL_API_KEY", VARIABLE)
    found.append(key())
    mistral_nb.configure(api_key=ARGUMENT)
    found.append(key())

    assert found == [None, IN_KEYRING, IN_FILE, VARIABLE, ARGUMENT]


def test_a_variable_set_to_nothing_means_no_key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_env(project, f"MISTRAL_API_KEY={IN_FILE}")
    monkeypatch.setenv("MISTRAL_API_KEY", "")

    assert key() is None


class TestEnvFile:
    @pytest.mark.parametrize(
        "line",
        [
            f"MISTRAL_API_KEY={IN_FILE}",
            f'export MISTRAL_API_KEY="{IN_FILE}"  # mine',
            f"OTHER=1\n\nMISTRAL_API_KEY = '{IN_FILE}'\n",
            f"\ufeffMISTRAL_API_KEY={IN_FILE}",
        ],
        ids=["plain", "exported and quoted", "among others", "with a byte order mark"],
    )
    def test_it_may_be_written_as_shells_do(self, project: Path, line: str) -> None:
        write_env(project, line)

        assert key() == IN_FILE

    def test_that_of_the_project_is_found_from_a_folder_in_it(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_env(project, f"MISTRAL_API_KEY={IN_FILE}")
        (project / "notebooks" / "drafts").mkdir(parents=True)
        monkeypatch.chdir(project / "notebooks" / "drafts")

        assert key() == IN_FILE

    def test_one_above_the_project_is_not_the_projects(self, project: Path) -> None:
        write_env(project.parent, f"MISTRAL_API_KEY={IN_FILE}")

        assert key() is None

    def test_a_changed_file_is_read_again(self, project: Path) -> None:
        write_env(project, f"MISTRAL_API_KEY={VARIABLE}")
        key()
        write_env(project, f"MISTRAL_API_KEY={IN_FILE}")

        assert key() == IN_FILE

    def test_nothing_else_of_it_holds(self, project: Path) -> None:
        write_env(project, "MISTRAL_NB_REGION=eu\nMISTRAL_NB_ENDPOINT=http://evil.example")

        assert current_settings().server_url == "https://api.mistral.ai"

    def test_where_the_key_is_from_is_said(self, project: Path) -> None:
        write_env(project, f"MISTRAL_API_KEY={IN_FILE}")

        assert current_settings().reason == f"key found in {project / '.env'}"

    def test_a_file_that_is_no_text_holds_no_key(self, project: Path) -> None:
        (project / ".env").write_bytes(b"\xff\xfe\x00MISTRAL")

        assert key() is None


class TestKeyring:
    def test_it_is_not_opened_for_who_stored_no_key(self, memory_keyring: MemoryKeyring) -> None:
        key()

        assert memory_keyring.reads == 0

    def test_it_is_opened_once_in_a_process(self, memory_keyring: MemoryKeyring) -> None:
        store_key(SecretKey(IN_KEYRING), home=current_home())
        key_sources._from_keyring.clear()  # as in the next process

        assert [key(), key(), memory_keyring.reads] == [IN_KEYRING, IN_KEYRING, 1]

    def test_a_removed_key_is_found_no_more(self, memory_keyring: MemoryKeyring) -> None:
        store_key(SecretKey(IN_KEYRING), home=current_home())

        assert [remove_key(home=current_home()), key(), memory_keyring.passwords] == [True, None, {}]

    def test_removing_what_was_never_stored_is_no_error(self) -> None:
        assert not remove_key(home=current_home())

    def test_a_machine_without_a_keyring_says_so_and_names_other_places(self, memory_keyring: MemoryKeyring) -> None:
        keyring.set_keyring(fail.Keyring())

        with pytest.raises(KeyringProblem, match=r"(?s)no keyring .*MISTRAL_API_KEY.*\.env"):
            store_key(SecretKey(IN_KEYRING), home=current_home())

    def test_a_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "keyring", None)

        with pytest.raises(KeyringProblem, match=r'pip install "mistral_nb\[keyring\]"'):
            store_key(SecretKey(IN_KEYRING), home=current_home())

    def test_a_stored_key_that_cannot_be_read_is_an_error_not_another_model(
        self, memory_keyring: MemoryKeyring
    ) -> None:
        store_key(SecretKey(IN_KEYRING), home=current_home())
        key_sources._from_keyring.clear()
        keyring.set_keyring(LockedKeyring())

        with pytest.raises(KeyringProblem, match=r"(?s)KeyringLocked.*Unlock it"):
            current_settings()

    def test_a_stored_key_that_was_deleted_elsewhere_is_an_error_too(self, memory_keyring: MemoryKeyring) -> None:
        store_key(SecretKey(IN_KEYRING), home=current_home())
        key_sources._from_keyring.clear()
        memory_keyring.passwords.clear()

        with pytest.raises(KeyringProblem, match="mistral-nb logout"):
            current_settings()
