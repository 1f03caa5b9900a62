"""The real API, for anyone with a key: ``MISTRAL_API_KEY=… pytest tests/test_live.py``; costs a fraction of a cent.

Promises: nothing here runs without a key, and each test asks for a few tokens only.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.completion import Completion, CompletionRequest
from mistral_nb.errors import InvalidKey, UnknownModel

# Read here: the tests' own settings clear the environment before each test.
KEY = os.environ.get("MISTRAL_API_KEY", "").strip()
ENDPOINT = os.environ.get("MISTRAL_NB_ENDPOINT", "https://api.mistral.ai")
MODEL = "mistral-small-latest"
Result = TypeVar("Result")

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not KEY, reason="MISTRAL_API_KEY is not set: the real API is not asked"),
]


def ask(call: Callable[[HostedBackend], Awaitable[Result]], *, key: str = KEY) -> Result:
    async def run() -> Result:
        backend = HostedBackend(endpoint=ENDPOINT, api_key=key, timeout_seconds=60)
        try:
            return await call(backend)
        finally:
            await backend.aclose()

    return asyncio.run(run())


def question(model: str = MODEL) -> CompletionRequest:
    message = {"role": "user", "content": "Reply with the single word: pong"}
    return CompletionRequest(model=model, messages=(message,), temperature=0.0, max_tokens=20)


def test_a_question_is_answered() -> None:
    completion = ask(lambda backend: backend.complete(question()))

    assert "pong" in completion.text.lower()
    assert completion.usage.total_tokens > 0
    assert completion.correlation_id


def test_a_streamed_answer_comes_in_pieces() -> None:
    async def streamed(backend: HostedBackend) -> Completion:
        answer = Completion(text="", model="")
        async for delta in backend.stream(question()):
            answer = answer.extended_by(delta)
        return answer

    answer = ask(streamed)

    assert "pong" in answer.text.lower()
    assert answer.usage.total_tokens > 0
    assert answer.first_token_seconds is not None


def test_texts_of_like_meaning_have_like_vectors() -> None:
    texts = ["My delivery never arrived.", "My delivery is lost.", "I love this song."]

    late, lost, song = ask(lambda backend: backend.embed(texts, model="mistral-embed")).vectors

    def likeness(one: tuple[float, ...], other: tuple[float, ...]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert likeness(late, lost) > likeness(late, song)


def test_a_threat_is_flagged_and_a_greeting_is_not() -> None:
    threat, greeting = ask(
        lambda backend: backend.moderate(
            ["I will kill you tomorrow.", "Good morning!"], model="mistral-moderation-2603"
        )
    )

    assert threat.flagged["violence_and_threats"]
    assert not any(greeting.flagged.values())


def test_the_models_are_listed() -> None:
    cards = ask(lambda backend: backend.models())

    assert MODEL in {name for card in cards for name in (card.id, *card.aliases)}


def test_a_wrong_key_is_invalid() -> None:
    with pytest.raises(InvalidKey):
        ask(lambda backend: backend.complete(question()), key="not-a-real-key-0123456789abcdef")


def test_a_model_that_does_not_exist_is_unknown() -> None:
    with pytest.raises(UnknownModel):
        ask(lambda backend: backend.complete(question("mistral-does-not-exist")))
