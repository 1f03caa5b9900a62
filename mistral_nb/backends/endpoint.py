"""One server and the key for it: what the SDK's wire and the rows' own wire must do alike.

Keeps to itself: the key, which servers ask for one, and which models were already told to be on their way out.
Promises: nothing that a server sent leaves `scrubbed…` with the key in it; `check_key` raises before anything is sent.
"""

import logging
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from mistral_nb.api_errors import error_from_response
from mistral_nb.api_key import SecretKey, unsendable_part
from mistral_nb.errors import API_KEYS_PAGE, SET_KEY_LINE, InvalidKey, MissingKey, MistralNotebookError

SHORTEST_KEY = 6  # a shorter one is no key, and would be found in ordinary words
DEPRECATION_HEADER = "x-model-deprecation-timestamp"
_logger = logging.getLogger(__name__)


class Endpoint:
    """A server by its root address, without ``/v1``, and its key; None for a server that asks for none."""

    def __init__(self, address: str, key: SecretKey | None) -> None:
        self.address = address
        self.key = key
        try:
            parts = urlsplit(address)
        except ValueError:  # no address at all: who sends there will say so
            parts = urlsplit("")
        host = parts.hostname or ""
        self._is_mistrals = host == "mistral.ai" or host.endswith(".mistral.ai")
        # Of such an address both clients make the Authorization header themselves.
        self.has_user = "@" in parts.netloc
        self._announced: set[str] = set()

    def __repr__(self) -> str:
        return f"Endpoint({self.address!r})"

    def check_key(self) -> None:
        """Raise MissingKey or InvalidKey for a key that can't be right, without asking the server."""
        if self.key is None:
            if self._is_mistrals:
                raise self._missing_key()
        elif part := unsendable_part(self.key):
            raise InvalidKey(
                f"The key holds {part}.", f"Copy it again from {API_KEYS_PAGE} and set it:\n{SET_KEY_LINE}"
            )

    def error(
        self, status: int, body: str | bytes, headers: Iterable[tuple[str, str]], *, model: str | None
    ) -> MistralNotebookError:
        """Return our exception for an error response of this server."""
        if status == 401 and self.key is None:
            return self._missing_key(status)
        scrubbed = self.scrubbed_bytes(body) if isinstance(body, bytes) else self.scrubbed(body)
        return error_from_response(
            status,
            scrubbed,
            self.scrubbed_headers(headers),
            model=model,
            key=self.key,
            is_mistrals=self._is_mistrals,
        )

    def scrubbed(self, text: str) -> str:
        """Return a server's text without the key, should it send it back."""
        key = self._findable_key()
        return text.replace(key, "…") if key else text

    def scrubbed_bytes(self, body: bytes) -> bytes:
        key = self._findable_key()
        return body.replace(key.encode(), "…".encode()) if key else body

    def scrubbed_headers(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Return a response's headers by lower-case name."""
        key = self._findable_key()  # once: a response has a dozen headers, and a column has many responses
        return {name.lower(): value.replace(key, "…") if key else value for name, value in headers}

    def _findable_key(self) -> str:
        key = self.key.reveal() if self.key else ""
        return key if len(key) >= SHORTEST_KEY else ""

    def _missing_key(self, status: int | None = None) -> MissingKey:
        return MissingKey(
            f"No API key, and {self.address} asks for one.",
            f"Get one at {API_KEYS_PAGE} and set it before the first cell:\n{SET_KEY_LINE}\n"
            'or call mistral_nb.configure(api_key="…"), or once in a terminal: mistral-nb login. '
            'Without a key the embedded model answers: model="local-small".',
            status_code=status,
        )

    def announce_deprecation(self, headers: Mapping[str, str], *, model: str | None) -> None:
        """Warn in the log, once per model, where the headers (names in lower case) say that the model will be removed."""
        date = headers.get(DEPRECATION_HEADER)
        if date and model and model not in self._announced:
            self._announced.add(model)
            _logger.warning("The API will remove the model %s on %s.", model, date)
