"""The pure part of the hosted backend: bytes to events, events to deltas, JSON to records."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_nb.backends.answers import (
    completion_from,
    embeddings_from,
    json_object,
    message_text,
    models_from,
    moderations_from,
    usage_from,
)
from mistral_nb.backends.event_stream import Event, EventDecoder, StreamedAnswer
from mistral_nb.completion import TokenUsage, ToolCall
from mistral_nb.errors import ConnectionLost, MistralNotebookError
from tests.backends.hosting import chat_body

# Characters at which `str.splitlines` would split, but an event stream must not.
AWKWARD = "\u2028\u2029\x85\x0b\x0c\x1c"
line_texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1).map(lambda text: f"x{text}")
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "id", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
CALL = {"id": "abcdefghi", "index": 0, "function": {"name": "f", "arguments": "{}"}}
CONTENT = [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "b"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}
MESSAGE = {"role": "assistant", "content": CONTENT, "tool_calls": [CALL]}
BODIES: dict[str, dict[str, Any]] = {
    "chat": chat_body(usage=USAGE, choices=[{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]),
    "chunk": {
        "id": "1",
        "model": "m",
        "choices": [{"index": 0, "delta": MESSAGE, "finish_reason": "x"}],
        "usage": USAGE,
    },
    "embeddings": {"model": "m", "usage": USAGE, "data": [{"index": 0, "embedding": [1.0, 2.0]}]},
    "moderations": {"model": "m", "results": [{"categories": {"x": True}, "category_scores": {"x": 0.5}}]},
    "models": {"data": [{"id": "m", "aliases": ["n"], "capabilities": {"vision": True}, "max_context_length": 9}]},
}


def places_in(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every part of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (key,)
        yield from ((key, *rest) for rest in places_in(part))


def with_part(value: Any, place: tuple[Any, ...], part: Any) -> Any:
    """Return the JSON value with the part at a path replaced."""
    changed = value.copy()
    changed[place[0]] = part if len(place) == 1 else with_part(value[place[0]], place[1:], part)
    return changed


def broken(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Make bodies of a kind with one part replaced by anything."""
    body = BODIES[kind]
    return st.builds(with_part, st.just(body), st.sampled_from(list(places_in(body))), any_json)


def decoded(pieces: list[bytes]) -> list[Event]:
    decoder = EventDecoder()
    return [*(event for piece in pieces for event in decoder.feed(piece)), *decoder.end()]


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@settings(deadline=None)
@given(
    texts=st.lists(line_texts, max_size=4),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    places=st.lists(st.integers(0, 1000), max_size=8),
)
def test_events_are_the_same_however_the_bytes_are_cut(texts: list[str], line_end: str, places: list[int]) -> None:
    body = "".join(f"data: {text}{line_end}{line_end}" for text in texts).encode()

    assert [event.data for event in decoded(cut(body, places))] == texts


def test_an_event_may_hold_any_character_but_a_line_end() -> None:
    events = decoded([f"data: {AWKWARD}\n\n".encode()])

    assert events == [Event(data=AWKWARD)]


def test_an_event_of_several_lines_is_joined_even_when_a_line_end_is_cut_in_two() -> None:
    events = decoded([b"\xef\xbb\xbfevent: note\r", b"\ndata: one\r", b"\ndata:two\r\n: a comment\r\nid: 7\r\n\r\n"])

    assert events == [Event(data="one\ntwo", name="note")]


def test_the_last_event_needs_no_empty_line() -> None:
    assert decoded([b"data: [DONE]"]) == [Event(data="[DONE]")]


def streamed(*chunks: Any) -> StreamedAnswer:
    answer = StreamedAnswer(model="asked")
    for chunk in chunks:
        answer.receive(Event(data=chunk if isinstance(chunk, str) else json.dumps(chunk)))
    return answer


