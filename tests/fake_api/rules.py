"""What the model says: one rule for each kind of request, so that a test knows the right answer beforehand.

Keeps to itself: every choice a model would make. Promises: pure functions; the same request always gets the same
answer.

Tokens      4 characters are a token, rounded up; each message costs 4 more. Usage and limits count the same way.
Text        ``Answer to: <first 12 words of the last user message>``; choice 2 of `n` begins with ``Answer 2 to:``.
            After a tool message: ``The tool says: <its content>``. After a prefix: the prefix, then the answer.
JSON mode   ``{"answer": <the text above>}``.
Schema      Filled from the last user message, see `schema_rules`.
Tools       `any`, `required` or a named tool: always a call. `auto`: a call when the last message is the user's and
            has the tool's name in it. Several named tools are several calls, unless `parallel_tool_calls` is false.
            Arguments are filled from the parameter schema as above; ids are 9 letters and digits, different in each
            turn.
Thinking    With `reasoning_effort` (not "none") or `prompt_mode`: ``Thinking about: <first 6 words>`` comes first.
Length      `max_tokens` cuts (thinking counts), and so does the context window; `stop` cuts before the stop text.
FIM         ``# fills <last line of the prompt> [to <first line of the suffix>]``.
Embeddings  A unit vector: each word adds 1 or -1 at a place its hash chooses, so texts that share words are similar.
Logprobs    Tokens are words and what is between them. The key of a label has probability 0.9 where the text says a label, else
            twice that of each other key; all other tokens are certain.
Moderation  A category is flagged (score 0.98) by its words in `FLAGGING_WORDS`, else its score is below 0.01.
"""

import base64
import hashlib
import json
import math
import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

from tests.fake_api.recorder import plain, text_of
from tests.fake_api.schema_rules import Legend, fill, rows_in
from tests.fake_api.wire import Choice

JsonObject = Mapping[str, Any]

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4

PROBABILITY_OF_WHAT_IS_SAID = 0.9

# The categories of mistral-moderation-2603, which split the older "dangerous_and_criminal_content" in two.
FLAGGING_WORDS: dict[str, tuple[str, ...]] = {
    "sexual": ("sex", "nude"),
    "hate_and_discrimination": ("hate", "inferior"),
    "violence_and_threats": ("kill", "attack", "punch"),
    "dangerous": ("explosive", "poison"),
    "criminal": ("steal", "launder"),
    "selfharm": ("suicide",),
    "health": ("diagnosis", "dosage"),
    "financial": ("invest", "stock"),
    "law": ("lawsuit", "lawyer"),
    "pii": ("passport", "password"),
    "jailbreaking": ("jailbreak",),
}


def count_tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def prompt_tokens(body: JsonObject) -> int:
    """Return what a chat request costs to read: its messages, tool definitions and schema."""
    total = 0
    for message in body["messages"]:
        total += TOKENS_PER_MESSAGE + count_tokens(plain(message.get("content")))
        for call in message.get("tool_calls") or ():
            arguments = call["function"]["arguments"]
            total += count_tokens(arguments if isinstance(arguments, str) else json.dumps(arguments))
    for extra in (body.get("tools"), (body.get("response_format") or {}).get("json_schema")):
        if extra and not (extra is body.get("tools") and body.get("tool_choice") == "none"):
            total += count_tokens(json.dumps(extra))
    return total


def row_count(body: JsonObject) -> int:
    """Return how many rows a request carries: its inputs, or the rows packed into its last user message."""
    inputs = body.get("input")
    if isinstance(inputs, list):
        return len(inputs)
    return max(1, len(rows_in(text_of(body)))) if body.get("response_format") else 1


def is_thinking(body: JsonObject) -> bool:
    return body.get("reasoning_effort") not in (None, "none") or body.get("prompt_mode") == "reasoning"


def chat_choices(body: JsonObject, *, tokens_left: int) -> tuple[Choice, ...]:
    """Return the `n` choices of a chat completion, none longer than `max_tokens` or `tokens_left`."""
    return tuple(_choice(body, number, tokens_left) for number in range(body.get("n") or 1))


