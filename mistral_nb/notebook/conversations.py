"""Conversations as exchanges, and the named ones that ``--session NAME`` continues.

Promises: what is sent is the latest exchanges that fit into the model's window together with the question, and it is known how
many were left out; kept in this kernel's memory and nowhere else, whatever the settings become.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mistral_nb.completion import JsonObject
from mistral_nb.counted import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A question and what came of it: messages from the user's to the assistant's last; a pinned one is never left out."""

    messages: tuple[JsonObject, ...]
    is_pinned: bool = False

    @property
    def question(self) -> str:
        """The text of the question."""
        return str(self.messages[0].get("content") or "")


@dataclass(frozen=True, slots=True)
class Conversation:
    """One conversation: its system message, the model that answered last, and the exchanges, oldest first."""

    name: str
    system: str | None = None
    model: str | None = None
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SentTurns:
    """How many exchanges of a conversation went along with a question, and how many did not fit."""

    name: str
    sent: int
    left_out: int

    def __str__(self) -> str:
        if not self.sent and not self.left_out:
            return f"session {self.name}: new"
        turns = f"{counted(self.sent, 'earlier turn')} sent"
        left = f", {self.left_out} older left out (too long for the model's window)" if self.left_out else ""
        return f"session {self.name}: {turns}{left}"


class Conversations:
    """The conversations of this kernel, by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Conversation] = {}

    def __getitem__(self, name: str) -> Conversation:
        """Return the conversation; a new one when there is none of that name."""
        return self._by_name.get(name) or Conversation(name)

    def names(self) -> list[str]:
        """Return the names, in the order of their beginning."""
        return list(self._by_name)

    def add(self, conversation: Conversation, exchange: Exchange) -> None:
        """Keep the conversation with an exchange that has come to its end."""
        self._by_name[conversation.name] = replace(conversation, exchanges=(*conversation.exchanges, exchange))

    def forget(self, name: str | None = None) -> list[str]:
        """Drop one conversation, or with None all of them; return the names of those that were there."""
        names = [known for known in self._by_name if name in (None, known)]
        for known in names:
            del self._by_name[known]
        return names


def latest_that_fit(
    exchanges: Sequence[Exchange], *, room_tokens: int | None, count: Callable[[JsonObject], int]
) -> Sequence[Exchange]:
    """Return the pinned exchanges and the latest of the others that take no more than `room_tokens`, in their order.

    All of them when the room is not known (None). An exchange that does not fit ends the latest ones: an older one without it would
    answer to nothing.
    """
    if room_tokens is None:
        return exchanges
    sizes = [sum(map(count, exchange.messages)) for exchange in exchanges]
    room_tokens -= sum(size for exchange, size in zip(exchanges, sizes, strict=True) if exchange.is_pinned)
    oldest = len(exchanges)
    while oldest and (exchanges[oldest - 1].is_pinned or sizes[oldest - 1] <= room_tokens):
        oldest -= 1
        room_tokens -= 0 if exchanges[oldest].is_pinned else sizes[oldest]
    return [*(exchange for exchange in exchanges[:oldest] if exchange.is_pinned), *exchanges[oldest:]]
