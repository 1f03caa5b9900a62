"""An answer in the form of a schema: asked for, read, and asked for again with what is wrong with it.

Keeps to itself: what the model is told of the schema, and of its mistakes.
Promises: the model is asked at most `max_repairs` times again, and the usage of all attempts is in the answer's; a cut or refused
answer is not asked for again, since the same would come back. Validation runs where the caller is, never on the background loop: a
model's own validators may do anything, even ask a model.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mistral_nb.answer_schema import AnswerSchema
from mistral_nb.completion import Completion, CompletionRequest, JsonObject, TokenUsage
from mistral_nb.counted import counted
from mistral_nb.errors import InvalidAnswer, InvalidOption, TruncatedAnswer
from mistral_nb.refusal import check_answered
from mistral_nb.settings import is_local

MAX_REPAIRS = 2


def complete_as(
    request: CompletionRequest,
    schema: AnswerSchema,
    ask: Callable[[CompletionRequest], Completion],
    *,
    max_repairs: int = MAX_REPAIRS,
    on_invalid: Callable[[Completion], None] = lambda _: None,
) -> Completion:
    """Return the answer with its value in `parsed`.

    Parameters
    ----------
    request
        The question, as made by `structured_request`.
    schema
        The form of the answer.
    ask
        What sends a request and returns its completion.
    max_repairs
        How many times the model may correct its answer.
    on_invalid
        Told of each answer that does not fit the schema.

    Returns
    -------
    Completion
        The last answer; its `usage` and `latency_seconds` are those of all attempts together. Where the model calls tools instead
        of answering, their calls, with `parsed` None.

    Raises
    ------
    TruncatedAnswer
        The answer was cut at `max_tokens` or at the end of the model's window.
    Refused
        The model declined.
    InvalidAnswer
        The last answer does not fit the schema either.
    """
    usage, seconds, asked, attempts = TokenUsage(), 0.0, request, 0
    while True:
        answer, attempts = ask(asked), attempts + 1
        _check_ended(answer, request)
        usage, seconds = usage + answer.usage, seconds + answer.latency_seconds
        answer = replace(answer, usage=usage, latency_seconds=seconds)
        if answer.tool_calls:
            return answer
        try:
            return replace(answer, parsed=schema.read(answer.text))
        except InvalidAnswer as wrong:
            on_invalid(answer)
            if attempts > max_repairs:
                raise InvalidAnswer(
                    f"{wrong.problem}\n{answer.model} was asked {attempts} times. It wrote: {_shortened(answer.text)}",
                    wrong.remedy,
                    text=answer.text,
                    errors=wrong.errors,
                    attempts=attempts,
                    usage=usage,
                ) from None
            asked = repair_request(request, wrong)


def structured_request(request: CompletionRequest, schema: AnswerSchema) -> CompletionRequest:
    """Return the request with the schema as its response format, and shown to the model.

    It is shown because a response format only holds the model to the form: descriptions and limits do not reach it, nor do the
    schema's tokens count as prompt tokens (recorded traffic of 2026-08-19).

    Raises
    ------
    InvalidOption
        The request has a response format of its own.
    """
    if request.response_format is not None:
        raise InvalidOption("There are both a schema and a response_format.", "Leave response_format out.")
    shown = f"Answer with JSON that fits this schema; null where there is nothing to say:\n{schema.shown}"
    first, *others = request.messages
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        messages: list[JsonObject] = [{**first, "content": f"{first['content']}\n\n{shown}"}, *others]
    else:
        messages = [{"role": "system", "content": shown}, first, *others]
    response_format = schema.local_response_format if is_local(request.model) else schema.response_format
    return replace(request, messages=tuple(messages), response_format=response_format)


def repair_request(request: CompletionRequest, wrong: InvalidAnswer) -> CompletionRequest:
    """Return the request that shows the model its wrong answer, and what is wrong with it."""
    listed = "\n".join(f"- {error}" for error in wrong.errors)
    again: dict[str, Any] = {
        "role": "user",
        "content": f"That does not fit the schema:\n{listed}\nWrite the whole answer again, corrected: the JSON only.",
    }
    # The API takes no empty answer as a turn, and no prefix before the last; half an emoji can't be sent.
    text = wrong.text.encode("utf-8", "replace").decode("utf-8")
    said = [{"role": "assistant", "content": text}] if text.strip() else []
    asked = [message for message in request.messages if not message.get("prefix")]
    return replace(request, messages=(*asked, *said, again))


def _check_ended(answer: Completion, request: CompletionRequest) -> None:
    if answer.is_truncated:
        limit = "the model's own limit" if request.max_tokens is None else f"max_tokens={request.max_tokens}"
        raise TruncatedAnswer(
            f"The answer was cut at {counted(answer.usage.completion_tokens, 'token')} ({limit}): …{answer.text[-60:]!r}.",
            f"Allow a longer answer, e.g. max_tokens={_more(answer, request)}, or ask for less: a shorter text, fewer fields, "
            "lists with Field(max_length=…).",
        )
    check_answered(answer)


def _more(answer: Completion, request: CompletionRequest) -> int:
    return 4 * max(request.max_tokens or 0, answer.usage.completion_tokens, 128)


def _shortened(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:299]}…"
