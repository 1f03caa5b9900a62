"""Verbs on a cluster of processes: what its workers share, what becomes of a killed one, where the key is."""

import logging
import os
import pickle
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import mistral_nb
import mistral_nb.dask
from mistral_nb.dask.plugins import ClusterPlugin, KeyPlugin
from tests.engine.row_runs import until
from tests.fake_api import FakeApi, Fault

KEY = "Zq7Kx2Vb9Lm4Np6Rt8Ws1Yd3Fg5Hj0C"
LABELS = ["bill", "parcel"]
MODEL = "mistral-small-latest"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    """Two workers, which start within seconds; started once for all tests here."""
    environment = {"MISTRAL_NB_HOME": str(home), "MISTRAL_API_KEY": ""}
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", env=environment
        ) as cluster,
        Client(cluster) as client,
    ):
        client.unsubscribe_topic("warn")  # which would be an error in whichever test runs when it comes
        yield client


@pytest.fixture
def api(client: Client) -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as fake:
        mistral_nb.configure(endpoint=fake.url, api_key=KEY)
        mistral_nb.dask.share_session(client)
        yield fake


def frame(texts: list[str], *, partitions: int) -> Any:
    return dd.from_pandas(pd.DataFrame({"text": texts}), npartitions=partitions)


def asked(fake: FakeApi) -> Counter[str]:
    """Return how often each text was asked."""
    return Counter(seen.body["messages"][-1]["content"] for seen in fake.requests if seen.body is not None)


def test_workers_pay_once_for_a_text_that_both_have(client: Client, api: FakeApi) -> None:
    api.settings.latency_seconds = 0.02
    texts = [f"bill {number}" for number in range(40)]

    labels = (
        frame([*texts, *reversed(texts)], partitions=2).mistral.classify("text", LABELS, rows_per_request=1).compute()
    )

    assert labels.tolist() == ["bill"] * 80
    assert asked(api) == Counter(texts)


def test_workers_keep_a_budget_together(client: Client, api: FakeApi) -> None:
    per_million = {"input_usd_per_million_tokens": 1, "output_usd_per_million_tokens": 1}
    mistral_nb.prices(update={MODEL: per_million})
    lazy = frame([f"bill of {number}" for number in range(120)], partitions=4)

    found = lazy.mistral.classify("text", LABELS, rows_per_request=1, budget_usd=0.005, details=True).compute()

    assert 0.003 < found["cost_usd"].sum() <= 0.005  # each partition alone costs less, all of them more
    assert set(found["error"].dropna()) == {"BudgetReached"}
    assert any("BudgetReached" in str(event) for _, event in client.get_events("warn"))


def test_the_key_is_in_no_graph_no_plugin_no_log_and_no_file(
    client: Client, api: FakeApi, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("distributed", "distributed.core"):
        caplog.set_level(logging.DEBUG, logger=name)
    mistral_nb.dask.share_session(client)
    api.play(Fault(status=400, body={"message": f"You sent {KEY}"}, when="poison"))
    column = frame(["a bill", "a poison"], partitions=2).mistral.classify("text", LABELS, errors="raise")
    with pytest.raises(mistral_nb.errors.RowsFailed) as raised:
        column.compute()

    graph = column.optimize().dask
    logged = (
        f"{client.get_worker_logs()} {client.get_worker_logs(nanny=True)} {client.get_scheduler_logs()} {caplog.text}"
    )
    shown = f"{dict(graph)!r} {raised.value!r} {raised.value.failed.to_csv()} {logged}"
    pickled = [
        cloudpickle.dumps(dict(graph)),
        *(pickle.dumps(plugin()) for plugin in (ClusterPlugin, KeyPlugin)),
    ]
    files = [file.read_bytes() for file in home.rglob("*") if file.is_file()]
    assert "Compute Failed" in logged
    assert "mistral_nb_keys" in caplog.text, "the messages themselves are part of what is looked through"
    assert files
    assert KEY not in shown
    assert not [content for content in (*pickled, *files) if KEY.encode() in content]


def test_a_key_that_is_handed_over_later_takes_the_place_of_the_one_before(client: Client, api: FakeApi) -> None:
    lazy = frame(["a bill of another key"], partitions=1)
    mistral_nb.configure(api_key="wrong" + KEY[5:])
    mistral_nb.dask.share_session(client)
    with pytest.raises(mistral_nb.errors.InvalidKey):
        lazy.mistral.classify("text", LABELS).compute()

    mistral_nb.configure(api_key=KEY)
    mistral_nb.dask.share_session(client)

    assert lazy.mistral.classify("text", LABELS).compute().tolist() == ["bill"]


def test_cancelling_stops_the_requests(client: Client, api: FakeApi) -> None:
    api.settings.latency_seconds = 600
    lazy = frame([f"cancelled bill {number}" for number in range(200)], partitions=2)
    future = client.compute(lazy.mistral.classify("text", LABELS, rows_per_request=1))
    until(lambda: api.stats.in_flight > 0)

    future.cancel()
    until(lambda: not any(client.run(lambda dask_worker: list(dask_worker.state.tasks)).values()))
    until(lambda: api.stats.in_flight == 0)
    sent = len(api.requests)
    api.settings.latency_seconds = 0
    frame(["another bill"], partitions=1).mistral.classify("text", LABELS).compute()

    assert len(api.requests) == sent + 1


def test_a_killed_worker_repeats_only_what_was_under_way(client: Client, api: FakeApi) -> None:
    at_once = 4
    mistral_nb.configure(max_concurrency=at_once)
    victims = list(client.run(os.getpid).values())
    seen = 0

    def count(body: Mapping[str, Any]) -> float:
        nonlocal seen
        seen += 1
        if seen == 30:
            os.kill(victims[0], signal.SIGKILL)
        return 0.01

    api.settings.latency_hook = count
    texts = [f"bill after {number}" for number in range(80)]

    labels = frame(texts, partitions=4).mistral.classify("text", LABELS, rows_per_request=1).compute()

    assert labels.tolist() == ["bill"] * 80
    assert asked(api).keys() == set(texts)
    assert len(api.requests) - len(texts) <= at_once
