"""What goes wrong on the rows' own wire is told as it is on the SDK's, and the key shows nowhere."""

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.errors import (
    CannotConnect,
    ConnectionLost,
    InvalidAnswer,
    InvalidKey,
    InvalidOption,
    MissingKey,
    MistralNotebookError,
    RequestTimedOut,
    ServerProblem,
    UnknownModel,
    WrongEndpoint,
)
from tests.backends.hosting import KEY, ask, chat_body, question
from tests.backends.loopback import http_response, loopback
from tests.backends.test_hosted_key import files_behind, variables
from tests.backends.test_hosted_time import until
from tests.fake_api import FakeApi, Fault

OBSERVED = Path(__file__).parents[3] / "shared" / "api" / "errors_observed.json"
FAILURES = {
    "no answer for long": Fault(status=503),
    "a web page": Fault(status=500, body="<html>Bad gateway</html>"),
    "a page that is not there": Fault(status=404, body="<html>Not here</html>"),
    "a redirect to nowhere": Fault(status=302, body="moved"),
    "no content": Fault(status=204, body=""),
    "a success that is a page": Fault(status=200, body="<!doctype html><title>Log in</title>"),
    "a success that is no JSON": Fault(status=200, body="nonsense"),
    "a success that is a list": Fault(status=200, body=[1, 2]),
    "a success without choices": Fault(status=200, body={"choices": []}),
    "a success that is an error": Fault(status=200, body={"error": {"message": "out of memory", "code": 503}}),
    "half an answer": Fault(truncate_after_bytes=40),
    "a wait that is asked for": Fault(status=429, headers={"retry-after": "7", "x-ratelimit-limit-req-minute": "4"}),
    "a plan without the model": Fault(status=429, headers={"x-ratelimit-limit-req-minute": "0"}),
}


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


async def row(backend: HostedBackend) -> Any:
    return await backend.complete_row(question())


async def failures_of_both(backend: HostedBackend) -> list[MistralNotebookError]:
    """Return what the same trouble raises on the rows' wire and on the SDK's."""
    raised = []
    for answer in (backend.complete_row, backend.complete):
        with pytest.raises(MistralNotebookError) as caught:
            await answer(question())
        raised.append(caught.value)
    return raised


def told(error: MistralNotebookError) -> tuple[Any, ...]:
    return type(error), error.remedy, error.status_code, error.retry_after_seconds, error.rate_limits


@pytest.mark.parametrize("name", FAILURES)
def test_a_failing_server_gives_the_exception_that_it_gives_through_the_sdk(fake: FakeApi, name: str) -> None:
    fake.play(FAILURES[name], FAILURES[name])

    by_row, through_the_sdk = ask(fake, failures_of_both)

    assert told(by_row) == told(through_the_sdk)
    assert by_row.remedy


@pytest.mark.skipif(not OBSERVED.is_file(), reason="the observed error bodies (../shared/api) are not here")
def test_every_observed_error_gives_the_exception_that_it_gives_through_the_sdk(fake: FakeApi) -> None:
    observed = json.loads(OBSERVED.read_text(encoding="utf-8"))
    faults = [Fault(status=row["status"], body=row["body"], headers=row.get("headers", {})) for row in observed]
    fake.play(*(fault for fault in faults for _ in range(2)))

    async def all_of_them(backend: HostedBackend) -> list[list[MistralNotebookError]]:
        return [await failures_of_both(backend) for _ in faults]

    pairs = ask(fake, all_of_them)

    assert [told(by_row) for by_row, _ in pairs] == [told(through_the_sdk) for _, through_the_sdk in pairs]


def test_a_reset_is_a_lost_connection(fake: FakeApi) -> None:
    fake.play(Fault(reset=True))

    with pytest.raises(ConnectionLost, match="was lost"):
        ask(fake, row)


def test_an_unknown_model_is_told_with_its_name(fake: FakeApi) -> None:
    with pytest.raises(UnknownModel, match="mistral-smol"):
        ask(fake, lambda backend: backend.complete_row(question(model="mistral-smol")))


def test_a_refused_connection_says_which_address_it_was(fake: FakeApi) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(CannotConnect, match=f"{url}.*Nothing accepted") as caught:
            ask(fake, row, endpoint=url)

    assert "Start the server" in caught.value.remedy


