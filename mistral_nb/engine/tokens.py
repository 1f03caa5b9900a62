"""How many tokens a text or a request is: counted with Mistral's tokenizer, estimated, or bounded.

Keeps to itself: which models' tokenizer mistral-common brings along, and the tokens that Mistral's models put around messages.
Promises: a count that calls itself exact is Mistral's own; `most_…` is never below what the API counts; no network.

The counts were compared with 54 requests to mistral-small-latest, recorded 2026-08-19, that had no images or documents:
``usage.prompt_tokens`` was the same in all of them (system prompts, several turns, tools and their results, thinking).
"""

import json
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from itertools import groupby
from typing import Any

from mistral_nb import catalogue
from mistral_nb.completion import CompletionRequest, InputsRequest, JsonObject, RowRequest

# Tekken is the tokenizer of all of these, with one vocabulary (only control tokens differ); mistral-common ships it.
# Not here: models whose tokenizer Mistral has not published (codestral-2508, mistral-large-4-0).
_TEKKEN_MODELS = frozenset(
    {
        "ministral-14b-2512",
        "ministral-3b-2512",
        "ministral-8b-2512",
        "mistral-large-2512",
        "mistral-medium-3-5",
        "mistral-small-2603",
    }
)
# Models that reason on demand read {"reasoning_effort": …} before the first question, "none" included. Recorded for
# mistral-small-2603; of mistral-medium-3-5 it is only known that it takes the option.
_MODELS_WITH_SETTINGS = frozenset({"mistral-medium-3-5", "mistral-small-2603"})

# Measured with tekken on data/tickets.csv, which is English for the most part.
_CHARACTERS_PER_TOKEN = 3.8
# Per UTF-8 byte beyond the first of a character: what other scripts need on top (Cyrillic, Greek, Arabic), and what those
# without spaces do (Chinese, Japanese, Thai).
_TOKENS_PER_FURTHER_BYTE = 0.15
_TOKENS_PER_FURTHER_BYTE_WHERE_MOST_ARE = 0.25
_MOST_ARE = 1.7

_START = 1
_AROUND_A_BLOCK = 2  # [INST] … [/INST] and their like
_AFTER_AN_ANSWER = 1  # </s>
# Chat templates of other models write the role out: at most this much per message.
_MOST_AROUND_A_MESSAGE = 16
_REGEX_FAILS_BEYOND_CHARACTERS = 10_000

Count = Callable[[str], int]


