"""Everything that can go wrong between a request and its answer, and what the caller gets for it."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from mistralai.client import errors as sdk_errors_module
from mistralai.client.errors.httpvalidationerror import HTTPValidationErrorData
from mistralai.client.errors.observabilityerror import ObservabilityErrorData

from mistral_nb.api_errors import error_from_response
from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.errors import (
    CannotConnect,
    ConnectionLost,
    InvalidAnswer,
    InvalidInput,
    InvalidKey,
    InvalidOption,
    MissingKey,
    MistralNotebookError,
    ModelNotOnPlan,
    RateLimited,
    RequestRejected,
    RequestTimedOut,
    ServerProblem,
    UnknownModel,
    WrongEndpoint,
)
from tests.backends.hosting import ask, ask_transport, chat_body, deltas, question
from tests.fake_api import FakeApi, Fault

# What each exception class of the transport becomes; the base classes stand for their unknown kinds.
OF_TRANSPORT = {
    "HTTPError": ConnectionLost,
    "RequestError": ConnectionLost,
    "TransportError": ConnectionLost,
    "TimeoutException": RequestTimedOut,
    "ConnectTimeout": CannotConnect,
    "ReadTimeout": RequestTimedOut,
    "WriteTimeout": RequestTimedOut,
    "PoolTimeout": RequestTimedOut,
    "NetworkError": ConnectionLost,
    "ReadError": ConnectionLost,
    "WriteError": ConnectionLost,
    "ConnectError": CannotConnect,
    "CloseError": ConnectionLost,
    "ProxyError": CannotConnect,
    "UnsupportedProtocol": InvalidOption,
    "ProtocolError": ConnectionLost,
    "LocalProtocolError": ConnectionLost,
    "RemoteProtocolError": ConnectionLost,
    "DecodingError": ConnectionLost,
    "TooManyRedirects": WrongEndpoint,
    "HTTPStatusError": ServerProblem,
    "InvalidURL": InvalidOption,
    "CookieConflict": ConnectionLost,
    "StreamError": ConnectionLost,
    "StreamConsumed": ConnectionLost,
    "StreamClosed": ConnectionLost,
    "ResponseNotRead": ConnectionLost,
    "RequestNotRead": ConnectionLost,
    "SSEError": ConnectionLost,
    "WebSocketUpgradeError": None,  # this package opens no web sockets
    "WebSocketDisconnect": None,
    "WebSocketInvalidTypeReceived": None,
    "WebSocketNetworkError": None,
    "HTTPXWSException": None,
}
OF_SDK = {
    "MistralError": ServerProblem,
    "SDKError": ServerProblem,
    "HTTPValidationError": ServerProblem,
    "ResponseValidationError": ServerProblem,
    "ObservabilityError": ServerProblem,
    "NoResponseError": ConnectionLost,
}
REQUEST = httpx2.Request("POST", "https://api.mistral.ai/v1/chat/completions")


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


def exception_classes(module: Any) -> dict[str, type[Exception]]:
    found = {name: getattr(module, name) for name in dir(module)}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Exception)}


def made(kind: type[Exception]) -> Exception:
    """Return an instance of any exception class of the transport or the SDK."""
    response = httpx2.Response(503, request=REQUEST, text="overloaded")
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("it failed",), {"request": REQUEST, "response": response}),
        (("it failed", response), {}),
        (("it failed", response, ValueError("shape")), {}),
        ((HTTPValidationErrorData(), response), {}),
        ((ObservabilityErrorData.model_construct(detail=SimpleNamespace(message="")), response), {}),
        (("it failed",), {}),
        ((), {}),
    ]
    for positional, named in arguments:
        try:
            return kind(*positional, **named)
        except (TypeError, AttributeError):
            continue
    raise AssertionError(f"Don't know how to make a {kind.__name__}.")


def failing(problem: Exception) -> Callable[[httpx2.Request], httpx2.Response]:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise problem

    return answer


def test_every_exception_class_of_the_transport_is_in_the_table() -> None:
    assert exception_classes(httpx2).keys() <= OF_TRANSPORT.keys()


def test_every_exception_class_of_the_sdk_is_in_the_table() -> None:
    named = {name: kind for name in sdk_errors_module.__all__ if (kind := getattr(sdk_errors_module, name))}

    assert {name for name, kind in named.items() if issubclass(kind, Exception)} == OF_SDK.keys()


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("name", [name for name, expected in OF_TRANSPORT.items() if expected])
def test_an_exception_of_the_transport_becomes_ours_with_a_remedy(name: str, is_stream: bool) -> None:
    kind = exception_classes(httpx2).get(name)
    if kind is None:
        pytest.skip(f"this httpx2 has no {name}")

    with pytest.raises(MistralNotebookError) as caught:
        ask_transport(
            failing(made(kind)),
            lambda backend: deltas(backend, question()) if is_stream else backend.complete(question()),
        )

    assert (type(caught.value), bool(caught.value.remedy)) == (OF_TRANSPORT[name], True)


@pytest.mark.parametrize("name", OF_SDK)
def test_an_exception_of_the_sdk_becomes_ours_with_a_remedy(name: str) -> None:
    with pytest.raises(MistralNotebookError) as caught:
        ask_transport(failing(made(getattr(sdk_errors_module, name))), lambda backend: backend.complete(question()))

    assert (type(caught.value), bool(caught.value.remedy)) == (OF_SDK[name], True)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (socket.gaierror(-2, "Name or service not known"), "name was not found"),
        (ssl.SSLCertVerificationError("certificate verify failed: unable to get local issuer"), "SSL_CERT_FILE"),
        (ConnectionRefusedError(111, "Connection refused"), "Start the server"),
        (ExceptionGroup("attempts", [ConnectionRefusedError(111, "refused")]), "Start the server"),
    ],
)
def test_each_way_not_to_connect_has_its_own_remedy(cause: Exception, expected: str) -> None:
    problem = httpx2.ConnectError("All connection attempts failed")
    problem.__cause__ = cause

    with pytest.raises(CannotConnect, match=expected):
        ask_transport(failing(problem), lambda backend: backend.complete(question()))


def test_a_refused_connection_says_which_address_it_was() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(CannotConnect, match=url):
            ask_transport(lambda request: httpx2.Response(500), refused, endpoint=url, transport=None)


async def refused(backend: HostedBackend) -> Any:
    return await backend.complete(question())


def test_tls_spoken_to_a_server_without_it_is_told_as_such(fake: FakeApi) -> None:
    with pytest.raises(CannotConnect, match="TLS failed"):
        ask(fake, refused, endpoint=fake.url.replace("http://", "https://"))


@pytest.mark.parametrize("endpoint", ["ftp://example.org", "example.org", "http://[::1", "https://"])
def test_an_address_that_is_none_is_an_invalid_option(endpoint: str) -> None:
    with pytest.raises(InvalidOption, match="no http"):
        ask_transport(lambda request: httpx2.Response(500), refused, endpoint=endpoint, transport=None)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=401, body={"detail": "Unauthorized"}), InvalidKey),
        (Fault(status=429), RateLimited),
        (Fault(status=503), ServerProblem),
        (Fault(status=500, body="<html>Bad gateway</html>"), ServerProblem),
        (Fault(status=404, body={"message": "no Route matched with those values"}), WrongEndpoint),
        (Fault(status=403, body={"message": "x is a Labs model.", "code": "1913"}), ModelNotOnPlan),
        (Fault(status=422, body={"detail": [{"loc": ["body", "store"], "msg": "Extra inputs"}]}), RequestRejected),
        (Fault(status=302, body="moved"), WrongEndpoint),
        (Fault(status=204, body=""), ConnectionLost),
        (Fault(reset=True), ConnectionLost),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_failing_server_gives_the_matching_exception(
    fake: FakeApi, fault: Fault, expected: type[MistralNotebookError], is_stream: bool
) -> None:
    fake.play(fault)

    with pytest.raises(expected) as caught:
        ask(fake, lambda backend: deltas(backend, question()) if is_stream else backend.complete(question()))

    assert type(caught.value) is expected


def test_a_truncated_body_is_a_lost_connection(fake: FakeApi) -> None:
    fake.play(Fault(truncate_after_bytes=40))

    with pytest.raises(ConnectionLost):
        ask(fake, refused)


def test_an_unknown_model_is_told_with_its_name(fake: FakeApi) -> None:
    with pytest.raises(UnknownModel, match="mistral-smol"):
        ask(fake, lambda backend: backend.complete(question(model="mistral-smol")))


@pytest.mark.parametrize(
    ("content", "content_type", "expected"),
    [
        (b"<!doctype html><title>Log in</title>", "text/html", WrongEndpoint),
        (b"", "application/json", ConnectionLost),
        (b'{"id": "1", "choices": [{"ind', "application/json", ConnectionLost),
        (b"[1, 2]", "application/json", InvalidAnswer),
        (b"nonsense", "application/json", InvalidAnswer),
        (b'{"choices": []}', "application/json", InvalidAnswer),
        (b'{"choices": [{"index": 0}]}', "application/json", InvalidAnswer),
        (b'{"error": {"message": "out of memory", "code": 503}}', "application/json", ServerProblem),
        (b'{"detail": "Invalid model", "code": "1500"}', "application/json", UnknownModel),
        (b"data: {}\n\n", "text/event-stream", InvalidAnswer),
    ],
)
def test_a_success_that_is_no_answer_is_told_as_what_it_is(
    content: bytes, content_type: str, expected: type[MistralNotebookError]
) -> None:
    with pytest.raises(expected) as caught:
        ask_transport(
            lambda request: httpx2.Response(200, content=content, headers={"content-type": content_type}), refused
        )

    assert caught.value.remedy


def test_a_body_that_does_not_unpack_is_a_lost_connection() -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}

    class Garbage(httpx2.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield b"this is not gzip"

    with pytest.raises(ConnectionLost, match="DecodingError"):
        ask_transport(lambda request: httpx2.Response(200, stream=Garbage(), headers=headers), refused)


def test_a_redirect_in_a_circle_is_a_wrong_endpoint() -> None:
    with pytest.raises(WrongEndpoint, match="circle"):
        ask_transport(lambda request: httpx2.Response(308, headers={"location": str(request.url)}), refused)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (lambda backend: backend.embed(["a", "b"], model="m"), {"data": [{"index": 0, "embedding": [1.0]}]}),
        (lambda backend: backend.embed(["a"], model="m"), {"data": [{"index": 0, "embedding": []}]}),
        (lambda backend: backend.embed(["a"], model="m"), {"data": None}),
        (lambda backend: backend.moderate(["a", "b"], model="m"), {"results": [{"categories": {}}]}),
        (lambda backend: backend.moderate(["a"], model="m"), {"results": "none"}),
        (lambda backend: backend.models(), {"models": []}),
    ],
)
def test_an_answer_of_another_shape_is_invalid(call: Callable[[HostedBackend], Any], body: dict[str, Any]) -> None:
    with pytest.raises(InvalidAnswer):
        ask_transport(lambda request: httpx2.Response(200, json=body), call)


def test_no_key_for_the_api_itself_is_told_with_three_ways_out() -> None:
    for endpoint in ("https://api.mistral.ai", "https://api.eu.mistral.ai"):
        with pytest.raises(MissingKey) as caught:
            ask_transport(
                lambda request: httpx2.Response(200, json=chat_body()), refused, api_key=" ", endpoint=endpoint
            )

        said = str(caught.value)
        assert all(way in said for way in ("MISTRAL_API_KEY", "configure(api_key=", "local-small"))


def test_another_server_needs_no_key_and_does_not_get_the_one_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "the-key-of-the-environment")
    seen: list[httpx2.Headers] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers)
        return httpx2.Response(200, json=chat_body())

    ask_transport(answer, refused, api_key=None, endpoint="http://localhost:8000")

    assert "authorization" not in seen[0]


def test_a_key_with_a_line_break_at_its_end_is_taken(fake: FakeApi) -> None:
    assert ask(fake, refused, api_key=f" {fake.api_key}\n").text


@pytest.mark.parametrize("key", ["clé-de-l-api", "first\nsecond", "a–b"])
def test_a_key_that_no_header_can_hold_is_invalid_before_anything_is_sent(key: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        ask_transport(lambda request: httpx2.Response(200, json=chat_body()), refused, api_key=key)

    assert key not in str(caught.value)


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), object()])
def test_an_option_that_json_can_not_hold_is_named_as_such(fake: FakeApi, value: Any) -> None:
    with pytest.raises(InvalidOption, match="can't be sent as JSON"):
        ask(fake, lambda backend: backend.complete(question(options={"metadata": {"x": value}})))

    assert fake.requests == []


def test_half_a_surrogate_pair_is_no_text(fake: FakeApi) -> None:
    for call in (
        lambda backend: backend.complete(question("a\ud83d")),
        lambda backend: backend.embed(["a\ud83d"], model="mistral-embed"),
        lambda backend: backend.fill_in_middle("a\ud83d", "", model="codestral-latest"),
    ):
        with pytest.raises(InvalidInput, match="surrogate"):
            ask(fake, call)

    assert fake.requests == []


def test_an_sdk_that_is_set_up_wrongly_says_so(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_SDK_TELEMETRY", "bogus")

    with pytest.raises(InvalidOption, match="bogus"):
        ask(fake, refused)


def test_a_header_that_can_not_be_sent_is_blamed_on_the_key() -> None:
    with pytest.raises(InvalidKey, match="header"):
        ask_transport(failing(httpx2.LocalProtocolError("Illegal header value b'Bearer x'")), refused)


def test_an_option_of_the_wrong_type_is_named_without_its_value() -> None:
    with pytest.raises(InvalidOption, match="temperature") as caught:
        ask_transport(
            lambda request: httpx2.Response(200, json=chat_body()),
            lambda backend: backend.complete(question(temperature="a private text")),
        )

    assert "private" not in str(caught.value)


def test_every_exception_of_ours_says_what_to_do() -> None:
    bodies = [
        json.dumps(body) for body in ({"detail": "x"}, {"message": "x", "code": "1500"}, {"error": {"message": "x"}})
    ]

    problems = [error_from_response(status, body) for status in range(300, 600) for body in bodies]

    assert all(problem.problem and problem.remedy for problem in problems)
