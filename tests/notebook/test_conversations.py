from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.notebook.conversations import Exchange, latest_that_fit


def exchange(size: int, *, is_pinned: bool = False) -> Exchange:
    question, answer = {"role": "user", "content": "x" * size}, {"role": "assistant", "content": "y"}
    return Exchange(messages=(question, answer), is_pinned=is_pinned)


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(0, 100))
def test_what_fits_is_the_latest_and_as_many_as_possible(sizes: list[int], room: int) -> None:
    exchanges = [exchange(size) for size in sizes]
    kept = latest_that_fit(exchanges, room_tokens=room, count=lambda message: len(message["content"]))
    dropped = len(exchanges) - len(kept)

    assert list(kept) == exchanges[dropped:]
    assert sum(sizes[dropped:]) + len(kept) <= room
    assert dropped == 0 or sum(sizes[dropped - 1 :]) + len(kept) + 1 > room


def test_a_window_that_is_not_known_holds_everything() -> None:
    exchanges = [exchange(10_000)] * 3

    assert latest_that_fit(exchanges, room_tokens=None, count=lambda message: 1) == exchanges


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=8), st.integers(0, 100))
def test_pinned_exchanges_stay_in_their_place(asked: list[tuple[int, bool]], room: int) -> None:
    exchanges = [exchange(size, is_pinned=is_pinned) for size, is_pinned in asked]
    kept = latest_that_fit(exchanges, room_tokens=room, count=lambda message: len(message["content"]))
    positions = [next(at for at, one in enumerate(exchanges) if one is other) for other in kept]
    unpinned = [at for at, one in enumerate(exchanges) if not one.is_pinned]

    assert positions == sorted(positions)
    assert {at for at, one in enumerate(exchanges) if one.is_pinned} <= set(positions)
    assert [at for at in positions if at in unpinned] == unpinned[len(exchanges) - len(kept) :]
