"""A hosted backend for one test: made, asked and closed on an event loop of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx2

from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.completion import CompletionRequest, Delta
from tests.fake_api import FakeApi

KEY = "sk-never-to-be-seen-0123456789"
MODEL = "mistral-small-latest"
Result = TypeVar("Result")
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ask(api: FakeApi, call: Callable[[HostedBackend], Awaitable[Result]], **settings: Any) -> Result:
    """Return what `call` gives on a backend of the fake API."""
    return _run(call, **{"endpoint": api.url, "api_key": api.api_key} | settings)


def ask_transport(
    answer: Callable[[httpx2.Request], httpx2.Response],
    call: Callable[[HostedBackend], Awaitable[Result]],
    **settings: Any,
) -> Result:
    """Return what `call` gives on a backend whose HTTP requests are answered by a function."""
    defaults = {"endpoint": "https://api.mistral.ai", "api_key": KEY, "transport": httpx2.MockTransport(answer)}
    return _run(call, **defaults | settings)


def _run(call: Callable[[HostedBackend], Awaitable[Result]], **settings: Any) -> Result:
    async def run() -> Result:
        backend = HostedBackend(**settings)
        try:
            return await call(backend)
        finally:
            await backend.aclose()

    return asyncio.run(run())


def question(text: str = "What is a churn table?", **fields: Any) -> CompletionRequest:
    return CompletionRequest(**{"model": MODEL, "messages": ({"role": "user", "content": text},)} | fields)


async def deltas(backend: HostedBackend, request: CompletionRequest) -> list[Delta]:
    return [delta async for delta in backend.stream(request)]


def chat_body(**changes: Any) -> dict[str, Any]:
    """Return a whole, valid answer as the API sends it."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    head = {"id": "answer-1", "object": "chat.completion", "model": MODEL, "created": 1}
    return {**head, "usage": usage, "choices": [choice]} | changes
