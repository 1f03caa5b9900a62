"""Where a key is found when none is given: the environment, the project's ``.env``, the system's keyring, in that order.

Keeps to itself: python-dotenv, keyring and its back ends, and which folders belong to a project.
Promises: of a ``.env`` only MISTRAL_API_KEY is read, and nothing is put into the environment. MISTRAL_API_KEY set to nothing means:
no key. The keyring is opened only after `store_key` (``mistral-nb login``), once per process, and never in silence: a key that was
stored and can't be read is an error, so that a hosted model is not replaced by the embedded one.
"""

import importlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mistral_nb.api_key import SecretKey
from mistral_nb.errors import KeyringProblem

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

KEY_VARIABLE = "MISTRAL_API_KEY"
KEYRING = "the system's keyring"
ENV_FILE = ".env"

_SERVICE = "mistral_nb"
# Nobody who never stored a key is to be asked by their system to unlock its keyring.
_MARKER = "key_is_in_keyring"
_PROJECT_MARKERS = (".git", "pyproject.toml")
_WITHOUT_KEYRING = f"Set {KEY_VARIABLE} in the environment, or write {KEY_VARIABLE}=… into the project's {ENV_FILE}."
_from_keyring: dict[Path, SecretKey] = {}


def found_key(environment: Mapping[str, str], *, home: Path) -> SecretKey | None:
    """Return the key that holds where none is given as an argument; None when there is none.

    Raises
    ------
    KeyringProblem
        A key was stored in the keyring, and can't be read from it.
    """
    if KEY_VARIABLE in environment:
        key = environment[KEY_VARIABLE].strip()
        return SecretKey(key, found_in=KEY_VARIABLE) if key else None
    return _key_of_env_file() or _key_of_keyring(home)


def env_file() -> Path | None:
    """Return the nearest ``.env``, from the working folder up to the project's own (the one with ``.git`` or
    ``pyproject.toml``) or the home folder; None when there is none.
    """
    try:
        working = Path.cwd()
    except OSError:  # it was deleted
        return None
    for folder in (working, *working.parents):
        if (folder / ENV_FILE).is_file():
            return folder / ENV_FILE
        if folder == Path.home() or any((folder / marker).exists() for marker in _PROJECT_MARKERS):
            return None
    return None


def is_in_keyring(home: Path) -> bool:
    """Whether `store_key` has stored a key for this home."""
    return (home / _MARKER).is_file()


def store_key(key: SecretKey, *, home: Path) -> str:
    """Store the key in the system's keyring and return the name of what keeps it.

    Raises
    ------
    KeyringProblem
        keyring is not installed, this machine has none, or it refused.
    """
    name: str = _with_keyring(lambda keyring: _stored(keyring, key))
    home.mkdir(parents=True, exist_ok=True)
    (home / _MARKER).touch(mode=0o600)
    _from_keyring[home] = SecretKey(key.reveal(), found_in=KEYRING)
    return name


def remove_key(*, home: Path) -> bool:
    """Remove the key from the keyring; False when none was stored.

    Raises
    ------
    KeyringProblem
        keyring is not installed any more, or refused.
    """
    if not is_in_keyring(home):
        return False
    _with_keyring(_removed)
    (home / _MARKER).unlink(missing_ok=True)
    _from_keyring.pop(home, None)
    return True


def _stored(keyring: "KeyringBackend", key: SecretKey) -> str:
    keyring.set_password(_SERVICE, KEY_VARIABLE, key.reveal())
    return str(keyring.name)


def _removed(keyring: "KeyringBackend") -> None:
    if keyring.get_password(_SERVICE, KEY_VARIABLE) is not None:
        keyring.delete_password(_SERVICE, KEY_VARIABLE)


def _key_of_keyring(home: Path) -> SecretKey | None:
    if not is_in_keyring(home):
        return None
    if home not in _from_keyring:
        key = _with_keyring(lambda keyring: keyring.get_password(_SERVICE, KEY_VARIABLE))
        if not key:
            raise KeyringProblem(
                f"A key was stored in {KEYRING}, and it is not there any more.",
                f"mistral-nb login stores it again, mistral-nb logout forgets it. {_WITHOUT_KEYRING}",
            )
        _from_keyring[home] = SecretKey(key, found_in=KEYRING)
    return _from_keyring[home]


def _with_keyring(use: "Callable[[KeyringBackend], Any]") -> Any:
    """Return what `use` gives for this machine's keyring."""
    try:
        keyring = importlib.import_module("keyring")
        none_here = importlib.import_module("keyring.errors").NoKeyringError
    except ImportError:
        problem = "The package that opens the system's keyring is not installed."
        raise KeyringProblem(problem, f'pip install "mistral_nb[keyring]". Or: {_WITHOUT_KEYRING}') from None
    try:
        return use(keyring.get_keyring())
    except none_here:
        problem = "This machine has no keyring that could keep a key (usual on servers and in containers)."
    except Exception as error:  # noqa: BLE001  # back ends are of many makers and raise what they like
        problem = f"The system's keyring could not be used ({type(error).__name__}: {str(error)[:200]})."
    # Outside of the except blocks, so that the back end's frames, which hold the key, are not even its context.
    raise KeyringProblem(problem, f"Unlock it and try again. Or: {_WITHOUT_KEYRING}")


def _key_of_env_file() -> SecretKey | None:
    file = env_file()
    if file is None:
        return None
    try:
        changed = file.stat()
        key = _read_env_file(file, changed.st_mtime_ns, changed.st_size)
    except (OSError, UnicodeDecodeError):  # not ours to read; `doctor` says so
        return None
    return SecretKey(key, found_in=str(file)) if key else None


@lru_cache(maxsize=1)
def _read_env_file(file: Path, _changed_ns: int, _bytes: int) -> str:
    """Return the key in a file, read again when it has changed."""
    from dotenv import dotenv_values

    return (dotenv_values(file, encoding="utf-8").get(KEY_VARIABLE) or "").strip()
