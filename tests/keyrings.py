"""Keyrings for tests: one that keeps keys in memory, and one that fails as a locked one does."""

from collections.abc import Iterator
from contextlib import contextmanager

import keyring
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

from mistral_nb import key_sources


class MemoryKeyring(KeyringBackend):
    """Keeps passwords as long as it lives; `reads` counts how often it was asked for one."""

    priority = 1  # type: ignore[assignment]  # keyring computes it by a property of the class
    name = "a keyring in memory"  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.passwords: dict[tuple[str, str], str] = {}
        self.reads = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.passwords.pop((service, username), None) is None:
            raise PasswordDeleteError("There is none.")


class LockedKeyring(MemoryKeyring):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("Failed to unlock the collection!")


@contextmanager
def in_use(backend: KeyringBackend) -> Iterator[None]:
    """Make it this machine's keyring; afterwards nothing that was read from it is known any more."""
    before = keyring.get_keyring()
    keyring.set_keyring(backend)
    try:
        yield
    finally:
        keyring.set_keyring(before)
        key_sources._from_keyring.clear()
