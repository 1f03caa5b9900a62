"""What tests of the fake API ask it with: bodies, a plain HTTP client, and time that does not pass."""

from typing import Any

import httpx2

from tests.fake_api.server import FakeApi

Json = dict[str, Any]

MODEL = "mistral-small-latest"
CHAT = "/v1/chat/completions"


def http(server: FakeApi) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.api_key}"})


def user(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


def asked(text: str = "Hello", **more: Any) -> Json:
    return {"model": MODEL, "messages": user(text), **more}


def weather_tool() -> Json:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "function": {"name": "weather", "parameters": parameters}}


def events(response: httpx2.Response) -> list[str]:
    return [line.removeprefix("data: ") for line in response.text.splitlines() if line]


class Naps:
    """A `sleep` that only writes down for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Clock:
    """A `clock` that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now
