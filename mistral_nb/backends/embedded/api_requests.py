"""What a client may ask of the embedded server, field by field.

Keeps to itself: the fields of Mistral's API, which of them a small local model can honour, and the rules for messages.
Promises: a request that passed holds only what will be honoured, or what changes nothing but speed and billing; anything else is an
`ApiProblem` with the status and the body that the API itself would send.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

TOOL_CALL_ID = re.compile(r"[a-zA-Z0-9]{9}")
WITH_A_KEY = "A hosted model can: set MISTRAL_API_KEY."
_SHOWN_INPUT_CHARACTERS = 200

# Asked for, these would change the answer or protect from it, and can't be done here.
_NEEDS_HOSTED_MODEL = {
    "safe_prompt": "has no safety prompt",
    "guardrails": "has no guardrails",
    "logprobs": "returns no log-probabilities",
    "top_logprobs": "returns no log-probabilities",
    "prompt_logprobs": "returns no log-probabilities",
    "top_prompt_logprobs": "returns no log-probabilities",
    "prompt_mode": "has no reasoning mode",
    "reasoning_effort": "has no reasoning mode",
    "min_tokens": "has no minimal length",
}


class ApiProblem(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


def bad_request(message: str, *, kind: str = "invalid_request_error", code: str | None = None) -> ApiProblem:
    """Return a 400 in the API's shape."""
    body = {"object": "error", "message": message, "type": kind, "param": None, "code": code, "raw_status_code": 400}
    return ApiProblem(400, body)


def unknown_model(message: str) -> ApiProblem:
    """Return what the API says of a model that it does not have."""
    return bad_request(message, kind="invalid_model", code="1500")


def too_long(*, prompt_tokens: int, context_tokens: int) -> ApiProblem:
    """Return what the API says of a prompt that does not fit."""
    return bad_request(
        f"Prompt contains {prompt_tokens} tokens and 0 draft tokens, too large for model with {context_tokens} maximum "
        "context length",
        kind="invalid_request_invalid_args",
        code="3051",
    )


def unprocessable(location: tuple[str | int, ...], message: str, *, kind: str = "value_error") -> ApiProblem:
    """Return a 422 that names one field."""
    return _rejected_fields([{"type": kind, "loc": ["body", *location], "msg": message}])


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Chunk(BaseModel):
    """A part of a message's content; kinds other than text are refused by name, whatever else they hold."""

    model_config = ConfigDict(extra="allow")
    type: str = "text"
    text: str = ""


Content = str | list[Chunk] | None


class FunctionCall(_Strict):
    name: str
    arguments: str | dict[str, Any]


class CalledTool(_Strict):
    id: str = "null"
    type: Literal["function"] = "function"
    function: FunctionCall
    index: int = 0


