"""When the next piece of a growing answer is sent to the front end.

Promises: at most 20 pieces a second; and however slowly an answer comes, not so many that their envelopes outweigh it: an answer of
1,000 tokens stays below 150 KB on the websocket.
"""

from collections.abc import Callable

INTERVAL_SECONDS = 0.05
# A piece has some 700 bytes around it (headers, ids, signature). The first are sent as they come; then each carries some words.
_FREE_PIECES = 60
_CHARACTERS_PER_PIECE = 75
_PATIENCE_SECONDS = 2.0


class Pace:
    """Of one answer.

    Parameters
    ----------
    clock
        Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock() - INTERVAL_SECONDS
        self._pieces = 0
        self._characters = 0

    def is_due(self, characters: int) -> bool:
        """Whether a piece of so many characters is sent now."""
        waited = self._clock() - self._last
        if not characters or waited < INTERVAL_SECONDS:
            return False
        allowed = _FREE_PIECES + (self._characters + characters) / _CHARACTERS_PER_PIECE
        return self._pieces < allowed or waited >= _PATIENCE_SECONDS

    def sent(self, characters: int) -> None:
        """Note that a piece was sent."""
        self._last = self._clock()
        self._pieces += 1
        self._characters += characters
