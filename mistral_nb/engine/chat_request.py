"""What a person types (a text, or messages, and options) as a request.

Promises: pure; what can't be a request is said before anything is sent.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mistral_nb.completion import CompletionRequest, JsonObject
from mistral_nb.errors import EmptyPrompt, InvalidOption

Messages = str | Sequence[JsonObject]

_MESSAGES_EXAMPLE = '[{"role": "user", "content": "…"}]'


def chat_request(
    prompt: Messages,
    *,
    model: str,
    system: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    **options: Any,
) -> CompletionRequest:
    """Return the request; `options` are further fields of the API.

    Raises
    ------
    EmptyPrompt
        There is no text in the prompt.
    InvalidOption
        The prompt is neither text nor messages.
    """
    if isinstance(prompt, str):
        if not prompt.strip():
            raise EmptyPrompt("The prompt is empty.", "Write what you want to ask.")
        messages: tuple[JsonObject, ...] = ({"role": "user", "content": prompt},)
    elif isinstance(prompt, Sequence) and all(isinstance(message, Mapping) for message in prompt):
        turns: Sequence[Any] = prompt
        messages = tuple(turns)
        if not messages:
            raise EmptyPrompt("There are no messages.", f"Give at least one, e.g. {_MESSAGES_EXAMPLE}.")
    else:
        raise InvalidOption(f"The prompt is {shortened(prompt)}.", f"Give a text, or messages: {_MESSAGES_EXAMPLE}.")
    if system:
        messages = ({"role": "system", "content": system}, *messages)
    named = {field.name for field in dataclasses.fields(CompletionRequest)} - {"options", "choice"}
    known = {name: value for name, value in options.items() if name in named}
    for name in ("stop", "tools"):
        if name in known:
            known[name] = (known[name],) if isinstance(known[name], str) else tuple(known[name])
    return CompletionRequest(
        model=model,
        messages=messages,
        temperature=temperature,
        max_tokens=max_tokens,
        options={name: value for name, value in options.items() if name not in named},
        **known,
    )


def shortened(value: object) -> str:
    """Return the value's repr, cut at 80 characters."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
