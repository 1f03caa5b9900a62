"""The key shows nowhere: not in a repr, an exception, a traceback with variables, or a log, even where a server sends it back."""

import logging
from collections.abc import Callable
from types import TracebackType

import httpx2
import pytest

from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.errors import MistralNotebookError
from tests.backends.hosting import KEY, ask, ask_transport, chat_body, deltas, question
from tests.fake_api import FakeApi

EVENTS = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


def echoed(status: int, template: str, headers: dict[str, str]) -> Callable[[httpx2.Request], httpx2.Response]:
    """Return a server that sends the key back."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent = request.headers["authorization"].removeprefix("Bearer ")
        return httpx2.Response(status, content=template.replace("KEY", sent), headers=headers)

    return answer


def broken(kind: type[httpx2.RequestError]) -> Callable[[httpx2.Request], httpx2.Response]:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise kind(f"it failed with {request.headers['authorization']}", request=request)

    return answer


SERVERS = {
    "a refusal": echoed(401, '{"detail": "Invalid API Key KEY"}', JSON),
    "a rejected field": echoed(422, '{"detail": [{"loc": ["body", "x"], "msg": "KEY"}]}', JSON),
    "a web page": echoed(502, "<html>KEY</html>", {"content-type": "text/html"}),
    "a success that is no JSON": echoed(200, "your key is KEY", JSON),
    "a success without choices": echoed(200, '{"you": "KEY"}', JSON),
    "a success that is an error": echoed(200, '{"error": "bad key KEY"}', JSON),
    "an error in a stream": echoed(200, 'data: {"object": "error", "message": "KEY"}\n\n', EVENTS),
    "nonsense in a stream": echoed(200, "data: KEY\n\n", EVENTS),
    "a lost connection": broken(httpx2.ReadError),
    "a refused connection": broken(httpx2.ConnectError),
    "a header": broken(httpx2.LocalProtocolError),
}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("server", SERVERS)
def test_no_failure_shows_the_key(server: str, is_stream: bool) -> None:
    with pytest.raises(MistralNotebookError) as caught:
        ask_transport(
            SERVERS[server], lambda backend: deltas(backend, question()) if is_stream else backend.complete(question())
        )

    error = caught.value
    shown = [str(error), repr(error), repr(error.args), repr(vars(error)), *variables(error.__traceback__)]
    assert [text for text in shown if KEY in text] == []


@pytest.mark.parametrize("server", SERVERS)
def test_no_failure_drags_the_frames_of_the_sdk_along(server: str) -> None:
    with pytest.raises(MistralNotebookError) as caught:
        ask_transport(SERVERS[server], lambda backend: backend.complete(question()))

    assert [file for file in files_behind(caught.value) if "mistralai" in file or "httpx2" in file] == []


def test_no_log_shows_the_key(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MISTRAL_DEBUG", "1")

    with FakeApi(api_key=KEY) as fake:
        ask(fake, lambda backend: backend.complete(question()))

    assert caplog.records
    assert KEY not in caplog.text


def test_no_repr_shows_the_key() -> None:
    backend = HostedBackend(endpoint="https://api.mistral.ai", api_key=KEY)

    assert KEY not in f"{backend!r} {vars(backend)!r} {vars(backend._client)!r}"


def test_the_key_is_not_taken_out_of_answers_that_do_not_hold_it() -> None:
    completion = ask_transport(
        lambda request: httpx2.Response(200, json=chat_body()),
        lambda backend: backend.complete(question()),
        api_key="e",
    )

    assert completion.text == "Hello."


def variables(trace: TracebackType | None) -> list[str]:
    """Return what a traceback with variables would show of this package's frames."""
    found: list[str] = []
    while trace is not None:
        if "/mistral_nb/" in trace.tb_frame.f_code.co_filename:
            found.extend(repr(value) for value in trace.tb_frame.f_locals.values())
        trace = trace.tb_next
    return found


def files_behind(error: BaseException | None) -> list[str]:
    """Return the files of all frames that the error and its contexts keep alive."""
    files: list[str] = []
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            files.append(trace.tb_frame.f_code.co_filename)
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return files
