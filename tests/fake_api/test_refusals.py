"""What api.mistral.ai refuses is refused, with its status and code."""

from typing import Any

import httpx2
import pytest

from tests.fake_api import FakeApi
from tests.fake_api.asking import CHAT, Json, asked, http, user, weather_tool


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"max_completion_tokens": 5}, ["body", "max_completion_tokens"]),
        ({"messages": [{"role": "user", "content": "x", "user": "me"}]}, ["body", "messages", 0, "user", "user"]),
        ({"tools": [{**weather_tool(), "strict": True}]}, ["body", "tools", 0, "strict"]),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache": 1}]}]},
            ["body", "messages", 0, "user", "content", 0, "cache"],
        ),
    ],
)
def test_an_unknown_field_is_a_422_that_names_it(client: httpx2.Client, more: Json, place: list[Any]) -> None:
    response = client.post(CHAT, json={**asked(), **more})

    assert response.status_code == 422
    assert [(each["type"], each["loc"]) for each in response.json()["detail"]] == [("extra_forbidden", place)]


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"content": "no role"}]},
        {"messages": [{"role": "developer", "content": "x"}]},
        {"messages": "Hello"},
        {"model": None},
        {"temperature": "hot"},
        {"temperature": 1.6},
        {"temperature": {}},
        {"n": 0},
        {"tool_choice": "maybe"},
        {"reasoning_effort": "furious"},
        {"response_format": {"type": "yaml"}},
        {"response_format": {"type": "json_schema"}},
        {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
    ],
)
def test_a_wrong_value_is_a_422_with_one_problem(client: httpx2.Client, more: Json) -> None:
    response = client.post(CHAT, json={**asked(), **more})

    assert (response.status_code, len(response.json()["detail"])) == (422, 1)


def test_a_body_that_is_no_json_is_a_422(client: httpx2.Client) -> None:
    assert client.post(CHAT, content=b"{").status_code == 422


def test_the_python_name_of_a_field_is_not_its_wire_name(client: httpx2.Client) -> None:
    assert client.post("/v1/embeddings", json={"model": "mistral-embed", "inputs": ["x"]}).status_code == 422


def test_the_older_422_nests_its_detail() -> None:
    with FakeApi(is_validation_error_nested=True) as server, http(server) as client:
        body = client.post(CHAT, json=asked(unknown=1)).json()

    assert (body["object"], body["message"]["detail"][0]["type"]) == ("error", "extra_forbidden")


@pytest.mark.parametrize(
    ("headers", "detail"), [({"Authorization": "Bearer no"}, "Invalid API Key"), ({}, "Unauthorized")]
)
def test_a_wrong_or_missing_key_is_a_401(server: FakeApi, headers: dict[str, str], detail: str) -> None:
    response = httpx2.post(server.url + CHAT, json=asked(), headers=headers)

    assert (response.status_code, response.json()) == (401, {"detail": detail})


@pytest.mark.parametrize("model", ["mistral-huge", "mistral-embed"])
def test_an_unknown_or_unfit_model_is_a_400_with_code_1500(client: httpx2.Client, model: str) -> None:
    response = client.post(CHAT, json=asked(model=model))

    assert (response.status_code, response.json()["code"], response.json()["type"]) == (
        400,
        "1500",
        "invalid_model",
    )


def test_a_user_message_after_a_tool_message_is_a_400_with_code_3230(client: httpx2.Client) -> None:
    call = {"id": "abcDEF123", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        *user("Hi"),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "rain"},
        *user("And?"),
    ]
    response = client.post(CHAT, json=asked(messages=messages))

    assert (response.status_code, response.json()["code"]) == (400, "3230")
    assert response.json()["message"] == "Unexpected role 'user' after role 'tool'"


def test_a_tool_call_id_of_another_api_is_a_400_with_code_3280(client: httpx2.Client) -> None:
    call = {"id": "call_1234", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        *user("Hi"),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1234", "content": "rain"},
    ]

    assert client.post(CHAT, json=asked(messages=messages)).json()["code"] == "3280"


def test_a_prompt_over_the_context_window_is_a_400_with_code_3051() -> None:
    with FakeApi(context_window=10) as server, http(server) as client:
        response = client.post(CHAT, json=asked("x" * 100))

    assert (response.status_code, response.json()["code"]) == (400, "3051")


def test_reasoning_is_refused_by_a_model_that_has_none(client: httpx2.Client) -> None:
    response = client.post(CHAT, json=asked(model="ministral-3b-latest", reasoning_effort="high"))

    assert response.status_code == 400


def test_too_many_inputs_are_a_400_with_code_3210(client: httpx2.Client) -> None:
    response = client.post("/v1/embeddings", json={"model": "mistral-embed", "input": ["x"] * 513})

    assert (response.status_code, response.json()["code"]) == (400, "3210")


def test_a_violated_guardrail_is_a_403(client: httpx2.Client) -> None:
    guardrails = [{"block_on_error": True, "moderation_llm_v2": {"action": "block"}}]
    response = client.post(CHAT, json=asked("how to steal", guardrails=guardrails))

    assert (response.status_code, response.json()["guardrails"]["results"]["moderation_llm_v2"]["violated"]) == (
        403,
        True,
    )


def test_a_path_that_does_not_exist_is_a_404(client: httpx2.Client) -> None:
    assert client.post("/v1/nothing", json={}).json()["message"] == "no Route matched with those values"
