"""Answers of the API, read from their JSON.

Keeps to itself: the shapes an answer comes in (list contents, thinking chunks, tool calls, the places of cached tokens), those of
compatible servers included; why the SDK's models are not used for it: they drop fields they don't know and refuse answers that
lack one.
Promises: pure functions from parsed JSON to the records of `mistral_nb.completion`; what can't be read raises `InvalidAnswer`, what
was cut off `ConnectionLost`, what is no API at all `WrongEndpoint`; shared by complete, stream, rows and batch.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mistral_nb.api_errors import error_from_frame
from mistral_nb.completion import (
    Completion,
    Embeddings,
    InputsAnswer,
    InputsRequest,
    ModelCard,
    Moderation,
    TokenLogProbability,
    TokenUsage,
    ToolCall,
)
from mistral_nb.counted import counted
from mistral_nb.errors import ConnectionLost, InvalidAnswer, WrongEndpoint

_AGAIN = "Send it again; if it stays so, check that the endpoint speaks Mistral's API."


def json_object(body: bytes | str) -> dict[str, Any]:
    """Return the JSON object that `body` is.

    Raises
    ------
    ConnectionLost
        The text ends before the object does, or is empty.
    WrongEndpoint
        It is a web page.
    InvalidAnswer
        It is no JSON, or no object.
    """
    text = (body.decode("utf-8", "replace") if isinstance(body, bytes) else body).strip()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(text, error) from None
    if not isinstance(data, dict):
        raise InvalidAnswer(f"The answer is no JSON object: {_shortened(text)}", _AGAIN)
    return data


def _unreadable(text: str, error: Exception) -> ConnectionLost | InvalidAnswer | WrongEndpoint:
    if text.startswith("<"):
        return WrongEndpoint(
            f"The endpoint answered with a web page: {_shortened(text)}",
            "Give the address of the API itself, e.g. mistral_nb.configure(endpoint='https://api.mistral.ai').",
        )
    is_cut = not text.endswith("}") or (isinstance(error, json.JSONDecodeError) and error.pos >= len(text))
    if not text or (text.startswith("{") and is_cut):
        return ConnectionLost(f"The answer breaks off after {counted(len(text), 'character')}.", "Send it again.")
    return InvalidAnswer(f"The answer is no JSON: {_shortened(text)}", _AGAIN)


def completion_from(data: Mapping[str, Any], *, model: str) -> Completion:
    """Return the completion that a chat or fill-in-the-middle response holds; of several choices the first, which has the others.

    Parameters
    ----------
    data
        The response's JSON object.
    model
        The model that was asked, for a response that does not name one.
    """
    choice = _first(data, "choices", model=model)
    others = [_choice_from(data, other, model=model) for other in data["choices"][1:] if isinstance(other, Mapping)]
    return _choice_from(
        data,
        choice,
        model=model,
        usage=usage_from(data.get("usage")),
        response_id=_text_or_none(data.get("id")),
        other_choices=tuple(others),
    )


def _choice_from(data: Mapping[str, Any], choice: Mapping[str, Any], *, model: str, **of_first: Any) -> Completion:
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise _shape_error(data, "choices[].message")
    text, thinking = message_text(message)
    calls = tool_calls_from(message.get("tool_calls"))
    return Completion(
        text=text,
        thinking=thinking,
        tool_calls=calls,
        model=str(data.get("model") or model),
        finish_reason=str(choice.get("finish_reason") or ("tool_calls" if calls else "stop")),
        token_log_probabilities=_token_log_probabilities(logprobs) if (logprobs := choice.get("logprobs")) else (),
        **of_first,
    )


def _token_log_probabilities(logprobs: Any) -> tuple[TokenLogProbability, ...]:
    """Return what a choice says of its tokens (``ChatCompletionResponseChoiceLogprobs`` of SDK 3.7.0), if anything."""
    tokens = [token for token in _list(_object(logprobs).get("content")) if isinstance(token, Mapping)]
    return tuple(
        TokenLogProbability(
            token=str(token.get("token", "")),
            log_probability=float(token.get("logprob", 0.0)),
            likeliest={str(other["token"]): float(other["logprob"]) for other in _list(token.get("top_logprobs"))},
        )
        for token in tokens
    )


def message_text(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text and the thinking of a message or of a stream's delta.

    Mistral sends thinking as chunks of the content; vLLM and llama.cpp send it beside the content, as `reasoning_content`.
    """
    text, thinking = _flattened(message.get("content"))
    beside = message.get("reasoning_content") or message.get("reasoning")
    return text, thinking + (beside if isinstance(beside, str) else "")


def _flattened(content: Any) -> tuple[str, str]:
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, Sequence):
        return "", ""
    texts: list[str] = []
    thoughts: list[str] = []
    for chunk in content:
        if isinstance(chunk, str):
            texts.append(chunk)
        elif isinstance(chunk, Mapping) and chunk.get("type") == "thinking":
            thoughts.append(_flattened(chunk.get("thinking"))[0])
        elif isinstance(chunk, Mapping) and isinstance(chunk.get("text"), str):
            texts.append(chunk["text"])
    return "".join(texts), "".join(thoughts)