def _choice(body: JsonObject, number: int, tokens_left: int) -> Choice:
    user_text = text_of(body)
    tools = wanted_tools(body, user_text)
    if tools:
        calls = tuple(_tool_call(body, tool, index, user_text) for index, tool in enumerate(tools))
        return Choice(tool_calls=calls, finish_reason="tool_calls")
    thinking = f"Thinking about: {first_words(user_text, 6)}" if is_thinking(body) else None
    choice = cut(Choice(text=_text(body, number, user_text), thinking=thinking), body, tokens_left)
    return replace(choice, logprobs=log_probabilities(choice.text, body)) if body.get("logprobs") else choice


def _text(body: JsonObject, number: int, user_text: str) -> str:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        schema, legend = wanted["json_schema"]["schema"], Legend(_system_text(body))
        return json.dumps(fill(schema, user_text, salt=number, legend=legend), ensure_ascii=False)
    last = body["messages"][-1]
    said = f"Answer{f' {number + 1}' if number else ''} to: {first_words(user_text, 12)}"
    if last["role"] == "tool":
        said = f"The tool says: {'; '.join(_last_tool_results(body['messages']))}"
    if wanted.get("type") == "json_object":
        return json.dumps({"answer": said}, ensure_ascii=False)
    if last["role"] == "assistant":  # only a prefix can come last
        return plain(last.get("content")) + said
    return said


def _system_text(body: JsonObject) -> str:
    return "\n".join(plain(message.get("content")) for message in body["messages"] if message["role"] == "system")


def log_probabilities(text: str, body: JsonObject) -> list[JsonObject]:
    """Return each token of a text with the likeliest ones at its place: keys of a legend compete, all else is certain."""
    legend, said = Legend(_system_text(body)), text_of(body)
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema") or {}
    keys = schema.get("properties", {}).get("label", {}).get("enum", [])
    is_sure = legend.is_of(keys) and any(legend.is_said(key, said) for key in keys)
    chosen_share = PROBABILITY_OF_WHAT_IS_SAID if is_sure else 2 / (len(keys) + 1)
    tokens = []
    for token in re.findall(r"\w+|\W+", text):
        shares = {token: 1.0}
        if token in keys:
            shares |= {key: (1 - chosen_share) / (len(keys) - 1) for key in keys} | {token: chosen_share}
        likeliest = sorted(shares, key=shares.__getitem__, reverse=True)[: body.get("top_logprobs") or 0]
        tokens.append(
            _token(token, shares[token]) | {"top_logprobs": [_token(each, shares[each]) for each in likeliest]}
        )
    return tokens


def _token(token: str, share: float) -> JsonObject:
    return {
        "token": token,
        "logprob": math.log(share),
        "bytes": list(token.encode()),
        "token_id": crc32(token.encode()),
    }


def _last_tool_results(messages: Sequence[JsonObject]) -> list[str]:
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        results.insert(0, plain(message.get("content")))
    return results


def first_words(text: str, count: int) -> str:
    return " ".join(text.split(maxsplit=count)[:count])


def cut(choice: Choice, body: JsonObject, tokens_left: int) -> Choice:
    """Return the choice as `stop`, `max_tokens` and the context window leave it."""
    thinking, text, reason = choice.thinking, choice.text, choice.finish_reason
    stop = body.get("stop") or ()
    for ending in (stop,) if isinstance(stop, str) else stop:
        text = text.partition(ending)[0] if ending else text
    asked = body.get("max_tokens")
    limit = tokens_left if asked is None else min(asked, tokens_left)
    if count_tokens((thinking or "") + text) > limit:
        reason = "length" if limit == asked else "model_length"
        thinking = None if thinking is None else thinking[: limit * CHARACTERS_PER_TOKEN]
        text = text[: limit * CHARACTERS_PER_TOKEN - len(thinking or "")]
    return Choice(text=text, thinking=thinking, finish_reason=reason)


