"""Tool calls from models that were hardly taught to make them.

Keeps to itself: the questions that are asked in place of the engine's own tool calling, which drops the tools, does not enforce a
choice and misses fenced answers with these models: first which function, then its arguments, each held to a schema.
Promises: a call names one of the request's functions, its arguments are JSON for that function's schema, and its id is nine letters
or digits; where a call was demanded, there is one. At most one call per answer.
"""

import json
import re
import secrets
import string
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import Any

from mistral_nb.backends.embedded.api_requests import ChatRequest, ChosenTool, FunctionDefinition, bad_request
from mistral_nb.backends.embedded.chat import Piece, Usage, engine_request, plain_answer, reply, schema_format
from mistral_nb.backends.embedded.engine import ChatEngine
from mistral_nb.backends.embedded.json_schemas import bounded

NO_FUNCTION = "none"
ARGUMENT_CHARACTERS = 100
NAME_TOKENS = 60
ARGUMENTS_TOKENS = 400
_ID_CHARACTERS = string.ascii_letters + string.digits
# Where a call may begin; from there on the text is held back until it is known to be none. "Calling f({…})" is how the conversation
# tells earlier calls (`flattened`), and what small models then write in place of a call.
_MAY_BEGIN_CALL = re.compile(r"[{<`]|\bCalling\b")
_NAME_BEFORE_ARGUMENTS = re.compile(r"\bCalling ([\w-]{1,64})\($")
_LONGEST_NAME_BEFORE_ARGUMENTS = len("Calling (") + 64


async def answer(engine: ChatEngine, request: ChatRequest, *, choice_index: int = 0) -> AsyncGenerator[Piece]:
    """Yield the answer to a chat request: a tool call where the request or the model wants one, otherwise text."""
    functions = _offered(request)
    if not functions:
        pieces = plain_answer(engine, request, choice_index=choice_index)
    elif request.tool_choice not in (None, "auto"):
        pieces = _demanded_call(engine, request, functions)
    elif engine.traits.tool_template and request.response_format.type == "text":
        pieces = _template_call(engine, request, functions, choice_index)
    else:
        pieces = _routed_call(engine, request, functions, choice_index)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


def _offered(request: ChatRequest) -> dict[str, FunctionDefinition]:
    """Return the functions that may be called, by name."""
    functions = {tool.function.name: tool.function for tool in request.tools or ()}
    choice = request.tool_choice
    if choice == "none":
        return {}
    if isinstance(choice, ChosenTool):
        name = choice.function.name
        if name not in functions:
            raise bad_request(f"tool_choice names the function '{name}', which is not among the tools.")
        return {name: functions[name]}
    if not functions and choice in {"any", "required"}:
        raise bad_request(f"tool_choice is '{choice}', but there are no tools.")
    return functions


async def _demanded_call(
    engine: ChatEngine, request: ChatRequest, functions: Mapping[str, FunctionDefinition]
) -> AsyncGenerator[Piece]:
    names, usage = list(functions), Usage()
    if len(names) > 1:
        chosen, usage = await _ask_function(engine, request, functions, "Which function answers this message?", names)
        names = [chosen]
    yield await _called(engine, request, functions[names[0]], usage)


async def _routed_call(
    engine: ChatEngine, request: ChatRequest, functions: Mapping[str, FunctionDefinition], choice_index: int
) -> AsyncGenerator[Piece]:
    """Ask first whether any function is wanted. After a function's result it is not: these models would call for ever."""
    usage = Usage()
    if request.messages[-1].role == "user":
        question = (
            f'Which function answers this message? Reply "{NO_FUNCTION}" for greetings, general knowledge and writing.'
        )
        chosen, usage = await _ask_function(engine, request, functions, question, [*functions, NO_FUNCTION])
        if chosen != NO_FUNCTION:
            yield await _called(engine, request, functions[chosen], usage)
            return
    async with aclosing(plain_answer(engine, request, choice_index=choice_index)) as pieces:
        async for piece in pieces:
            yield _with_usage(piece, usage)


async def _template_call(
    engine: ChatEngine, request: ChatRequest, functions: Mapping[str, FunctionDefinition], choice_index: int
) -> AsyncGenerator[Piece]:
    """Let the model's own template offer the tools, and look for a call in whatever form it comes."""
    offer = [
        {"type": "function", "function": function.model_dump(exclude={"strict"})} for function in functions.values()
    ]
    words = {**engine_request(request, choice_index=choice_index), "tools": offer}
    text, shown, read_by_engine = "", 0, {"name": "", "arguments": ""}
    async with aclosing(reply(engine, words)) as pieces:
        async for piece in pieces:
            if piece.tool_call is not None:
                part = piece.tool_call.get("function") or {}
                read_by_engine["name"] += part.get("name") or ""
                read_by_engine["arguments"] += part.get("arguments") or ""
            text += piece.text
            start = _MAY_BEGIN_CALL.search(text)
            end = start.start() if start else len(text)
            if end > shown:
                yield Piece(text=text[shown:end])
                shown = end
            if piece.finish_reason is not None:
                last = piece
    call = find_call(json.dumps(read_by_engine) if read_by_engine["name"] else text, functions.keys())
    if call is not None and _was_made_before(call, request):
        async with aclosing(plain_answer(engine, request, choice_index=choice_index)) as pieces:
            async for piece in pieces:
                yield _with_usage(piece, last.usage)
    elif call is not None:
        yield Piece(tool_call=_tool_call(*call))
        yield Piece(finish_reason="tool_calls", usage=last.usage)
    else:
        yield Piece(text=text[shown:])
        yield last


