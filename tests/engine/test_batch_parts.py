"""Which requests go into which job: for every plan, budget and bound."""

import json
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.engine.batch_parts import JobBounds, JobPart, affordable, job_parts, with_bodies
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.plan import PlannedRequest
from mistral_nb.errors import InvalidInput, MistralNotebookError

BOUNDS = st.builds(
    JobBounds,
    inline_requests=st.integers(1, 6),
    inline_bytes=st.integers(20, 200),
    file_requests=st.integers(1, 8),
    file_bytes=st.integers(20, 400),
)


@st.composite
def plans(draw: st.DrawFn) -> list[PlannedRequest]:
    """Draw the requests of a plan: packs of distinct texts, then audits of some of them."""
    sizes = draw(st.lists(st.integers(1, 5), max_size=12))
    numbers = iter(range(sum(sizes)))
    packs = [PlannedRequest(tuple(next(numbers) for _ in range(size))) for size in sizes]
    shared = [number for pack in packs if len(pack.numbers) > 1 for number in pack.numbers]
    audited = draw(st.lists(st.sampled_from(shared), unique=True, max_size=3)) if shared else []
    return packs + [PlannedRequest((number,), is_audit=True) for number in audited for _ in range(2)]


def parts_of(requests: Sequence[PlannedRequest], bounds: JobBounds, *, padding: int = 0) -> list[JobPart]:
    def body(request: PlannedRequest) -> bytes:
        return json.dumps({"n": request.numbers, "p": "x" * (padding * len(request.numbers))}).encode()

    return list(job_parts(((request, body(request)) for request in requests), bounds=bounds))


@given(plans(), BOUNDS, st.integers(0, 60))
def test_every_request_is_in_one_job_in_its_order(
    requests: list[PlannedRequest], bounds: JobBounds, padding: int
) -> None:
    parts = parts_of(requests, bounds, padding=padding)

    assert [request for part in parts for request in part.requests] == requests


@given(plans(), BOUNDS, st.integers(0, 60))
def test_no_job_is_over_a_bound_unless_one_request_is(
    requests: list[PlannedRequest], bounds: JobBounds, padding: int
) -> None:
    for part in parts_of(requests, bounds, padding=padding):
        size_bytes = len(b"\n".join(part.lines)) + 1

        assert part.size_bytes == size_bytes
        assert len(part.lines) <= bounds.file_requests
        assert len(part.lines) == 1 or size_bytes <= bounds.file_bytes


@given(plans(), BOUNDS, st.integers(0, 60))
def test_two_jobs_in_a_row_would_not_fit_into_one(
    requests: list[PlannedRequest], bounds: JobBounds, padding: int
) -> None:
    parts = parts_of(requests, bounds, padding=padding)

    for part, following in pairwise(parts):
        assert not part.has_room_for(following.lines[0], bounds)


@given(plans(), BOUNDS)
def test_a_request_is_named_by_its_place_in_its_job(requests: list[PlannedRequest], bounds: JobBounds) -> None:
    for part in parts_of(requests, bounds):
        lines = [json.loads(line) for line in part.lines]

        assert [line["custom_id"] for line in lines] == [str(place) for place in range(len(lines))]
        assert [tuple(line["body"]["n"]) for line in lines] == [request.numbers for request in part.requests]


def test_what_the_call_can_carry_is_sent_with_it() -> None:
    bounds = JobBounds(inline_requests=2, inline_bytes=1000)
    requests = [PlannedRequest((number,)) for number in range(3)]

    assert [part.is_inline(bounds) for part in parts_of(requests[:2], bounds)] == [True]
    assert [part.is_inline(bounds) for part in parts_of(requests, bounds)] == [False]


def test_large_texts_go_into_a_file_although_they_are_few() -> None:
    (part,) = parts_of([PlannedRequest((0,))], JobBounds(inline_bytes=50), padding=60)

    assert not part.is_inline(JobBounds(inline_bytes=50))


def usd(request: PlannedRequest) -> Decimal:
    """A request costs a fixed amount, and each of its texts the same again."""
    return Decimal("0.01") * (1 + len(request.numbers))


BUDGETS = st.decimals("0.01", "0.40", places=2)


@given(plans(), BUDGETS)
def test_what_fits_is_never_more_than_the_budget(requests: list[PlannedRequest], limit: Decimal) -> None:
    fitting, _ = affordable(requests, usd, Budget(limit).hold)

    assert sum(map(usd, fitting)) <= limit


@given(plans(), BUDGETS)
def test_every_text_is_sent_once_or_told_to_be_too_much(requests: list[PlannedRequest], limit: Decimal) -> None:
    fitting, too_much = affordable(requests, usd, Budget(limit).hold)
    sent = [number for request in fitting if not request.is_audit for number in request.numbers]

    assert sorted(sent + too_much) == sorted(
        number for request in requests if not request.is_audit for number in request.numbers
    )


@given(plans())
def test_without_a_budget_all_is_sent_as_planned(requests: list[PlannedRequest]) -> None:
    assert affordable(requests, usd, Budget(None).hold) == (requests, [])


@given(plans(), st.sets(st.integers(0, 60)))
def test_a_text_that_can_not_be_sent_loses_only_itself(requests: list[PlannedRequest], bad: set[int]) -> None:
    refused: list[int] = []

    def body(request: PlannedRequest) -> bytes:
        if bad.intersection(request.numbers):
            raise InvalidInput("half a character")
        return b"{}"

    def refuse(request: PlannedRequest, error: MistralNotebookError) -> None:
        refused.extend(request.numbers)

    sent = [number for request, _ in with_bodies(requests, body, refuse) for number in request.numbers]
    asked = [number for request in requests for number in request.numbers]

    assert sorted(sent) == sorted(number for number in asked if number not in bad)
    assert sorted(refused) == sorted(number for number in asked if number in bad)
