"""A kernel that is killed somewhere between sending jobs and having their answers: nothing is paid twice, nothing is lost."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from tests.engine.job_runs import JOBS, remote_jobs
from tests.engine.row_runs import LABELS, labels_of, texts, until
from tests.engine.test_killed import Kernels, check_integrity, started_kernels
from tests.fake_api import FakeApi, Fault, SeenRequest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kernels that are killed are forks")

ROWS = 12
# Two of the three jobs are files, so that a kernel can die between the upload and the job; jobs are looked at without waiting.
_FORKING_KERNEL = """
import json, os, sys
import aiohttp, mistralai.client, pandas as pd, mistral_nb, mistral_nb.engine.session, tqdm.auto
from mistral_nb.engine import batches
from mistral_nb.engine.batch_parts import JobBounds
from mistral_nb.engine.batch_run import Polling
batches.JobBounds = lambda: JobBounds(inline_requests=2, file_requests=5)
batches.Polling = lambda: Polling(first_seconds=0.0)
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        mistral_nb.configure(**job["settings"])
        pd.Series(job["rows"]).mistral.classify(job["labels"], **job["options"]).wait(progress=False)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.fixture
def settings_of_all(api: FakeApi) -> dict[str, Any]:
    return {"endpoint": api.url, "api_key": api.api_key, "home": str(mistral_nb.cache_info().path.parent)}


@pytest.fixture(scope="module")
def forks() -> Iterator[Kernels]:
    with started_kernels({}, _FORKING_KERNEL) as kernels:
        yield kernels


@pytest.fixture
def kernels(forks: Kernels, settings_of_all: dict[str, Any]) -> Kernels:
    forks._settings = settings_of_all
    return forks


def kill_at(kernels: Kernels, number: int) -> Fault:
    """Return what kills the kernel when its request with this number comes, which is then answered all the same."""
    left = number

    def kill(request: SeenRequest) -> bool:
        nonlocal left
        left -= 1
        if left == 0:
            until(lambda: kernels.pid)
            os.kill(kernels.pid, signal.SIGKILL)
        return False

    return Fault(when=kill, times=None)


# Two uploads and three jobs are the requests 1 to 5; then come looks at the jobs, and their files.
@pytest.mark.parametrize("number", range(1, 14))
def test_killed_at_any_request_all_is_answered_and_paid_once(
    api: FakeApi, kernels: Kernels, settings_of_all: dict[str, Any], number: int
) -> None:
    rows = texts(ROWS)
    api.play(kill_at(kernels, number))
    kernels.start(rows, mode="batch", rows_per_request=1)
    assert kernels.wait() == signal.SIGKILL
    api._faults.clear()
    check_integrity(settings_of_all)
    labels = pd.Series(rows).mistral.classify(LABELS, mode="batch", rows_per_request=1).result()
    paid = Counter(
        request["body"]["messages"][-1]["content"]
        for one in remote_jobs(api)
        for request in one.requests[: one.shown["completed_requests"]]
    )

    assert labels.tolist() == labels_of(rows)
    assert set(paid.values()) == {1}
    assert len(list(mistral_nb.session().ledger.records())) == ROWS


def test_a_kernel_that_lives_makes_three_jobs_in_thirteen_requests(api: FakeApi, kernels: Kernels) -> None:
    kernels.start(texts(ROWS), mode="batch", rows_per_request=1)
    assert kernels.wait() == 0
    paths = [f"{request.method} {request.path}" for request in api.requests]

    assert paths[:5] == ["POST /v1/files", f"POST {JOBS}", "POST /v1/files", f"POST {JOBS}", f"POST {JOBS}"]
    assert len(paths) == 13