class Message(_Strict):
    role: Literal["system", "user", "assistant", "tool"]
    content: Content = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    prefix: bool = False

    def text(self) -> str:
        """Return the content as one text; thinking is left out."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(chunk.text for chunk in self.content if chunk.type == "text")


class FunctionDefinition(_Strict):
    name: str = Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")
    description: str = ""
    strict: bool = False
    parameters: dict[str, Any] = Field(default_factory=dict)


class ToolDefinition(_Strict):
    type: Literal["function"] = "function"
    function: FunctionDefinition


class ChosenFunction(_Strict):
    name: str


class ChosenTool(_Strict):
    type: Literal["function"] = "function"
    function: ChosenFunction


class SchemaFormat(_Strict):
    name: str
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(_Strict):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: SchemaFormat | None = None


class _Sampling(_Strict):
    model: str
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    min_tokens: int | None = None
    stream: bool = False
    stop: str | list[str] | None = None
    random_seed: int | None = Field(default=None, ge=0, lt=2**32 - 1)
    metadata: dict[str, Any] | None = None
    prompt_cache_key: str | None = None

    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())


class ChatRequest(_Sampling):
    messages: list[Message] = Field(min_length=1)
    response_format: ResponseFormat = ResponseFormat()
    tools: list[ToolDefinition] | None = None
    tool_choice: Literal["auto", "none", "any", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool = True
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: float | None = Field(default=None, gt=0)
    top_k: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1, le=16)
    prediction: Any = None
    service_tier: str | None = None
    safe_prompt: bool = False
    guardrails: list[Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    prompt_logprobs: bool | None = None
    top_prompt_logprobs: int | None = None
    prompt_mode: str | None = None
    reasoning_effort: str | None = None


class FillInMiddleRequest(_Sampling):
    prompt: str
    suffix: str | None = None


class EmbeddingsRequest(_Strict):
    model: str
    input: str | list[str]
    metadata: dict[str, Any] | None = None
    output_dimension: int | None = None
    output_dtype: Literal["float"] | None = None
    encoding_format: Literal["float"] | None = None

    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class LabelChoiceRequest(_Strict):
    model: str
    text: str
    labels: list[str] = Field(min_length=2)
    hints: list[list[str]] = []
    other: str | None = None
    is_several: bool = False


_Request = TypeVar("_Request", bound=BaseModel)


def read_request(kind: type[_Request], body: bytes) -> _Request:
    """Return the request that a body holds.

    Raises
    ------
    ApiProblem
        422 with every field that is unknown, missing or wrong, as the API words it; or with the field that needs a hosted model.
    """
    try:
        request = kind.model_validate_json(body)
    except ValidationError as error:
        raise _rejected_fields(
            [
                {
                    "type": problem["type"],
                    "loc": ["body", *problem["loc"]],
                    "msg": problem["msg"],
                    "input": _shown(problem["input"]),
                }
                for problem in error.errors(include_url=False, include_context=False)
            ]
        ) from None
    for name, reason in _NEEDS_HOSTED_MODEL.items():
        value = getattr(request, name, None)
        if value and value != "none":
            raise unprocessable((name,), f"The local model {reason}. {WITH_A_KEY}")
    return request


def check_messages(messages: list[Message]) -> None:
    """Refuse what the API would refuse: an order of roles, an id, or a content that no text model reads."""
    for index, message in enumerate(messages):
        for part, chunk in enumerate(message.content if isinstance(message.content, list) else ()):
            if chunk.type not in {"text", "thinking"}:
                raise unprocessable(
                    ("messages", index, "content", part, "type"),
                    f"The local model reads text only, not '{chunk.type}'. {WITH_A_KEY}",
                )
        before = messages[index - 1].role if index else None
        if before == "tool" and message.role in {"user", "system"}:
            raise bad_request(
                f"Unexpected role '{message.role}' after role 'tool'", kind="invalid_request_message_order", code="3230"
            )
        for identifier in [call.id for call in message.tool_calls or ()] + [message.tool_call_id or "000000000"]:
            if not TOOL_CALL_ID.fullmatch(identifier):
                raise bad_request(
                    f"Tool call id was {identifier} but must be a-z, A-Z, 0-9, with a length of 9.",
                    kind="invalid_function_call",
                    code="3280",
                )
    last = messages[-1]
    if last.role == "system" or (last.role == "assistant" and not last.prefix):
        raise bad_request(
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got " + last.role,
            kind="invalid_request_message_order",
            code="3230",
        )


def _rejected_fields(problems: list[dict[str, Any]]) -> ApiProblem:
    return ApiProblem(
        422,
        {
            "object": "error",
            "message": {"detail": problems},
            "type": "invalid_request_error",
            "param": None,
            "code": None,
            "raw_status_code": 422,
        },
    )


def _shown(value: Any) -> Any:
    """Return a rejected value, unless it is no JSON, or showing it would send the client's whole data back."""
    return value if not isinstance(value, bytes) and len(repr(value)) <= _SHOWN_INPUT_CHARACTERS else "…"
