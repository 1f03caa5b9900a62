"""A process that is killed in the middle of a file, at random points, and what the next one does again."""

import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mistral_nb
from tests.engine.row_runs import labels_of, texts, texts_in
from tests.engine.test_killed import AT_ONCE, KillAt, started_kernels
from tests.fake_api import FakeApi

KILLS = 6
BATCH_ROWS = 40

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes that are killed are forks")

_FORKING_PROCESS = """
import json, os, sys
import aiohttp, pandas as pd, pyarrow.parquet, mistral_nb, mistral_nb.engine.session, tqdm.auto
import mistral_nb.streaming.parquet
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        mistral_nb.configure(**job["settings"])
        mistral_nb.stream_parquet(verb="classify", column="text", labels=job["labels"], into="topic", **job["options"])
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def test_a_killed_run_goes_on_where_it_was_and_pays_nothing_twice_but_what_was_under_way(
    api: FakeApi, tmp_path: Path
) -> None:
    rows = texts(300)
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": rows}), source, row_group_size=64)
    home = mistral_nb.configure(max_concurrency=AT_ONCE).home
    own = {"endpoint": api.url, "api_key": api.api_key, "home": str(home), "max_concurrency": AT_ONCE}
    options: dict[str, Any] = {
        "source": str(source), "target": str(target), "batch_rows": BATCH_ROWS, "rows_per_request": 1
    }  # fmt: skip
    dice = random.Random(8)
    with started_kernels(own, _FORKING_PROCESS) as process:
        kill = KillAt(api, process)
        for _ in range(KILLS):
            kill.after(dice.randint(5, 25))
            process.start([], **options)
            assert (process.wait(), target.exists()) == (signal.SIGKILL, False)
        process.start([], **options)
        assert process.wait() == 0
    paid = Counter(text for request in api.requests if request.status == 200 for text in texts_in(request))

    assert pq.read_table(target)["topic"].to_pylist() == labels_of(rows)
    assert sum(times - 1 for times in paid.values()) <= KILLS * AT_ONCE
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.parquet"]