def test_a_name_that_is_not_found_is_told_as_such(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async def not_found(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    async def ask_nowhere(backend: HostedBackend) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", not_found, raising=False)
        await row(backend)

    with pytest.raises(CannotConnect, match="name was not found"):
        ask(fake, ask_nowhere, endpoint="http://nowhere.invalid")


def test_tls_spoken_to_a_server_without_it_is_told_as_such(fake: FakeApi) -> None:
    with pytest.raises(CannotConnect, match="TLS failed") as caught:
        ask(fake, row, endpoint=fake.url.replace("http://", "https://"))

    assert "SSL_CERT_FILE" in caught.value.remedy


@pytest.mark.parametrize("endpoint", ["ftp://example.org", "example.org", "http://[::1", "https://", "http://h:99999"])
@pytest.mark.parametrize("key", [KEY, None])
def test_an_address_that_is_none_is_an_invalid_option(fake: FakeApi, endpoint: str, key: str | None) -> None:
    with pytest.raises(InvalidOption, match="no http"):
        ask(fake, row, endpoint=endpoint, api_key=key)


def test_no_key_for_the_api_itself_is_told_before_anything_is_sent(fake: FakeApi) -> None:
    with pytest.raises(MissingKey):
        ask(fake, row, api_key=" ", endpoint="https://api.mistral.ai")


def test_another_server_needs_no_key_and_gets_none(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "the-key-of-the-environment")

    async def head() -> str:
        async with loopback(http_response(json.dumps(chat_body()).encode())) as server:
            backend = HostedBackend(endpoint=f"http://127.0.0.1:{server.port}", api_key=None)
            await backend.complete_row(question())
            await backend.aclose()
            return server.requests[0]

    assert "authorization" not in asyncio.run(head()).lower()


def test_a_key_that_no_header_can_hold_is_invalid_before_anything_is_sent(fake: FakeApi) -> None:
    with pytest.raises(InvalidKey):
        ask(fake, row, api_key="first\nsecond")

    assert fake.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_neither_key_nor_text_goes_where_another_server_is_named(fake: FakeApi, status: int) -> None:
    with FakeApi() as other:
        fake.play(Fault(status=status, body="", headers={"location": f"{other.url}/v1/chat/completions"}))

        with pytest.raises(WrongEndpoint, match=f"redirects to '{other.url}"):
            ask(fake, row)

        assert other.requests == []


@pytest.mark.parametrize("location", ["/v1/chat/completions", "?moved"])
def test_a_server_may_redirect_within_itself(fake: FakeApi, location: str) -> None:
    fake.play(Fault(status=308, body="", headers={"location": location}))

    assert ask(fake, row).text


def test_a_redirect_in_a_circle_is_a_wrong_endpoint(fake: FakeApi) -> None:
    fake.play(Fault(status=307, body="", headers={"location": "/v1/chat/completions"}, times=None))

    with pytest.raises(WrongEndpoint, match="circle"):
        ask(fake, row)


@pytest.mark.parametrize("location", ["http://[::1", "https://127.0.0.1:1/v1", "mailto:a@b"])
def test_a_redirect_to_no_place_of_this_server_is_a_wrong_endpoint(fake: FakeApi, location: str) -> None:
    fake.play(Fault(status=308, body="", headers={"location": location}))

    with pytest.raises(WrongEndpoint, match="redirects to"):
        ask(fake, row)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (http_response(b"this is not gzip", "Content-Encoding: gzip"), ConnectionLost),
        (b"SMTP at your service\r\n\r\n", ConnectionLost),
        (http_response(b"data: {}\n\n", content_type="text/event-stream"), InvalidAnswer),
    ],
    ids=["no gzip", "no HTTP", "a stream"],
)
def test_what_is_no_answer_at_all_is_told(response: bytes, expected: type[MistralNotebookError]) -> None:
    async def ask_it() -> None:
        async with loopback(response) as server:
            backend = HostedBackend(endpoint=f"http://127.0.0.1:{server.port}", api_key=KEY)
            try:
                await backend.complete_row(question())
            finally:
                await backend.aclose()

    with pytest.raises(expected):
        asyncio.run(ask_it())


def test_a_server_that_says_nothing_is_given_up() -> None:
    with FakeApi(latency_seconds=30) as slow, pytest.raises(RequestTimedOut, match=r"0\.2 s"):
        ask(slow, row, timeout_seconds=0.2)


def test_a_server_that_says_it_ever_so_slowly_is_given_up(fake: FakeApi) -> None:
    fake.play(Fault(bytes_per_second=50))

    with pytest.raises(RequestTimedOut):
        ask(fake, row, timeout_seconds=0.4)


