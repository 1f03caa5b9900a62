import itertools

import pytest

from mistral_nb.notebook.chat.pace import INTERVAL_SECONDS, Pace

# Around each piece, measured in JupyterLab 4.6 with ipykernel 7.4, and of a token.
ENVELOPE_BYTES = 735
CHARACTERS_PER_TOKEN = 4.5
TOKENS = 1_000


def pieces(tokens_per_second: float) -> list[tuple[float, float]]:
    """Return when each piece of an answer of 1,000 tokens is sent, and how many characters it has."""
    now = 0.0

    def clock() -> float:
        return now

    pace, pending, sent = Pace(clock), 0.0, []
    for tick in range(round(TOKENS / tokens_per_second / INTERVAL_SECONDS)):
        now = (tick + 1) * INTERVAL_SECONDS
        pending += tokens_per_second * INTERVAL_SECONDS * CHARACTERS_PER_TOKEN
        if pace.is_due(int(pending)):
            pace.sent(int(pending))
            sent.append((now, pending))
            pending = 0.0
    return sent


@pytest.mark.parametrize("tokens_per_second", [10, 20, 50, 100, 500])
def test_an_answer_of_1000_tokens_stays_small_on_the_websocket(tokens_per_second: float) -> None:
    sent = pieces(tokens_per_second)

    assert sum(ENVELOPE_BYTES + characters for _, characters in sent) < 120_000


@pytest.mark.parametrize("tokens_per_second", [5, 20, 100])
def test_nobody_waits_long_for_the_next_words(tokens_per_second: float) -> None:
    times = [time for time, _ in pieces(tokens_per_second)]

    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 2.1


def test_pieces_are_at_most_20_a_second() -> None:
    times = [time for time, _ in pieces(500)]

    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.049
