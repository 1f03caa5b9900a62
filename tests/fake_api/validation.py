"""Which request bodies the API takes, field by field.

Keeps to itself: that the SDK's own request models do the checking, and what must be added to make them as strict as the
servers are. The models ignore unknown fields, take any string where the API has a fixed set, take `{}` for "unset", and
describe a problem by every branch of their unions.
Promises: `check_body` raises the 422 of the API, naming the field, or nothing. The validators are built once, at
import.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from mistralai.client import models
from mistralai.client.models.contentchunk import ContentChunk
from mistralai.client.types.basemodel import UnrecognizedStr, Unset
from pydantic import BaseModel, TypeAdapter, ValidationError

from tests.fake_api.errors import invalid_fields

JsonObject = dict[str, Any]
Problem = dict[str, Any]

_VALIDATORS: dict[str, TypeAdapter[Any]] = {
    "/v1/chat/completions": TypeAdapter(models.ChatCompletionRequest),
    "/v1/fim/completions": TypeAdapter(models.FIMCompletionRequest),
    "/v1/embeddings": TypeAdapter(models.EmbeddingRequest),
    "/v1/moderations": TypeAdapter(models.ClassificationRequest),
    "/v1/chat/moderations": TypeAdapter(models.ChatModerationRequest),
    "/v1/batch/jobs": TypeAdapter(models.CreateBatchJobRequest),
}

# From the published specification; the SDK's models leave the ranges to the server.
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 1.5),
    "top_p": (0, 1),
    "max_tokens": (0, float("inf")),
    "min_tokens": (0, float("inf")),
    "random_seed": (0, float("inf")),
    "n": (1, float("inf")),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "output_dimension": (1, float("inf")),
}

_CHUNKS: dict[str, type[BaseModel]] = {
    model.model_fields["type"].default: model
    for model in get_args(get_args(ContentChunk)[0])
    if model.model_fields["type"].default != "UNKNOWN"
}

# Names that pydantic gives to branches of unions; the API's own errors point at the field.
_UNION_BRANCH = re.compile(r"[\[(]|^Tool$")
_OTHER_BRANCHES = frozenset({"Unset", "ImageGenerationTool", "DocumentLibraryTool", "CustomConnector"})


def check_body(path: str, body: JsonObject | None, *, is_nested: bool = False) -> None:
    """Raise the API's 422 if `body` is not what the endpoint `path` takes; None stands for no JSON object at all."""
    problems = [_problem("json_invalid", "JSON decode error", {}, 0)] if body is None else _problems(path, body)
    if problems:
        raise invalid_fields(problems, is_nested=is_nested)


def _problems(path: str, body: JsonObject) -> list[Problem]:
    # The SDK's discriminator raises a bare ValueError for a message without a role; look before it does.
    problems = list(_messages_without_role(body))
    if problems:
        return problems
    try:
        request = _VALIDATORS[path].validate_python(body, extra="forbid", by_alias=True, by_name=False)
    except ValidationError as error:
        return list(_readable(error.errors(include_url=False, include_context=False)))
    return [
        *_out_of_range(body),
        *_empty_objects(body, request),
        *_unknown_words(request),
        *_bad_chunks(body),
        *_missing_schema(body),
    ]


def _readable(problems: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    """Keep the problems of the branch that was meant, with the place as the API names it."""
    for problem in problems:
        if _OTHER_BRANCHES.isdisjoint(problem["loc"]):
            loc = [part for part in problem["loc"] if isinstance(part, int) or not _UNION_BRANCH.search(part)]
            yield {"type": problem["type"], "loc": ["body", *loc], "msg": problem["msg"], "input": problem["input"]}


def _problem(kind: str, message: str, value: Any, *loc: str | int) -> Problem:
    return {"type": kind, "loc": ["body", *loc], "msg": message, "input": value}


def _messages_of(body: JsonObject) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every message with its place; a chat to moderate may be a list of lists."""
    for name in ("messages", "input"):
        messages = body.get(name)
        for index, message in enumerate(messages if isinstance(messages, list) else ()):
            if isinstance(message, list):
                yield from (((name, index, inner), found) for inner, found in enumerate(message))
            else:
                yield (name, index), message


def _messages_without_role(body: JsonObject) -> Iterator[Problem]:
    for loc, message in _messages_of(body):
        if isinstance(message, dict) and "role" not in message:
            text = "Unable to extract tag using discriminator 'role'"
            yield _problem("union_tag_not_found", text, message, *loc)
        elif loc[0] == "messages" and not isinstance(message, dict):
            yield _problem("model_attributes_type", "Input should be a valid dictionary", message, *loc)


def _out_of_range(body: JsonObject) -> Iterator[Problem]:
    for name in _RANGES.keys() & body.keys():
        value = body[name]
        low, high = _RANGES[name]
        if isinstance(value, int | float) and value < low:
            yield _problem("greater_than_equal", f"Input should be greater than or equal to {low:g}", value, name)
        elif isinstance(value, int | float) and value > high:
            yield _problem("less_than_equal", f"Input should be less than or equal to {high:g}", value, name)


def _empty_objects(body: JsonObject, request: BaseModel) -> Iterator[Problem]:
    """The SDK reads `{}` as its own "unset" object."""
    for name, value in body.items():
        if value == {} and isinstance(getattr(request, name, None), Unset):
            yield _problem("type_error", "Input should not be an empty object", value, name)


def _unknown_words(request: BaseModel) -> Iterator[Problem]:
    """The SDK takes words it does not know, so as to read what newer servers send; the server does not."""
    if not isinstance(request, models.ChatCompletionRequest):
        return
    words: list[tuple[tuple[str | int, ...], Any]] = [
        (("tool_choice",), request.tool_choice),
        (("reasoning_effort",), request.reasoning_effort),
        (("prompt_mode",), request.prompt_mode),
    ]
    if request.response_format is not None:
        words.append((("response_format", "type"), request.response_format.type))
    for loc, word in words:
        if isinstance(word, UnrecognizedStr):
            yield _problem("enum", f"Input should be a known value of {loc[-1]}", str(word), *loc)


def _bad_chunks(body: JsonObject) -> Iterator[Problem]:
    """The SDK takes unknown chunks, and unknown fields inside chunks, for the same reason."""
    for loc, message in _messages_of(body):
        content = message.get("content") if isinstance(message, dict) else None
        for index, chunk in enumerate(content if isinstance(content, list) else ()):
            place = (*loc, message["role"], "content", index)
            model = _CHUNKS.get(chunk.get("type"))
            if model is None:
                yield _problem("union_tag_invalid", f"Input tag '{chunk.get('type')}' is not known", chunk, *place)
                continue
            known = {field.alias or name for name, field in model.model_fields.items()}
            for name in chunk.keys() - known:
                yield _problem("extra_forbidden", "Extra inputs are not permitted", chunk[name], *place, name)


def _missing_schema(body: JsonObject) -> Iterator[Problem]:
    """A json_schema format without a schema (assumed to be a 422: nobody has pasted one)."""
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema" and not wanted.get("json_schema"):
        yield _problem("missing", "Field required", wanted, "response_format", "json_schema")
