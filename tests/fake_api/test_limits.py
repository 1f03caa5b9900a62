"""Requests and tokens run out, and come back, as they do on the real API."""

from tests.fake_api import FakeApi, Limit
from tests.fake_api.asking import CHAT, MODEL, Clock, asked, http


def test_the_request_over_the_limit_is_a_429_without_retry_after() -> None:
    with FakeApi(limit_requests_per_minute=2) as server, http(server) as client:
        *_, response = [client.post(CHAT, json=asked()) for _ in range(3)]

    assert (response.status_code, response.json()["code"]) == (429, "1300")
    assert response.headers["x-ratelimit-limit-req-minute"] == "2"
    assert "retry-after" not in response.headers


def test_the_headers_count_down() -> None:
    with FakeApi(limit_requests_per_minute=2) as server, http(server) as client:
        responses = [client.post(CHAT, json=asked()) for _ in range(2)]

    assert [each.headers["x-ratelimit-remaining-req-minute"] for each in responses] == ["1", "0"]


def test_a_new_minute_has_new_requests() -> None:
    clock = Clock()
    with FakeApi(limit_requests_per_minute=1, clock=clock) as server, http(server) as client:
        statuses = []
        for clock.now in (1_000, 1_059, 1_060):
            statuses.append(client.post(CHAT, json=asked()).status_code)

    assert statuses == [200, 429, 200]


def test_tokens_of_the_last_minute_fade_rather_than_vanish() -> None:
    clock = Clock()
    with FakeApi(limit_tokens_per_minute=1_000, clock=clock) as server, http(server) as client:
        left = []
        for clock.now in (1_000, 1_060, 1_090):
            response = client.post(CHAT, json=asked("x" * 1_000, max_tokens=6))
            left.append(int(response.headers["x-ratelimit-remaining-tokens-minute"]))

    cost = 4 + 250 + 6
    assert left == [1_000 - cost, 1_000 - 2 * cost, 1_000 - 2 * cost - cost // 2]


def test_a_prompt_over_the_tokens_left_is_a_429() -> None:
    with FakeApi(limit_tokens_per_minute=100) as server, http(server) as client:
        assert client.post(CHAT, json=asked("x" * 500)).status_code == 429


def test_zero_requests_a_minute_is_never_admitted() -> None:
    with (
        FakeApi(limits_by_model={MODEL: Limit(requests_per_minute=0, tokens_per_minute=None)}) as server,
        http(server) as client,
    ):
        response = client.post(CHAT, json=asked())

    assert (response.status_code, response.headers["x-ratelimit-limit-req-minute"]) == (429, "0")


def test_one_model_does_not_use_up_the_limit_of_another() -> None:
    with FakeApi(limit_requests_per_minute=1) as server, http(server) as client:
        models = (MODEL, "ministral-3b-latest", "mistral-small-2603")
        statuses = [client.post(CHAT, json=asked(model=model)).status_code for model in models]

    assert statuses == [200, 200, 429]