def estimated_tokens(text: str) -> int:
    """Return about how many tokens Mistral's models make of the text; takes about a microsecond for a short one.

    Over data/tickets.csv as a whole (294 tickets, mostly English) it is 2 % high; half of the tickets are within 14 %, nine of
    ten within 30 %. Of a text with many numbers (a token per digit) or of source code it can be half.
    """
    characters = len(text)
    if text.isascii():
        return -int(-characters // _CHARACTERS_PER_TOKEN)
    further_bytes = most_tokens(text) - characters
    is_most = further_bytes > _MOST_ARE * characters
    per_byte = _TOKENS_PER_FURTHER_BYTE_WHERE_MOST_ARE if is_most else _TOKENS_PER_FURTHER_BYTE
    return -int(-(characters / _CHARACTERS_PER_TOKEN + further_bytes * per_byte) // 1)


def most_tokens(text: str) -> int:
    """Return a number of tokens that the text can't exceed: its UTF-8 bytes, as a byte-level tokenizer has no smaller token."""
    return len(text.encode("utf-8", "surrogatepass"))


class TokenCounter:
    """Tokens of texts and requests for one model; made with `token_counter`.

    Attributes
    ----------
    is_exact
        Whether texts are counted with the model's own tokenizer; otherwise every count is an estimate.
    """

    __slots__ = ("_count", "_count_repeated", "_has_settings", "_most", "_most_repeated", "is_exact")

    def __init__(self, count: Count | None, *, has_settings: bool) -> None:
        self.is_exact = count is not None
        self._count = count or estimated_tokens
        self._most = count or most_tokens
        self._has_settings = has_settings
        # Instructions, tools and schemas are the same in every row of a column.
        self._count_repeated = lru_cache(maxsize=128)(self._count)
        self._most_repeated = lru_cache(maxsize=128)(self._most)

    def text_tokens(self, text: str) -> int:
        """Return the tokens of a text alone, without what a message puts around it."""
        return self._count(text)

    def prompt_tokens(self, request: RowRequest) -> int:
        """Return the tokens the API will report as `prompt_tokens`.

        Messages with the control tokens around them, tools, and the settings line of models that have one. The schema of
        `response_format` is left out: in the two recordings there are (2026-08-19, one json_schema, one json_object) it was
        not counted. Whether that holds for every model is not known; `most_prompt_tokens` counts it. Images, audio and
        documents are not counted.
        """
        if isinstance(request, InputsRequest):
            return sum(self._count(text) + _START for text in request.inputs)
        settings = _settings(request) if self._has_settings and not _asks_for_json(request) else ""
        return self._tokens(request, self._count, self._count_repeated, settings=settings)

    def most_prompt_tokens(self, request: RowRequest) -> int:
        """Return a number that `prompt_tokens` of the answer will not exceed, e.g. to hold money or a limit for it.

        The schema of `response_format` is counted, and where the tokenizer is not known every byte is a token. (Other
        people's servers may add a system prompt of their own, which nobody can count.)
        """
        if isinstance(request, InputsRequest):
            return sum(self._most(text) + _MOST_AROUND_A_MESSAGE for text in request.inputs)
        tokens = self._tokens(request, self._most, self._most_repeated, settings=_settings(request))
        if request.response_format is not None:
            tokens += self._most_repeated(_json(request.response_format))
        return tokens if self.is_exact else tokens + _MOST_AROUND_A_MESSAGE * (1 + len(request.messages))

    def _tokens(self, request: CompletionRequest, count: Count, count_repeated: Count, *, settings: str) -> int:
        tokens = _START + (count_repeated(settings) + _AROUND_A_BLOCK if settings else 0)
        if request.tools and request.tool_choice != "none":
            tokens += count_repeated(_json([_declaration(tool) for tool in request.tools])) + _AROUND_A_BLOCK
            if isinstance(request.tool_choice, dict):  # the answer's start is given: [TOOL_CALLS]name[ARGS]
                tokens += count_repeated(request.tool_choice["function"]["name"]) + _AROUND_A_BLOCK
        for message in request.messages:
            tokens += _message_tokens(message, count_repeated if message["role"] == "system" else count)
        return tokens


def token_counter(model: str, *, is_hosted: bool = True) -> TokenCounter:
    """Return what counts tokens for a model: exactly where mistral-common is installed and has the model's tokenizer.

    Parameters
    ----------
    model
        Name, alias or short name.
    is_hosted
        Whether Mistral's own API answers. On other servers, a name says nothing about the tokenizer or the chat template, and
        the counts are estimates.

    Notes
    -----
    The first exact counter of a kernel takes a second or two, to load the vocabulary; later ones nothing. Then 100 000 texts of
    about 120 characters take about 5 seconds.
    """
    found = catalogue.find_model(model) if is_hosted else None
    name = found.name if found is not None else ""
    return _counter(is_tekken=name in _TEKKEN_MODELS, has_settings=name in _MODELS_WITH_SETTINGS)


@cache
def _counter(*, is_tekken: bool, has_settings: bool) -> TokenCounter:
    return TokenCounter(_tekken_count() if is_tekken else None, has_settings=has_settings)


@cache
def _tekken_count() -> Count | None:
    """Return what counts a text's tokens with tekken; None when mistral-common is not installed."""
    try:
        from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
    except ImportError:
        return None
    encode = MistralTokenizer.v3(is_tekken=True).instruct_tokenizer.tokenizer.encode

    def count(text: str) -> int:
        try:
            return len(encode(text, bos=False, eos=False))
        except ValueError:  # tekken's regular expression gives up on hundreds of thousands of spaces in a row
            size = _REGEX_FAILS_BEYOND_CHARACTERS
            return sum(len(encode(text[at : at + size], bos=False, eos=False)) for at in range(0, len(text), size))

    return count


def _message_tokens(message: JsonObject, count: Count) -> int:
    """Return the tokens of one message with those around it; its text stands alone between them, so that the sum is exact."""
    content = message.get("content")
    if isinstance(content, str) and message["role"] == "assistant":
        content = content.rstrip(" ")  # as mistral-common reads it
    tokens = count(content) if isinstance(content, str) else _chunk_tokens(content or (), count)
    for call in message.get("tool_calls") or ():
        function = call["function"]
        tokens += count(function["name"]) + count(_normal_json(function["arguments"])) + _AROUND_A_BLOCK
    if message["role"] == "assistant":
        return tokens + (0 if message.get("prefix") else _AFTER_AN_ANSWER)
    return tokens + _AROUND_A_BLOCK


def _chunk_tokens(chunks: Iterable[JsonObject], count: Count) -> int:
    """Return the tokens of the text and thinking chunks; texts that follow each other are read as one."""
    tokens = 0
    for kind, run in groupby(chunks, key=lambda chunk: chunk.get("type")):
        if kind == "text":
            tokens += count("".join(chunk["text"] for chunk in run))
        elif kind == "thinking":
            tokens += sum(_chunk_tokens(chunk["thinking"], count) + _AROUND_A_BLOCK for chunk in run)
    return tokens


def _settings(request: CompletionRequest) -> str:
    effort = request.options.get("reasoning_effort") or "none"
    return f'{{"reasoning_effort": "{effort}"}}'


def _asks_for_json(request: CompletionRequest) -> bool:
    return request.response_format is not None and request.response_format.get("type") != "text"


def _declaration(tool: JsonObject) -> dict[str, Any]:
    """Return the tool as the model reads it; what else the request says of it (e.g. `strict`) is left out."""
    function = tool["function"]
    shown = {
        "name": function["name"],
        "description": function.get("description", ""),
        "parameters": function.get("parameters"),
    }
    return {"type": "function", "function": shown}


def _normal_json(arguments: Any) -> str:
    """Return the arguments of a call as the model reads them: parsed and written again."""
    if not isinstance(arguments, str):
        return _json(arguments)
    try:
        return _json(json.loads(arguments))
    except ValueError:
        return arguments


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
