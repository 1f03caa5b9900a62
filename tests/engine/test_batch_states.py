"""What the states of jobs mean, and which of several jobs with our id is the one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.backends.batch_api import RemoteJob
from mistral_nb.engine.batch_states import METADATA_NAME, has_ended, ours, state_of_all

STATES = [
    "QUEUED",
    "RUNNING",
    "SUCCESS",
    "FAILED",
    "TIMEOUT_EXCEEDED",
    "CANCELLATION_REQUESTED",
    "CANCELLED",
    "PAUSED_BY_SOME_LATER_API",
]
MADE = st.builds(
    RemoteJob,
    id=st.uuids().map(str),
    status=st.sampled_from(STATES),
    metadata=st.sampled_from([{METADATA_NAME: "mine"}, {METADATA_NAME: "other"}, {}]),
    created_unix_seconds=st.floats(0, 100),
)


@pytest.mark.parametrize("status", STATES)
def test_a_job_has_ended_when_it_gives_nothing_more(status: str) -> None:
    assert has_ended(status) == (status in {"SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED"})


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ([], "SUCCESS"),
        (["SUCCESS", "SUCCESS"], "SUCCESS"),
        (["SUCCESS", "QUEUED"], "QUEUED"),
        (["QUEUED", "RUNNING", "SUCCESS"], "RUNNING"),
        (["SUCCESS", "FAILED"], "FAILED"),
        (["CANCELLED", "TIMEOUT_EXCEEDED", "SUCCESS"], "TIMEOUT_EXCEEDED"),
        (["EXPIRED", "FAILED"], "EXPIRED"),
        (["CREATING", "SUCCESS"], "CREATING"),
        (["SUCCESS", "PAUSED_BY_SOME_LATER_API"], "PAUSED_BY_SOME_LATER_API"),
    ],
)
def test_several_jobs_are_described_by_the_state_that_says_most(statuses: list[str], state: str) -> None:
    assert state_of_all(statuses) == state


@given(st.lists(st.sampled_from(STATES), min_size=1))
def test_several_jobs_have_ended_only_when_all_have(statuses: list[str]) -> None:
    assert has_ended(state_of_all(statuses)) == all(map(has_ended, statuses))


@given(st.lists(MADE, unique_by=lambda job: job.id))
def test_one_job_is_kept_and_every_other_that_may_cost_is_cancelled(jobs: list[RemoteJob]) -> None:
    found, twins = ours(jobs, "mine")
    mine = [job for job in jobs if job.metadata.get(METADATA_NAME) == "mine"]

    assert (found is None) == (not mine)
    assert {job.id for job in twins} == {job.id for job in mine if job != found and not has_ended(job.status)}


@given(st.lists(MADE, unique_by=lambda job: job.id))
def test_which_job_is_kept_does_not_depend_on_the_order_of_the_list(jobs: list[RemoteJob]) -> None:
    assert ours(jobs, "mine")[0] == ours(jobs[::-1], "mine")[0]


@given(st.lists(MADE, unique_by=lambda job: job.id, min_size=1), st.data())
def test_the_job_that_is_known_as_ours_stays_ours(jobs: list[RemoteJob], data: st.DataObject) -> None:
    known = data.draw(st.sampled_from(jobs))
    mine = known.metadata.get(METADATA_NAME) == "mine"

    assert not mine or ours(jobs, "mine", remote_id=known.id)[0] == known


def test_a_job_that_was_answered_is_kept_before_one_that_runs() -> None:
    running, answered = (
        RemoteJob(id=status, status=status, metadata={METADATA_NAME: "mine"}, created_unix_seconds=seconds)
        for status, seconds in (("RUNNING", 1), ("SUCCESS", 2))
    )

    assert ours([running, answered], "mine") == (answered, [running])
