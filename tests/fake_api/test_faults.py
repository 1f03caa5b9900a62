"""Trouble comes when, how and as often as it was ordered; waiting is as long as it was set."""

import json
import socket
import threading

import httpx2
import pytest

from tests.fake_api import FakeApi, Fault
from tests.fake_api.asking import CHAT, Naps, asked, events, http


def test_a_status_comes_with_the_body_of_the_api(server: FakeApi, client: httpx2.Client) -> None:
    server.play(Fault(status=503))

    assert client.post(CHAT, json=asked()).json()["code"] == "3800"


def test_a_fault_is_over_after_its_times(server: FakeApi, client: httpx2.Client) -> None:
    server.play(Fault(status=500, times=2))

    assert [client.post(CHAT, json=asked()).status_code for _ in range(3)] == [500, 500, 200]


def test_a_fault_waits_for_the_request_it_is_meant_for(server: FakeApi, client: httpx2.Client) -> None:
    server.play(Fault(status=500, when="second"), Fault(status=502, when=lambda request: request.is_stream))
    bodies = (asked("first"), asked("the second"), asked("third", stream=True))

    assert [client.post(CHAT, json=body).status_code for body in bodies] == [200, 500, 502]


def test_headers_and_body_are_sent_as_told(server: FakeApi, client: httpx2.Client) -> None:
    server.play(Fault(status=429, body="slow down", headers={"retry-after": "7"}))
    response = client.post(CHAT, json=asked())

    assert (response.text, response.headers["retry-after"]) == ("slow down", "7")


def test_headers_alone_join_the_answer(server: FakeApi, client: httpx2.Client) -> None:
    server.play(Fault(headers={"x-extra": "1"}))
    response = client.post(CHAT, json=asked())

    assert (response.status_code, response.headers["x-extra"]) == (200, "1")


def test_a_reset_is_a_reset(server: FakeApi) -> None:
    server.play(Fault(reset=True))
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")

        with pytest.raises(ConnectionResetError):
            connection.recv(1)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_truncated_body_ends_too_early(server: FakeApi, client: httpx2.Client, is_stream: bool) -> None:
    server.play(Fault(truncate_after_bytes=50))
    received: list[bytes] = []
    with (
        client.stream("POST", CHAT, json=asked(stream=is_stream)) as response,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        received.extend(response.iter_raw())

    assert len(b"".join(received)) == 50


def test_an_error_in_a_stream_comes_after_the_first_events_and_instead_of_done(
    server: FakeApi, client: httpx2.Client
) -> None:
    server.play(Fault(error_frame_in_stream={"object": "error", "message": "gone"}))
    *_, last = seen = events(client.post(CHAT, json=asked(stream=True)))

    assert (len(seen), json.loads(last)) == (3, {"object": "error", "message": "gone"})


def test_a_delay_is_slept_before_the_answer() -> None:
    naps = Naps()
    with FakeApi(sleep=naps, latency_seconds=1) as server, http(server) as client:
        server.play(Fault(delay_seconds=30))
        client.post(CHAT, json=asked())

    assert naps.seconds == [31]


def test_a_slow_body_takes_its_bytes_over_its_rate() -> None:
    naps = Naps()
    with FakeApi(sleep=naps) as server, http(server) as client:
        server.play(Fault(bytes_per_second=100))
        length = len(client.post(CHAT, json=asked()).content)

    assert sum(naps.seconds) == pytest.approx(length / 100)


def test_the_rest_of_a_stream_waits_until_it_may_come(server: FakeApi, client: httpx2.Client) -> None:
    may_come = threading.Event()
    server.play(Fault(content="first second third fourth", rest_waits_for=may_come))
    with client.stream("POST", CHAT, json=asked(stream=True)) as response:
        pieces = response.iter_text()
        early = next(pieces)
        may_come.set()
        whole = early + "".join(pieces)

    assert ("fourth" in early, "fourth" in whole) == (False, True)


def test_a_client_that_hangs_up_is_noticed(server: FakeApi) -> None:
    server.play(Fault(delay_seconds=3600))
    with http(server) as client, pytest.raises(httpx2.ReadTimeout):
        client.post(CHAT, json=asked(), timeout=0.05)
    with http(server) as client:
        counts = (client.get("/_fake/stats").json()["disconnects"] for _ in range(1_000))
        left = next(filter(None, counts), 0)

    assert left == 1


def test_each_row_adds_to_it() -> None:
    naps = Naps()
    with FakeApi(sleep=naps, latency_per_row_seconds=0.5) as server, http(server) as client:
        client.post("/v1/embeddings", json={"model": "mistral-embed", "input": ["a", "b", "c"]})

    assert naps.seconds == [1.5]


def test_a_hook_may_know_better() -> None:
    naps = Naps()
    with FakeApi(sleep=naps, latency_hook=lambda body: body["max_tokens"]) as server, http(server) as client:
        client.post(CHAT, json=asked(max_tokens=3))

    assert naps.seconds == [3]


def test_a_stream_may_take_its_time() -> None:
    naps = Naps()
    with FakeApi(sleep=naps, stream_interval_seconds=0.25) as server, http(server) as client:
        count = len(events(client.post(CHAT, json=asked(stream=True))))

    assert naps.seconds == [0.25] * (count - 1)