def test_a_connection_that_is_not_made_in_time_is_told_as_such(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mistral_nb.backends.row_wire.CONNECT_TIMEOUT_SECONDS", 0.05)

    async def never(*arguments: Any, **options: Any) -> Any:
        await asyncio.get_running_loop().create_future()

    async def ask_silence(backend: HostedBackend) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never, raising=False)
        await row(backend)

    with pytest.raises(CannotConnect, match="Nothing answered in time"):
        ask(fake, ask_silence, endpoint="http://silence.invalid")


def test_cancelling_a_row_closes_its_connection() -> None:
    async def cancel_it(server: FakeApi, backend: HostedBackend) -> int:
        task = asyncio.ensure_future(row(backend))
        await until(lambda: server.stats.in_flight == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.stats.in_flight == 0)
        return server.stats.disconnects

    with FakeApi(latency_seconds=30) as slow:
        assert ask(slow, lambda backend: cancel_it(slow, backend)) == 1


def test_a_row_under_way_when_the_backend_closes_is_a_lost_connection() -> None:
    async def close_it(server: FakeApi, backend: HostedBackend) -> None:
        task = asyncio.ensure_future(row(backend))
        await until(lambda: server.stats.in_flight == 1)
        await backend.aclose()
        await task

    with FakeApi(latency_seconds=30) as slow, pytest.raises(ConnectionLost):
        ask(slow, lambda backend: close_it(slow, backend))


ECHOES = {
    "a refusal": Fault(status=401, body={"detail": f"Invalid API Key {KEY}"}),
    "a header of a refusal": Fault(status=503, headers={"mistral-correlation-id": f"of {KEY}"}),
    "a web page": Fault(status=502, body=f"<html>{KEY}</html>"),
    "a success that is no JSON": Fault(status=200, body=f"your key is {KEY}"),
    "a success without choices": Fault(status=200, body={"you": KEY}),
    "a redirect": Fault(status=307, body="", headers={"location": f"https://example.org/?key={KEY}"}),
    "a reset": Fault(reset=True),
    "half an answer": Fault(truncate_after_bytes=40, content=KEY),
}


@pytest.mark.parametrize(
    ("name", "call"),
    # The SDK's client follows redirects.
    [
        (name, call)
        for name in ECHOES
        for call in ("complete_row", "complete")
        if (name, call) != ("a redirect", "complete")
    ],
)
def test_no_failure_shows_the_key(name: str, call: str) -> None:
    with FakeApi(api_key=KEY) as fake:
        fake.play(ECHOES[name])
        with pytest.raises(MistralNotebookError) as caught:
            ask(fake, lambda backend: getattr(backend, call)(question()))

    error = caught.value
    shown = [str(error), repr(error), repr(error.args), repr(vars(error)), *variables(error.__traceback__)]
    assert [text for text in shown if KEY in text] == []


@pytest.mark.parametrize("name", ECHOES)
def test_no_failure_drags_the_frames_of_the_client_along(name: str) -> None:
    with FakeApi(api_key=KEY) as fake:
        fake.play(ECHOES[name])
        with pytest.raises(MistralNotebookError) as caught:
            ask(fake, row)

    assert [file for file in files_behind(caught.value) if "aiohttp" in file] == []


def test_an_answer_that_repeats_the_key_comes_without_it() -> None:
    with FakeApi(api_key=KEY) as fake:
        fake.play(Fault(content=f"It is {KEY}.", headers={"mistral-correlation-id": KEY}))

        completion = ask(fake, row)

    assert (completion.text, completion.correlation_id) == ("It is ….", "…")


def test_no_log_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with FakeApi(api_key=KEY) as fake:
        fake.play(Fault(status=401, body={"detail": KEY}))
        with pytest.raises(InvalidKey):
            ask(fake, row)

    assert KEY not in caplog.text


def test_no_repr_shows_the_key() -> None:
    backend = HostedBackend(endpoint="https://api.mistral.ai", api_key=KEY)

    assert KEY not in f"{backend!r} {backend.rows!r} {vars(backend.rows)!r} {vars(backend.rows._endpoint)!r}"


def test_a_server_problem_may_be_tried_again(fake: FakeApi) -> None:
    fake.play(Fault(status=503))

    with pytest.raises(ServerProblem) as caught:
        ask(fake, row)

    assert caught.value.is_worth_retrying
