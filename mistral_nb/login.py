"""``mistral-nb login`` and ``logout``: a key into the system's keyring, and out of it again.

Keeps to itself: how a key is asked for without an echo, and how it is tried before it is stored.
Promises: a key that the API refuses is not stored; the key is printed nowhere but for its last four characters.
"""

import getpass
import os
import sys

from mistral_nb.api_key import SecretKey, foreign_sign, unsendable_part
from mistral_nb.counted import counted
from mistral_nb.errors import API_KEYS_PAGE, InvalidKey, KeyProblem, MistralNotebookError
from mistral_nb.key_sources import KEY_VARIABLE, env_file, remove_key, store_key
from mistral_nb.settings import current_home, settings_with


def login() -> str:
    """Ask for a key, try it, store it in the keyring, and return what was done, in words.

    Raises
    ------
    InvalidKey
        It is no key, or the API refuses it; nothing is stored.
    KeyringProblem
        There is no keyring to store it in.
    """
    key = _asked_key()
    tried = _tried(key)
    name = store_key(key, home=current_home())
    before = _what_goes_before()
    return f"The key {key.tail} is in {name} from now on. {tried}{before}"


def logout() -> str:
    """Remove the key from the keyring, and return what was done, in words."""
    was_there = remove_key(home=current_home())
    done = "The key is removed from the keyring." if was_there else "No key was stored by mistral-nb login."
    return f"{done}{_what_goes_before()}"


def _asked_key() -> SecretKey:
    typed = getpass.getpass("Mistral API key (it is not shown): ") if sys.stdin.isatty() else sys.stdin.readline()
    key = SecretKey(typed)
    where = f"Copy it from {API_KEYS_PAGE}."
    if not key.reveal():
        raise InvalidKey("No key was typed, so nothing has changed.", where)
    if part := unsendable_part(key):
        raise InvalidKey(f"The key holds {part}.", where)
    if sign := foreign_sign(key):
        raise InvalidKey(f"This is no key of Mistral's. {sign}", where)
    return key


def _tried(key: SecretKey) -> str:
    """Return what the API says of the key; InvalidKey when it refuses it."""
    from mistral_nb.backends.selection import backend_for
    from mistral_nb.engine.background_loop import background_loop

    backend = backend_for("hosted", settings_with(key))
    try:
        models = background_loop.run(backend.models())
    except KeyProblem:
        raise
    except MistralNotebookError as error:
        return f"It could not be tried: {error.problem}"
    finally:
        background_loop.run(backend.aclose())
    return f"{backend.endpoint} accepts it: {counted(len(models), 'model')}."


def _what_goes_before() -> str:
    """Return a word on a key that is found before the keyring is asked; nothing where there is none."""
    if KEY_VARIABLE in os.environ:
        return f"\n{KEY_VARIABLE} in the environment goes before the keyring."
    file = env_file()
    return f"\nA {KEY_VARIABLE} in {file} goes before the keyring." if file else ""
