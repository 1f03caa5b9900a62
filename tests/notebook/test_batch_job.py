"""A batch job as a notebook shows it, in a real kernel."""

import os
from pathlib import Path

import pytest

from tests.fake_api import FakeApi
from tests.notebook.test_kernel import Client

PREPARE = """
import pandas as pd, mistral_nb
from mistral_nb.engine import batches
from mistral_nb.engine.batch_run import Polling
batches.Polling = lambda: Polling(first_seconds=0.0)
texts = pd.Series(["billing a", "bug b", "delivery c"])
"""
SEND = 'job = texts.mistral.classify(["billing", "bug", "delivery"], mode="batch")'


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    home: Path = tmp_path_factory.mktemp("home")
    client = Client(PREPARE, SEND, "job", "job.wait().result()", "mistral_nb.jobs()")
    with FakeApi() as api:
        own = {
            "MISTRAL_NB_ENDPOINT": api.url,
            "MISTRAL_API_KEY": api.api_key,
            "MISTRAL_NB_HOME": str(home),
        }
        client.execute(env=os.environ | own)
    return client


def test_the_receipt_is_shown_when_the_job_is_sent(client: Client) -> None:
    (shown,) = client.outputs(1)

    assert "Receipt for classify with mistral-small-latest as a batch job." in shown["data"]["text/html"]


def test_the_job_says_how_far_it_is(client: Client) -> None:
    (shown,) = client.outputs(2)

    assert "QUEUED, 0 of 3 requests answered" in shown["data"]["text/plain"]


def test_waiting_gives_the_column(client: Client) -> None:
    *_, shown = client.outputs(3)

    assert shown["data"]["text/plain"].split()[1:6:2] == ["billing", "bug", "delivery"]


def test_jobs_are_a_frame(client: Client) -> None:
    (shown,) = client.outputs(4)

    assert "SUCCESS" in shown["data"]["text/html"]
