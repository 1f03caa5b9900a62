import asyncio

import pytest

from mistral_nb.engine.limiter import Limiter, Reservation
from mistral_nb.errors import (
    CannotConnect,
    InvalidAnswer,
    InvalidOption,
    MistralNotebookError,
    ModelNotOnPlan,
    RateLimited,
    RequestRejected,
    RequestTimedOut,
    ServerProblem,
)
from mistral_nb.rate_limits import RateLimits

PLENTY = RateLimits(requests_per_minute=100_000, remaining_requests=99_000)


class Clock:
    """Time that passes only when told; everything the tests here call returns at once."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    return Limiter(clock=clock, jitter=lambda: 1.0)


def reserved(limiter: Limiter, tokens: int = 1) -> Reservation:
    reservation = limiter.try_reserve(tokens)
    assert reservation is not None
    return reservation


def all_that_fit(limiter: Limiter, tokens: int = 1) -> list[Reservation]:
    fit = []
    while (reservation := limiter.try_reserve(tokens)) is not None:
        fit.append(reservation)
    return fit


def answered(limiter: Limiter, rate_limits: RateLimits | None = None, *, tokens: int = 1) -> None:
    reserved(limiter, tokens).settle(tokens=tokens, rate_limits=rate_limits)


# Before anything is known, and what is known then.


def test_nothing_is_known_before_the_first_response(limiter: Limiter) -> None:
    assert not limiter.is_known
    assert limiter.requests_per_minute is limiter.tokens_per_minute is None
    assert limiter.seconds_for(requests=10, tokens=10) is None


def test_four_requests_at_once_find_out_the_limits(limiter: Limiter) -> None:
    assert len(all_that_fit(limiter)) == limiter.concurrency == limiter.in_flight == 4


def test_the_first_headers_tell_the_limits(limiter: Limiter) -> None:
    answered(limiter, RateLimits(requests_per_minute=50, tokens_per_minute=50_000))

    assert limiter.is_known
    assert (limiter.requests_per_minute, limiter.tokens_per_minute) == (50, 50_000)


def test_known_limits_allow_the_most_at_once(limiter: Limiter) -> None:
    answered(limiter, PLENTY)

    assert len(all_that_fit(limiter)) == limiter.max_concurrency == 64


def test_limits_set_by_hand_hold_from_the_start(clock: Clock) -> None:
    limiter = Limiter(requests_per_minute=120, clock=clock)

    assert limiter.is_known
    assert len(all_that_fit(limiter)) == limiter.burst_requests + 10 - 1 == 10


def test_a_limit_set_by_hand_is_kept_when_the_learnt_one_is_higher(clock: Clock) -> None:
    limiter = Limiter(requests_per_minute=30, tokens_per_minute=9_000, clock=clock)
    answered(limiter, RateLimits(requests_per_minute=50, tokens_per_minute=50_000))

    assert (limiter.requests_per_minute, limiter.tokens_per_minute) == (30, 9_000)


def test_a_learnt_limit_is_kept_when_the_one_set_by_hand_is_higher(clock: Clock) -> None:
    limiter = Limiter(requests_per_minute=3000, clock=clock)
    answered(limiter, RateLimits(requests_per_minute=50))

    assert limiter.requests_per_minute == 50


@pytest.mark.parametrize("name", ["max_concurrency", "requests_per_minute", "tokens_per_minute"])
def test_a_limit_below_one_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption, match=f"{name} is 0"):
        Limiter(**{name: 0})  # type: ignore[arg-type]


def test_without_headers_the_number_at_once_doubles_by_each_round_of_answers(limiter: Limiter) -> None:
    at_once = []
    for _ in range(6):
        round_of_requests = all_that_fit(limiter)
        at_once.append(len(round_of_requests))
        for reservation in reversed(round_of_requests):
            reservation.settle(tokens=1, rate_limits=None)

    assert at_once == sorted(at_once)
    assert at_once[0] == 4
    assert at_once[-1] > 40


def test_single_requests_allow_no_more_at_once(limiter: Limiter) -> None:
    for _ in range(100):
        answered(limiter)

    assert limiter.concurrency == 4


def test_the_burst_is_what_may_go_at_once(limiter: Limiter) -> None:
    answered(limiter, RateLimits(requests_per_minute=240))

    assert limiter.burst_requests == 19


def test_an_unknown_limit_lets_the_most_go_at_once(limiter: Limiter) -> None:
    assert limiter.burst_requests == limiter.max_concurrency


def test_the_least_time_is_that_of_the_scarcer_thing(clock: Clock) -> None:
    limiter = Limiter(requests_per_minute=60, tokens_per_minute=6_000, clock=clock)

    by_requests = limiter.seconds_for(requests=100, tokens=10)
    by_tokens = limiter.seconds_for(requests=1, tokens=60_000)
    assert by_requests == pytest.approx(98, abs=1)
    assert by_tokens == pytest.approx(613, abs=2)


# Tokens.


def test_tokens_that_an_answer_did_not_take_are_given_back(clock: Clock) -> None:
    limiter = Limiter(tokens_per_minute=12_000, clock=clock)

    reserved(limiter, 1000).settle(tokens=10, rate_limits=None)
    assert limiter.try_reserve(900) is not None


def test_answers_teach_how_much_of_what_is_reserved_is_used(clock: Clock) -> None:
    limiter = Limiter(tokens_per_minute=12_000, clock=clock)
    for _ in range(5):
        reserved(limiter, 100).settle(tokens=10, rate_limits=None)

    assert len(all_that_fit(limiter, 100)) == limiter.max_concurrency


def test_what_the_headers_say_a_request_cost_is_what_it_cost(clock: Clock) -> None:
    limiter = Limiter(tokens_per_minute=12_000, clock=clock)

    reserved(limiter, 500).settle(tokens=500, rate_limits=RateLimits(tokens_query_cost=1000))
    assert limiter.try_reserve(500) is None


def test_tokens_of_a_rejected_request_are_given_back(clock: Clock) -> None:
    limiter = Limiter(tokens_per_minute=12_000, clock=clock)

    reserved(limiter, 1000).failed(RequestRejected("400", status_code=400))
    assert limiter.try_reserve(1000) is not None


def test_tokens_of_an_answer_of_no_use_stay_counted(clock: Clock) -> None:
    limiter = Limiter(tokens_per_minute=12_000, clock=clock)

    reserved(limiter, 1000).failed(InvalidAnswer("not JSON"))
    assert limiter.try_reserve(1000) is None


def test_a_released_request_stays_counted(clock: Clock) -> None:
    limiter = Limiter(requests_per_minute=1, clock=clock)

    reserved(limiter).release()
    assert limiter.in_flight == 0
    assert limiter.try_reserve(1) is None


# When the server refuses.


def test_a_429_pauses_everybody(limiter: Limiter, clock: Clock) -> None:
    answered(limiter, PLENTY)
    reserved(limiter).failed(RateLimited("429", status_code=429))

    assert limiter.try_reserve(1) is None
    clock.now += 1
    assert limiter.try_reserve(1) is not None


def test_all_that_were_under_way_cause_one_pause(limiter: Limiter, clock: Clock) -> None:
    for reservation in all_that_fit(limiter):
        reservation.failed(RateLimited("429"))

    clock.now += 1
    assert limiter.try_reserve(1) is not None


def test_after_a_pause_one_request_tries(limiter: Limiter, clock: Clock) -> None:
    answered(limiter, PLENTY)
    reserved(limiter).failed(RateLimited("429"))
    clock.now += 1

    tries = all_that_fit(limiter)
    assert len(tries) == 1
    tries[0].settle(tokens=1, rate_limits=None)
    assert len(all_that_fit(limiter)) > 1


def test_a_slow_answer_does_not_keep_everybody_waiting(limiter: Limiter, clock: Clock) -> None:
    answered(limiter, PLENTY)
    reserved(limiter).failed(RateLimited("429"))
    clock.now += 1
    all_that_fit(limiter)

    clock.now += 1
    assert len(all_that_fit(limiter)) == 1


def test_pauses_double_up_to_thirty_seconds_while_nothing_goes_through(limiter: Limiter, clock: Clock) -> None:
    pauses = []
    for _ in range(7):
        reserved(limiter).failed(RateLimited("429"))
        began = clock.now
        while (reservation := limiter.try_reserve(1)) is None:
            clock.now += 0.5
        reservation.release()
        pauses.append(clock.now - began)

    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_jitter_never_takes_a_whole_pause_away(clock: Clock) -> None:
    limiter = Limiter(clock=clock, jitter=lambda: 0.0)

    reserved(limiter).failed(RateLimited("429"))
    assert limiter.try_reserve(1) is None


@pytest.mark.parametrize(("asked_for", "kept"), [(7.0, 7.0), (3600.0, 120.0)])
@pytest.mark.parametrize("kind", [RateLimited, ServerProblem])
def test_a_wait_that_the_server_names_is_kept_up_to_two_minutes(
    limiter: Limiter, clock: Clock, asked_for: float, kept: float, kind: type[MistralNotebookError]
) -> None:
    reserved(limiter).failed(kind("later", retry_after_seconds=asked_for))

    clock.now += kept - 0.1
    assert limiter.try_reserve(1) is None
    clock.now += 0.1
    assert limiter.try_reserve(1) is not None


def test_a_429_tells_the_limit_when_it_has_headers(limiter: Limiter) -> None:
    reserved(limiter).failed(RateLimited("429", rate_limits=RateLimits(requests_per_minute=50, remaining_requests=0)))

    assert limiter.requests_per_minute == 50


def _refused_for(limiter: Limiter, clock: Clock, seconds: float, *, reason: str = "429") -> None:
    until = clock.now + seconds
    while True:
        if (reservation := limiter.try_reserve(1)) is not None:
            if clock.now >= until:
                reservation.settle(tokens=1, rate_limits=None)
                return
            reservation.failed(RateLimited(reason))
        clock.now += 0.25


def test_what_went_through_before_a_long_refusal_is_the_limit(limiter: Limiter, clock: Clock) -> None:
    for _ in range(20):
        answered(limiter)

    _refused_for(limiter, clock, 40)
    assert limiter.requests_per_minute == 20


def test_the_rate_before_a_short_refusal_is_the_limit(limiter: Limiter, clock: Clock) -> None:
    for _ in range(20):
        answered(limiter)
        clock.now += 0.25

    _refused_for(limiter, clock, 0.5)
    assert limiter.requests_per_minute == pytest.approx(240, rel=0.2)


def test_full_servers_teach_nothing_about_the_account(limiter: Limiter, clock: Clock) -> None:
    answered(limiter)

    _refused_for(limiter, clock, 40, reason="Service tier capacity exceeded")
    assert limiter.requests_per_minute is None


def test_a_guessed_limit_rises_while_nothing_is_refused(limiter: Limiter, clock: Clock) -> None:
    for _ in range(100):
        answered(limiter)
    _refused_for(limiter, clock, 40)

    limits = []
    for _ in range(3):
        clock.now += 60
        answered(limiter)
        limits.append(limiter.requests_per_minute)
    assert limits == [105, 116, 139]


def test_headers_replace_a_guessed_limit(limiter: Limiter, clock: Clock) -> None:
    answered(limiter)
    _refused_for(limiter, clock, 40)
    clock.now += 120

    answered(limiter, RateLimits(requests_per_minute=750))
    assert limiter.requests_per_minute == 750


def test_when_others_have_used_everything_one_request_at_a_time_tries(limiter: Limiter, clock: Clock) -> None:
    answered(limiter, RateLimits(tokens_per_minute=1000, remaining_tokens=0))

    assert limiter.try_reserve(1) is None


# When the server struggles.


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("429"),
        ServerProblem("503", status_code=503),
        ServerProblem("408", status_code=408),
        RequestTimedOut("60 s"),
    ],
    ids=["429", "503", "408", "timeout"],
)
def test_signs_of_overload_halve_the_number_at_once(limiter: Limiter, error: MistralNotebookError) -> None:
    answered(limiter, PLENTY)

    reserved(limiter).failed(error)
    assert limiter.concurrency == 32


@pytest.mark.parametrize("error", [ServerProblem("500", status_code=500), CannotConnect("refused")], ids=str)
def test_other_failures_do_not_slow_down(limiter: Limiter, error: MistralNotebookError) -> None:
    answered(limiter, PLENTY)

    reserved(limiter).failed(error)
    assert limiter.concurrency == 64


def test_requests_that_fail_together_halve_it_once(limiter: Limiter) -> None:
    answered(limiter, PLENTY)

    for reservation in all_that_fit(limiter):
        reservation.failed(RequestTimedOut("60 s"))
    assert limiter.concurrency == 32


def test_at_least_one_request_may_always_be_under_way(limiter: Limiter) -> None:
    for _ in range(10):
        reserved(limiter).failed(RequestTimedOut("60 s"))

    assert limiter.concurrency == 1


def test_without_headers_a_halved_number_grows_by_one_per_round(limiter: Limiter) -> None:
    for _ in range(3):
        for reservation in all_that_fit(limiter):
            reservation.settle(tokens=1, rate_limits=None)
    all_at_once = all_that_fit(limiter)
    all_at_once[0].failed(RequestTimedOut("60 s"))
    halved = limiter.concurrency

    for reservation in all_at_once[1 : 1 + halved]:
        reservation.settle(tokens=1, rate_limits=None)
    assert limiter.concurrency == halved + 1


# The model that is not on the plan.

NOT_ON_PLAN = RateLimits(requests_per_minute=0)


def test_a_limit_of_no_requests_stops_at_once_with_its_meaning(clock: Clock) -> None:
    limiter = Limiter(model="mistral-large-latest", clock=clock)
    answered(limiter, NOT_ON_PLAN)

    with pytest.raises(ModelNotOnPlan, match=r"plan does not include 'mistral-large-latest'") as caught:
        limiter.try_reserve(1)
    assert "Waiting cannot help" in caught.value.remedy


@pytest.mark.parametrize(
    "error",
    [RateLimited("429", rate_limits=NOT_ON_PLAN), ModelNotOnPlan("Not on this plan.", status_code=403)],
    ids=str,
)
def test_everybody_who_waits_is_told_that_the_model_is_not_on_the_plan(error: MistralNotebookError) -> None:
    async def run() -> list[object]:
        limiter = Limiter(max_concurrency=1)
        first = await limiter.reserve(1)
        waiting = [asyncio.create_task(wait) for wait in (limiter.reserve(1), limiter.reserve(1), limiter.free_slot())]
        await asyncio.sleep(0)
        first.failed(error)
        return await asyncio.gather(*waiting, limiter.reserve(1), limiter.free_slot(), return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(run())] == [ModelNotOnPlan] * 5


def test_after_a_minute_one_request_finds_out_whether_the_plan_has_changed(limiter: Limiter, clock: Clock) -> None:
    answered(limiter, NOT_ON_PLAN)

    clock.now += 60
    tries = all_that_fit(limiter)
    assert len(tries) == 1
    tries[0].settle(tokens=1, rate_limits=PLENTY)
    assert len(all_that_fit(limiter)) > 1
