"""Whatever a job gives, in whatever order and form, each text gets its own answer or an error."""

import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_nb.backends.batch_api import BatchLine
from mistral_nb.engine.batch_making import this_process
from mistral_nb.engine.batch_reading import BatchReader
from mistral_nb.engine.batch_store import BatchStore, JobRecord, JobRequest
from mistral_nb.engine.cache import AnswerCache
from mistral_nb.engine.database import Database
from mistral_nb.engine.plan import UNANSWERED, PlannedRequest, RowsPlan, plan_rows
from mistral_nb.engine.rows import DistinctTexts, RunOptions
from mistral_nb.tasks.classify import classify_task
from tests.engine.row_runs import LABELS, labels_of, texts

MODEL = "mistral-small-latest"
USAGE = {"prompt_tokens": 12, "completion_tokens": 4}


def answered(contents: Any) -> dict[str, Any]:
    return {
        "id": "r",
        "model": MODEL,
        "usage": USAGE,
        "choices": [{"finish_reason": "stop", "message": {"content": json.dumps(contents)}}],
    }


def body_for(request: PlannedRequest, lost: set[int]) -> dict[str, Any]:
    """Return the response that answers all texts of a request but the lost ones."""
    labels = labels_of(texts(40))
    if len(request.numbers) == 1:
        return answered({"label": None if request.numbers[0] in lost else labels[request.numbers[0]]})
    rows = [
        {"id": place, "label": labels[number]}
        for place, number in enumerate(request.numbers, start=1)
        if number not in lost
    ]
    return answered({"rows": rows})


def plan_of(cache: AnswerCache, count: int) -> RowsPlan:
    return plan_rows(
        classify_task(LABELS),
        DistinctTexts(np.arange(count), texts(count)),
        model=MODEL,
        options=RunOptions(),
        cache=cache,
        endpoint="https://example.org",
        answering_model=MODEL,
    )


@st.composite
def jobs(draw: st.DrawFn) -> tuple[int, list[PlannedRequest], set[int], dict[int, int]]:
    """Draw a number of texts, how they share requests, which get no answer, and what becomes of each request.

    A request has the status of a response, or 0 when the job ended before it.
    """
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=8))
    count = sum(sizes)
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    requests = [PlannedRequest(tuple(range(start, start + size))) for start, size in zip(starts, sizes, strict=True)]
    lost = draw(st.sets(st.integers(0, count - 1), max_size=3))
    statuses = {place: draw(st.sampled_from([200, 200, 200, 422, 503, 0])) for place in range(len(sizes))}
    return count, requests, lost, statuses


@settings(max_examples=40, deadline=None)
@given(jobs(), st.randoms())
def test_each_text_gets_its_own_answer_or_an_error(
    tmp_path_factory: Any, drawn: tuple[int, list[PlannedRequest], set[int], dict[int, int]], dice: Any
) -> None:
    count, requests, lost, statuses = drawn
    folder: Path = tmp_path_factory.mktemp("reading")
    # Closed also when hypothesis ends an example early, as it does where `dice` has drawn too much.
    with closing(Database(folder / "answers.sqlite")) as database:
        cache, store = AnswerCache(database), BatchStore(database)
        plan = plan_of(cache, count)
        job = JobRecord(
            id="job",
            server_url="https://example.org",
            verb="classify",
            model=MODEL,
            status="TIMEOUT_EXCEEDED",
            rows=count,
            requests=len(requests),
            created_unix_seconds=0.0,
            creator=this_process(),
            cost_usd=Decimal(0),
        )
        asked = [
            JobRequest(job_id="job", place=place, keys=tuple(plan.keys[number] for number in request.numbers))
            for place, request in enumerate(requests)
        ]
        assert store.begin(job, asked)
        given_back = [
            (place, BatchLine(custom_id=str(place), status_code=status, body=body_for(requests[place], lost)))
            for place, status in statuses.items()
            if status
        ]
        dice.shuffle(given_back)
        store.keep(job, dict(given_back), lambda job, line, rows: Decimal(0))
        reader = BatchReader(plan, store=store, cache=cache, price=lambda usage: Decimal(0))
        reader.read_job(job)
    is_answered = {
        number: statuses[place] == 200 and number not in lost
        for place, request in enumerate(requests)
        for number in request.numbers
    }

    assert plan.values == [
        label if is_answered[number] else UNANSWERED for number, label in enumerate(labels_of(texts(count)))
    ]
    assert set(reader.errors) == {number for number in range(count) if not is_answered[number]}
    assert reader.bill.usage.prompt_tokens == 12 * sum(status == 200 for status in statuses.values())
    assert sum(row.prompt_tokens for row in reader.bill.rows().values()) == reader.bill.usage.prompt_tokens