def find_call(text: str, names: Collection[str]) -> tuple[str, dict[str, Any]] | None:
    """Return function and arguments of the first call in a text: bare, fenced, tagged or told; None where there is none."""
    decoder = json.JSONDecoder()
    for brace in re.finditer(r"\{", text):
        begin = max(0, brace.start() - _LONGEST_NAME_BEFORE_ARGUMENTS)
        told = _NAME_BEFORE_ARGUMENTS.search(text, begin, brace.start())
        try:
            value, _ = decoder.raw_decode(text, brace.start())
            if told is not None and told[1] in names:
                return told[1], value
            arguments = value.get("arguments", value.get("parameters", {}))
            arguments = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
        except (ValueError, RecursionError):
            continue
        name = value.get("name")
        if isinstance(name, str) and name in names and isinstance(arguments, dict):
            return name, arguments
    return None


async def _ask_function(
    engine: ChatEngine,
    request: ChatRequest,
    functions: Mapping[str, FunctionDefinition],
    question: str,
    names: list[str],
) -> tuple[str, Usage]:
    schema = {
        "type": "object",
        "properties": {"function": {"enum": names}},
        "required": ["function"],
        "additionalProperties": False,
    }
    text, usage = await _ask(engine, request, functions, question, schema, max_tokens=NAME_TOKENS)
    try:
        return str(json.loads(text)["function"]), usage
    except ValueError:  # the name is longer than an answer may be: no reason to fail
        return names[0], usage


async def _called(engine: ChatEngine, request: ChatRequest, function: FunctionDefinition, usage: Usage) -> Piece:
    """Return the last piece of an answer that calls this function."""
    schema = {"type": "object", "properties": {}, **function.parameters}
    if not schema["properties"]:
        return Piece(tool_call=_tool_call(function.name, {}), finish_reason="tool_calls", usage=usage)
    schema = bounded(schema, max_string_characters=ARGUMENT_CHARACTERS)
    schema.setdefault("required", list(schema["properties"]))
    schema["additionalProperties"] = False
    question = f"Give the arguments for {function.name} as JSON, taken from the message."
    text, used = await _ask(engine, request, {function.name: function}, question, schema, max_tokens=ARGUMENTS_TOKENS)
    usage += used
    try:
        return Piece(tool_call=_tool_call(function.name, json.loads(text)), finish_reason="tool_calls", usage=usage)
    except ValueError:
        call = {**_tool_call(function.name, {}), "function": {"name": function.name, "arguments": text}}
        return Piece(tool_call=call, finish_reason="length", usage=usage)


async def _ask(
    engine: ChatEngine,
    request: ChatRequest,
    functions: Mapping[str, FunctionDefinition],
    question: str,
    schema: Mapping[str, Any],
    *,
    max_tokens: int,
) -> tuple[str, Usage]:
    """Put a question about the last message, and return the answer, which fits the schema."""
    messages = [message for message in engine_request(request)["messages"] if message["role"] != "system"]
    listed = "\n".join(f"- {_described(function)}" for function in functions.values())
    asked = {"role": "user", "content": f"Message: {messages[-1]['content']}\n\n{question}"}
    words = {
        "messages": [{"role": "system", "content": f"Functions:\n{listed}"}, *messages[:-1], asked],
        "temperature": 0,
        "max_tokens": max_tokens,
        **schema_format(schema),
    }
    text, usage = "", Usage()
    async with aclosing(reply(engine, words)) as pieces:
        async for piece in pieces:
            text += piece.text
            usage += piece.usage
    return text, usage


def _described(function: FunctionDefinition) -> str:
    arguments = ", ".join(function.parameters.get("properties", {}))
    return f"{function.name}: {function.description} args: {arguments}"


def _was_made_before(call: tuple[str, dict[str, Any]], request: ChatRequest) -> bool:
    """Whether the conversation has this call already: small models repeat it, or add the result to it, instead of reading that."""
    name, arguments = call
    made = [
        call.function for message in request.messages for call in message.tool_calls or () if call.function.name == name
    ]
    before = [_parsed(function.arguments) for function in made]
    return any(isinstance(earlier, dict) and earlier.items() <= arguments.items() for earlier in before)


def _parsed(arguments: str | dict[str, Any]) -> Any:
    try:
        return json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments


def _tool_call(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    identifier = "".join(secrets.choice(_ID_CHARACTERS) for _ in range(9))
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": identifier, "type": "function", "function": function, "index": 0}


def _with_usage(piece: Piece, usage: Usage) -> Piece:
    """Add what an earlier step used to the last piece."""
    if piece.finish_reason is None:
        return piece
    return Piece(text=piece.text, finish_reason=piece.finish_reason, usage=piece.usage + usage)
