"""The fake API as its users meet it: the official SDK works against it, and it starts and stops cleanly."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import HTTPValidationError, MistralError, ResponseValidationError
from pydantic import BaseModel

from tests.fake_api import FakeApi, Fault
from tests.fake_api.asking import MODEL, user, weather_tool


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


@pytest.fixture
def server(shared: FakeApi) -> FakeApi:
    shared.reset()
    return shared


@pytest.fixture(scope="module")
def sdk(shared: FakeApi) -> Iterator[Mistral]:
    with Mistral(api_key=shared.api_key, server_url=shared.url) as client:
        yield client


def test_the_sdk_completes(server: FakeApi, sdk: Mistral) -> None:
    answer = sdk.chat.complete(model=MODEL, messages=user("Which river runs through Paris?"))

    assert answer.choices[0].message.content == "Answer to: Which river runs through Paris?"


def test_the_sdk_sees_the_alias_it_asked_for(server: FakeApi, sdk: Mistral) -> None:
    assert sdk.chat.complete(model=MODEL, messages=user("Hi")).model == MODEL


def test_the_sdk_streams_the_same_text(server: FakeApi, sdk: Mistral) -> None:
    with sdk.chat.stream(model=MODEL, messages=user("Which river runs through Paris?")) as stream:
        text = "".join(event.data.choices[0].delta.content for event in stream)

    assert text == "Answer to: Which river runs through Paris?"


def test_the_sdk_parses_into_a_model(server: FakeApi, sdk: Mistral) -> None:
    class Review(BaseModel):
        mood: Literal["good", "bad"]
        price: float

    answer = sdk.chat.parse(Review, model=MODEL, messages=user("A bad meal, price: 12.5"))

    assert answer.choices[0].message.parsed == Review(mood="bad", price=12.5)


def test_the_sdk_calls_a_tool_and_reads_its_result(server: FakeApi, sdk: Mistral) -> None:
    messages: list[Any] = user("The weather, city: Oslo")
    called = sdk.chat.complete(model=MODEL, messages=messages, tools=[weather_tool()]).choices[0].message
    call_id = called.tool_calls[0].id
    messages += [called, {"role": "tool", "name": "weather", "tool_call_id": call_id, "content": "rain"}]
    answer = sdk.chat.complete(model=MODEL, messages=messages, tools=[weather_tool()])

    assert answer.choices[0].message.content == "The tool says: rain"


def test_the_sdk_gets_thinking_before_text(server: FakeApi, sdk: Mistral) -> None:
    answer = sdk.chat.complete(model=MODEL, messages=user("Why?"), reasoning_effort="high")

    assert [chunk.type for chunk in answer.choices[0].message.content] == ["thinking", "text"]


def test_the_sdk_gets_n_choices(server: FakeApi, sdk: Mistral) -> None:
    answer = sdk.chat.complete(model=MODEL, messages=user("Hi"), n=3)

    assert [choice.message.content for choice in answer.choices] == [
        "Answer to: Hi",
        "Answer 2 to: Hi",
        "Answer 3 to: Hi",
    ]


def test_the_sdk_fills_in_the_middle(server: FakeApi, sdk: Mistral) -> None:
    answer = sdk.fim.complete(model="codestral-latest", prompt="def add(", suffix="return total")

    assert answer.choices[0].message.content == "# fills def add( to return total"


def test_the_sdk_streams_fill_in_the_middle(server: FakeApi, sdk: Mistral) -> None:
    with sdk.fim.stream(model="codestral-latest", prompt="def add(") as stream:
        assert "".join(event.data.choices[0].delta.content for event in stream) == "# fills def add("


def test_the_sdk_embeds(server: FakeApi, sdk: Mistral) -> None:
    answer = sdk.embeddings.create(model="mistral-embed", inputs=["one text", "another"])

    assert [len(entry.embedding) for entry in answer.data] == [1024, 1024]


def test_the_sdk_moderates_texts(server: FakeApi, sdk: Mistral) -> None:
    answer = sdk.classifiers.moderate(model="mistral-moderation-2603", inputs=["fine", "I will attack"])

    assert [result.categories["violence_and_threats"] for result in answer.results] == [False, True]


def test_the_sdk_moderates_chats(server: FakeApi, sdk: Mistral) -> None:
    answer = sdk.classifiers.moderate_chat(model="mistral-moderation-2603", inputs=user("my passport number"))

    assert answer.results[0].category_scores["pii"] > 0.9


def test_the_sdk_resolves_an_alias_through_the_model_list(server: FakeApi, sdk: Mistral) -> None:
    dated = {card.id: card.name for card in sdk.models.list().data}

    assert dated[MODEL] == "mistral-small-2603"


def test_the_sdk_retrieves_one_model(server: FakeApi, sdk: Mistral) -> None:
    assert sdk.models.retrieve(model_id="codestral-latest").capabilities.completion_fim


def test_the_sdk_runs_its_async_half(server: FakeApi) -> None:
    async def complete() -> str:
        async with Mistral(api_key=server.api_key, server_url=server.url) as client:
            answer = await client.chat.complete_async(model=MODEL, messages=user("Hi"))
            return answer.choices[0].message.content

    assert asyncio.run(complete()) == "Answer to: Hi"


def test_the_sdk_reads_the_422_as_its_own_error(server: FakeApi, sdk: Mistral) -> None:
    with pytest.raises(HTTPValidationError, match="less_than_equal"):
        sdk.chat.complete(model=MODEL, messages=user("Hi"), temperature=2)


def test_the_sdk_meets_an_error_inside_a_stream(server: FakeApi, sdk: Mistral) -> None:
    server.play(Fault(error_frame_in_stream=True))

    with sdk.chat.stream(model=MODEL, messages=user("Hi")) as stream, pytest.raises(ResponseValidationError):
        list(stream)


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_sdk_reads_what_a_fault_lets_the_model_say(server: FakeApi, sdk: Mistral, is_stream: bool) -> None:
    server.play(Fault(content="<b>not JSON", finish_reason="content_filter"))
    if is_stream:
        chunks = [event.data.choices[0] for event in sdk.chat.stream(model=MODEL, messages=user("Hi"))]
        said = ("".join(chunk.delta.content for chunk in chunks), chunks[-1].finish_reason)
    else:
        choice = sdk.chat.complete(model=MODEL, messages=user("Hi")).choices[0]
        said = (choice.message.content, choice.finish_reason)

    assert said == ("<b>not JSON", "content_filter")


def test_the_sdk_finds_the_body_of_the_api_in_its_error(server: FakeApi, sdk: Mistral) -> None:
    with pytest.raises(MistralError) as caught:
        sdk.chat.complete(model="mistral-huge", messages=user("Hi"))

    assert json.loads(caught.value.body)["message"] == "Invalid model: mistral-huge"


def test_a_taken_port_is_an_error_where_the_server_was_wanted(server: FakeApi) -> None:
    with pytest.raises(RuntimeError, match="could not start"):
        FakeApi(port=server.port).__enter__()


def test_it_stops_while_a_request_waits() -> None:
    with FakeApi() as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
        server.play(Fault(delay_seconds=3600))
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")

    with pytest.raises(httpx2.ConnectError):
        httpx2.get(server.url)


def test_it_runs_from_a_shell_and_prints_its_url() -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.fake_api", "--rpm", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        url = process.stdout.readline().strip()
        client = Mistral(api_key="fake-api-key", server_url=url)
        answer = client.chat.complete(model=MODEL, messages=user("Hi"))
        process.terminate()

    assert (answer.choices[0].message.content, process.returncode) == ("Answer to: Hi", 0)
