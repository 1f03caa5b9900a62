"""One server for all tests of a module, as new for each of them."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.fake_api.asking import http
from tests.fake_api.server import FakeApi


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


@pytest.fixture
def server(shared: FakeApi) -> FakeApi:
    shared.reset()
    return shared


@pytest.fixture
def client(server: FakeApi) -> Iterator[httpx2.Client]:
    with http(server) as client:
        yield client
