from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.engine.pacing import LastMinute, Meter

STEPS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 30)), max_size=80)


@given(steps=STEPS)
def test_an_amount_counts_for_at_least_61_and_at_most_62_seconds(steps: list[tuple[float, int]]) -> None:
    log, now, filed = LastMinute(), 1000.0, []
    for seconds, amount in steps:
        now += seconds
        log.add(amount, now)
        filed.append((now, amount))

    least = sum(amount for at, amount in filed if now - at < 61)
    most = sum(amount for at, amount in filed if now - at < 62)
    assert least <= log.total(now) <= most


def test_what_was_filed_can_be_corrected() -> None:
    log = LastMinute()
    second, _ = log.add(10, 1000.0)

    log.correct(-4, second, 1030.0)
    assert log.total(1030.0) == 6


def test_a_correction_of_what_has_left_the_log_does_nothing() -> None:
    log = LastMinute()
    second, _ = log.add(10, 1000.0)

    log.correct(-4, second, 1070.0)
    assert log.total(1070.0) == 0


def test_the_log_tells_when_enough_of_it_will_be_gone() -> None:
    log = LastMinute()
    log.add(5, 1000.0)
    log.add(5, 1030.0)

    assert log.seconds_until_freed(6, 1040.0) == 1092 - 1040


def test_a_meter_without_a_limit_lets_everything_through() -> None:
    assert Meter().wait_seconds(10**9, 1000.0) == 0


def _sent_within(meter: Meter, amount: int, *, start: float, end: float) -> list[float]:
    """Use the amount as often and as early as the meter lets it."""
    now, sent = start, []
    while now < end:
        wait_seconds = meter.wait_seconds(amount, now)
        if wait_seconds > 0:
            now += max(wait_seconds, 0.001)
        else:
            meter.take(amount, now)
            sent.append(now)
    return sent


@given(limit=st.integers(1, 3000), idle_seconds=st.floats(0, 600))
def test_an_idle_time_saves_up_no_more_than_five_seconds_worth(limit: int, idle_seconds: float) -> None:
    meter = Meter()
    meter.set_limit(limit, 1000.0)
    _sent_within(meter, 1, start=1000.0, end=1020.0)
    now = 1020.0 + idle_seconds

    burst = _sent_within(meter, 1, start=now, end=now + 1e-9)
    assert len(burst) <= max(1, limit / 12)


@given(limit=st.integers(1, 600), amount=st.integers(1, 5), start=st.floats(1000, 1001))
def test_no_more_than_the_limit_is_used_in_any_minute(limit: int, amount: int, start: float) -> None:
    meter = Meter()
    meter.set_limit(limit, start)

    sent = _sent_within(meter, amount, start=start, end=start + 150)
    used = [sum(amount for at in sent if first <= at < first + 60) for first in sent]
    assert max(used) <= max(limit, amount)


@given(limit=st.integers(20, 600))
def test_at_least_95_percent_of_the_limit_is_used(limit: int) -> None:
    meter = Meter()
    meter.set_limit(limit, 1000.0)

    sent = _sent_within(meter, 1, start=1000.0, end=1000.0 + 600)
    assert len(sent) >= 0.95 * 10 * limit


def test_an_amount_above_the_limit_goes_when_nothing_else_was_used_for_a_minute() -> None:
    meter = Meter()
    meter.set_limit(100, 1000.0)
    meter.take(10, 1000.0)

    wait_seconds = meter.wait_seconds(500, 1000.0)
    assert 61 <= wait_seconds <= 62
    assert meter.wait_seconds(500, 1000.0 + wait_seconds) == 0


def test_what_other_clients_use_is_left_to_them() -> None:
    meter = Meter()
    meter.set_limit(60, 1000.0)
    meter.take(1, 1000.0)

    meter.notice(19, of=60, ours=1, now=1000.0)
    assert len(_sent_within(meter, 1, start=1000.0, end=1059.0)) == 19


def test_what_other_clients_used_is_forgotten_after_a_minute() -> None:
    meter = Meter()
    meter.set_limit(60, 1000.0)

    meter.notice(0, of=60, ours=0, now=1000.0)
    assert meter.wait_seconds(1, 1000.0) == 60
    assert meter.wait_seconds(1, 1060.0) == 0


def test_a_sliding_count_holds_as_it_was_said_last() -> None:
    meter = Meter(is_sliding=True)
    meter.set_limit(6000, 1000.0)

    meter.notice(0, of=6000, ours=0, now=1000.0)
    meter.notice(3000, of=6000, ours=0, now=1010.0)
    assert meter.room(1010.0) > 0


def test_use_before_the_limit_was_known_counts_against_it() -> None:
    meter = Meter()
    for _ in range(4):
        meter.take(1, 1000.0)

    meter.set_limit(4, 1000.3)
    assert meter.wait_seconds(1, 1000.3) >= 60


def test_the_least_time_for_much_is_its_share_of_minutes() -> None:
    meter = Meter()
    meter.set_limit(60, 1000.0)

    assert 95 < meter.seconds_for(100, 1000.0) < 100