def chunk(delta: dict[str, Any], *, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def call(arguments: Any, **more: Any) -> dict[str, Any]:
    name = more.pop("name", "")
    return {"tool_calls": [{"function": {"name": name, "arguments": arguments}, **more}]}


@settings(deadline=None)
@given(
    arguments=st.text(max_size=30), places=st.lists(st.integers(0, 100), max_size=5), index=st.sampled_from([0, None])
)
def test_a_tool_call_in_fragments_is_joined(arguments: str, places: list[int], index: int | None) -> None:
    edges = [0, *sorted(place % (len(arguments) + 1) for place in places), len(arguments)]
    parts = [arguments[start:end] for start, end in pairwise(edges)]
    at = {} if index is None else {"index": index}

    answer = streamed(
        chunk(call("", name="weather", id="abcdefghi", **at)),
        *(chunk(call(part, **at)) for part in parts),
        chunk({}, reason="tool_calls"),
    )

    assert answer.last().tool_calls == (ToolCall(id="abcdefghi", name="weather", arguments=arguments),)


def test_fragments_of_two_calls_may_alternate() -> None:
    answer = streamed(
        chunk(call("{", name="a", id="1", index=0)),
        chunk(call("[", name="b", id="2", index=1)),
        chunk(call("}", index=0)),
        chunk(call("]", index=1), reason="tool_calls"),
    )

    assert [(c.name, c.arguments) for c in answer.last().tool_calls] == [("a", "{}"), ("b", "[]")]


def test_whole_calls_that_all_have_the_index_zero_stay_apart() -> None:
    answer = streamed(
        chunk(call("{}", name="a", id="1", index=0)),
        chunk(call({"x": 1}, name="b", id="2", index=0), reason="tool_calls"),
    )

    assert [(c.name, c.arguments) for c in answer.last().tool_calls] == [("a", "{}"), ("b", '{"x": 1}')]


def test_usage_may_come_in_a_chunk_without_choices() -> None:
    answer = streamed(
        chunk({"content": "hi"}, reason="stop"), {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    )

    assert answer.last().usage == TokenUsage(prompt_tokens=3, completion_tokens=1)


def test_a_stream_that_says_done_without_a_reason_has_ended() -> None:
    assert streamed(chunk({"content": "hi"}), "[DONE]").last().finish_reason == "stop"


def test_a_named_error_event_is_an_error_even_when_it_is_plain_text() -> None:
    with pytest.raises(MistralNotebookError, match="it broke"):
        StreamedAnswer(model="m").receive(Event(data="it broke", name="error"))


@settings(deadline=None)
@given(part=broken("chunk"))
def test_a_stream_with_a_broken_part_gives_an_answer_or_our_error(part: dict[str, Any]) -> None:
    with suppress(MistralNotebookError):
        assert streamed(part, "[DONE]").last().finish_reason


@settings(deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["chat", "embeddings", "moderations", "models"])
def test_a_body_with_a_broken_part_gives_an_answer_or_our_error(kind: str, data: st.DataObject) -> None:
    body = data.draw(broken(kind))
    readers: dict[str, Callable[[], Any]] = {
        "chat": lambda: completion_from(body, model="m"),
        "embeddings": lambda: embeddings_from(body, model="m", expected=1),
        "moderations": lambda: moderations_from(body, model="m", expected=1),
        "models": lambda: models_from(body),
    }

    with suppress(MistralNotebookError):
        assert readers[kind]() is not None


@settings(deadline=None)
@given(place=st.integers(0, 10_000))
def test_a_body_that_is_cut_anywhere_is_a_lost_connection(place: int) -> None:
    body = json.dumps(chat_body(), ensure_ascii=False).encode()

    with pytest.raises(ConnectionLost):
        json_object(body[: place % len(body)])


@settings(deadline=None)
@given(pieces=st.lists(st.tuples(st.booleans(), st.text(max_size=5)), max_size=6))
def test_text_and_thinking_of_a_list_content_keep_their_order(pieces: list[tuple[bool, str]]) -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
        if is_thought
        else {"type": "text", "text": text}
        for is_thought, text in pieces
    ]

    assert message_text({"content": content}) == (
        "".join(text for is_thought, text in pieces if not is_thought),
        "".join(text for is_thought, text in pieces if is_thought),
    )


def test_thinking_beside_the_content_is_thinking_too() -> None:
    assert message_text({"content": "4", "reasoning_content": "2 + 2"}) == ("4", "2 + 2")


def test_chunks_that_are_no_text_are_left_out() -> None:
    assert message_text({"content": [{"type": "reference", "reference_ids": [1]}, "plain", None]}) == ("plain", "")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, 4),
        ({"prompt_tokens": 9, "num_cached_tokens": 5}, 5),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 0}, "num_cached_tokens": 5}, 0),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, 0),
        ({"prompt_tokens": 9, "num_cached_tokens": None}, 0),
    ],
)
def test_cached_tokens_are_found_where_they_are(usage: dict[str, Any], expected: int) -> None:
    assert usage_from(usage).cached_tokens == expected


def test_arguments_that_come_as_an_object_become_json_text() -> None:
    message = {"content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"city": "Köln"}}}]}
    body = chat_body(choices=[{"index": 0, "message": message, "finish_reason": None}])

    completion = completion_from(body, model="m")

    assert (completion.tool_calls[0].arguments, completion.finish_reason) == ('{"city": "Köln"}', "tool_calls")


def test_vectors_are_put_in_the_order_of_their_index() -> None:
    data = {"data": [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]}

    assert embeddings_from(data, model="m", expected=2).vectors == ((0.0,), (1.0,))


def test_a_model_card_keeps_what_a_choice_of_model_needs() -> None:
    card = models_from(
        {"data": [{"id": "m", "aliases": ["n"], "capabilities": {"vision": True}, "deprecation": "2027-01-01"}]}
    )

    assert (card[0].id, card[0].aliases, card[0].capabilities, card[0].deprecation) == (
        "m",
        ("n",),
        {"vision": True},
        "2027-01-01",
    )
