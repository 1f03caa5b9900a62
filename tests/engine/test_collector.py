"""Python's collector while rows are asked."""

import gc
from collections.abc import Iterator

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.engine.collector import OBJECTS_BETWEEN_SEARCHES
from tests.engine.row_runs import LABELS, texts
from tests.fake_api import FakeApi


@pytest.fixture(autouse=True)
def own_threshold() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def thresholds_during_a_run() -> set[int]:
    """Return the thresholds that held when requests came back."""
    seen: set[int] = set()
    stop = mistral_nb.on_event(lambda record: seen.add(gc.get_threshold()[0]))
    pd.Series(texts(3)).mistral.classify(LABELS)
    stop()
    return seen


def test_searches_are_rare_during_a_run(api: FakeApi) -> None:
    assert thresholds_during_a_run() == {OBJECTS_BETWEEN_SEARCHES}


def test_the_users_own_threshold_is_back_after_a_run(api: FakeApi) -> None:
    gc.set_threshold(1234, 7, 9)
    thresholds_during_a_run()

    assert gc.get_threshold() == (1234, 7, 9)


@pytest.mark.parametrize("threshold", [0, 1_000_000], ids=["off", "rarer still"])
def test_a_collector_that_is_off_or_rarer_still_stays_so(api: FakeApi, threshold: int) -> None:
    gc.set_threshold(threshold)

    assert thresholds_during_a_run() == {threshold}


def test_what_is_set_during_a_run_stays(api: FakeApi) -> None:
    stop = mistral_nb.on_event(lambda record: gc.set_threshold(555))
    pd.Series(texts(3)).mistral.classify(LABELS)
    stop()

    assert gc.get_threshold()[0] == 555