def tool_calls_from(calls: Any) -> tuple[ToolCall, ...]:
    """Return the tool calls of a message, each with its arguments as JSON text."""
    return tuple(
        ToolCall(
            id=str(call.get("id") or ""),
            name=str(function.get("name") or ""),
            arguments=arguments_text(function.get("arguments")),
        )
        for call in _list(calls)
        if isinstance(call, Mapping) and isinstance(function := call.get("function"), Mapping)
    )


def arguments_text(arguments: Any) -> str:
    """Return the arguments of a call as JSON text, as the model wrote it where it came as text."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else json.dumps(arguments, ensure_ascii=False)


def usage_from(usage: Any) -> TokenUsage:
    """Return the tokens that a response says it used; zero where it does not say."""
    if not isinstance(usage, Mapping):
        return TokenUsage()
    cached = _object(usage.get("prompt_tokens_details")).get("cached_tokens")
    return TokenUsage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        # Until early 2026 the API sent `num_cached_tokens`, since then `prompt_tokens_details`.
        cached_tokens=_count(cached if cached is not None else usage.get("num_cached_tokens")),
        is_priority=usage.get("service_tier") == "priority",
    )


def inputs_answer_from(data: Mapping[str, Any], request: InputsRequest) -> InputsAnswer:
    """Return the results of an embeddings or moderations response, in the order of the request's inputs."""
    results: Sequence[Any]
    if request.endpoint == "embeddings":
        results = embeddings_from(data, model=request.model, expected=len(request.inputs)).vectors
    else:
        results = moderations_from(data, model=request.model, expected=len(request.inputs))
    return InputsAnswer(
        results=tuple(results),
        model=str(data.get("model") or request.model),
        usage=usage_from(data.get("usage")),
        response_id=_text_or_none(data.get("id")),
    )


def embeddings_from(data: Mapping[str, Any], *, model: str, expected: int) -> Embeddings:
    """Return the vectors of an embeddings response, in the order of the texts; `expected` is how many texts were sent."""
    items = data.get("data")
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise _shape_error(data, "data")
    if len(items) != expected:
        raise InvalidAnswer(f"{counted(expected, 'text')} sent, {counted(len(items), 'vector')} came back.", _AGAIN)
    indices = [item.get("index", place) for place, item in enumerate(items)]
    if sorted(indices, key=str) == sorted(range(expected), key=str):
        items = [item for _, item in sorted(zip(indices, items, strict=True), key=lambda pair: pair[0])]
    vectors = [_numbers(item.get("embedding")) for item in items]
    if not all(vectors):
        raise _shape_error(data, "data[].embedding")
    return Embeddings(
        vectors=tuple(vectors), model=str(data.get("model") or model), usage=usage_from(data.get("usage"))
    )


def moderations_from(data: Mapping[str, Any], *, model: str, expected: int) -> list[Moderation]:
    """Return one moderation per text, in the order of the texts."""
    results = data.get("results")
    if not isinstance(results, list) or not all(isinstance(item, Mapping) for item in results):
        raise _shape_error(data, "results")
    if len(results) != expected:
        raise InvalidAnswer(f"{counted(expected, 'text')} sent, {counted(len(results), 'result')} came back.", _AGAIN)
    return [
        Moderation(
            flagged=_claims(item.get("categories")),
            scores={
                name: float(score)
                for name, score in _object(item.get("category_scores")).items()
                if isinstance(score, int | float)
            },
            model=str(data.get("model") or model),
        )
        for item in results
    ]


def models_from(data: Mapping[str, Any]) -> list[ModelCard]:
    """Return the models that an endpoint lists, in its order."""
    items = data.get("data")
    if not isinstance(items, list):
        raise _shape_error(data, "data")
    return [
        ModelCard(
            id=str(item["id"]),
            aliases=tuple(str(alias) for alias in _list(item.get("aliases"))),
            max_context_length=_count(item.get("max_context_length")) or None,
            capabilities=_claims(item.get("capabilities")),
            deprecation=_text_or_none(item.get("deprecation")),
            replacement=_text_or_none(item.get("deprecation_replacement_model")),
        )
        for item in items
        if isinstance(item, Mapping) and item.get("id")
    ]


def _first(data: Mapping[str, Any], name: str, *, model: str) -> Mapping[str, Any]:
    items = data.get(name)
    if isinstance(items, list) and items and isinstance(items[0], Mapping):
        return items[0]
    if any(sign in data for sign in ("error", "message", "detail")):
        raise error_from_frame(data, model=model)  # some proxies send an error with status 200
    raise _shape_error(data, name)


def _shape_error(data: Mapping[str, Any], missing: str) -> InvalidAnswer:
    return InvalidAnswer(f"The answer has no `{missing}`: {_shortened(json.dumps(data, ensure_ascii=False))}", _AGAIN)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _claims(value: Any) -> dict[str, bool]:
    return {name: bool(claim) for name, claim in _object(value).items()}


def _numbers(value: Any) -> tuple[float, ...]:
    """Return a vector; an empty one for what is none."""
    numbers = _list(value)
    return tuple(map(float, numbers)) if all(isinstance(number, int | float) for number in numbers) else ()


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _text_or_none(value: Any) -> str | None:
    return str(value) if value else None


def _shortened(text: str, characters: int = 200) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"