def completion_tokens(choices: Sequence[Choice]) -> int:
    return sum(
        count_tokens((choice.thinking or "") + choice.text)
        + sum(count_tokens(call["function"]["name"] + call["function"]["arguments"]) for call in choice.tool_calls)
        for choice in choices
    )


def wanted_tools(body: JsonObject, user_text: str) -> list[JsonObject]:
    """Return the functions the model calls in this turn."""
    functions = [tool["function"] for tool in body.get("tools") or ()]
    wish = body.get("tool_choice") or "auto"
    if not functions or wish == "none":
        return []
    if isinstance(wish, Mapping):
        return [function for function in functions if function["name"] == wish["function"]["name"]][:1]
    said = user_text.lower()
    named = [function for function in functions if _is_named(function["name"].lower(), said)]
    may_answer = wish == "auto"
    if may_answer and body["messages"][-1]["role"] != "user":
        return []
    chosen = named if may_answer else named or functions[:1]
    return chosen[:1] if body.get("parallel_tool_calls") is False else chosen


def _is_named(name: str, text: str) -> bool:
    return name in text or name.replace("_", " ") in text


def _tool_call(body: JsonObject, function: JsonObject, index: int, user_text: str) -> JsonObject:
    arguments = json.dumps(fill(function["parameters"], user_text), ensure_ascii=False)
    seed = f"{len(body['messages'])}:{index}:{function['name']}:{user_text}"
    return {
        "id": tool_call_id(seed),
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
        "index": index,
    }


def tool_call_id(seed: str) -> str:
    """Return 9 letters and digits."""
    digest = base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()
    return re.sub(r"[^a-zA-Z0-9]", "", digest)[:9]


def fim_choice(body: JsonObject, *, tokens_left: int) -> Choice:
    before = body["prompt"].rstrip().rpartition("\n")[2].strip()
    after = (body.get("suffix") or "").strip().partition("\n")[0].strip()
    text = f"# fills {before}" + (f" to {after}" if after else "")
    return cut(Choice(text=text), body, tokens_left)


def embed(text: str, dimension: int) -> list[float]:
    """Return the unit vector of a text."""
    vector = [0.0] * dimension
    for word, times in Counter(re.findall(r"\w+", text.lower())).items():
        hashed = crc32(word.encode())
        vector[(hashed >> 1) % dimension] += times if hashed & 1 else -times
    length = math.sqrt(sum(value * value for value in vector))
    if not length:  # no words, or words that cancel out
        vector[0] = length = 1.0
    return [value / length for value in vector]


def encode_embedding(vector: Sequence[float], dtype: str, encoding: str) -> list[float] | list[int] | str:
    """Return the vector in the asked `output_dtype` and `encoding_format`."""
    if dtype in ("binary", "ubinary"):
        bits = "".join("1" if value > 0 else "0" for value in vector).ljust(-(-len(vector) // 8) * 8, "0")
        shift = 128 if dtype == "binary" else 0
        packed: list[Any] = [int(bits[at : at + 8], 2) - shift for at in range(0, len(bits), 8)]
        code = "b" if dtype == "binary" else "B"
    elif dtype == "float":
        packed, code = list(vector), "f"
    else:
        shift = 128 if dtype == "uint8" else 0
        packed, code = [round(value * 127) + shift for value in vector], "B" if shift else "b"
    return base64.b64encode(struct.pack(f"<{len(packed)}{code}", *packed)).decode() if encoding == "base64" else packed


def moderate(text: str) -> dict[str, dict[str, Any]]:
    """Return the categories and scores of a text."""
    words = set(re.findall(r"\w+", text.lower()))
    flagged = {category: not words.isdisjoint(signs) for category, signs in FLAGGING_WORDS.items()}
    scores = {
        category: 0.98 if is_flagged else crc32(f"{category}:{text}".encode()) % 1000 / 100_000
        for category, is_flagged in flagged.items()
    }
    return {"categories": flagged, "category_scores": scores}
