import pytest

from mistral_nb.completion import Completion, CompletionRequest, Delta, TokenUsage, ToolCall


def test_a_body_leaves_out_what_was_not_set() -> None:
    request = CompletionRequest(model="m", messages=({"role": "user", "content": "Hi"},))

    assert request.body() == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_body_carries_further_options_by_their_names() -> None:
    request = CompletionRequest(model="m", messages=(), temperature=0.0, stop=("END",), options={"safe_prompt": True})

    assert request.body() == {"model": "m", "messages": [], "temperature": 0.0, "stop": ["END"], "safe_prompt": True}


def test_usages_add_up() -> None:
    one = TokenUsage(prompt_tokens=5, completion_tokens=2, cached_tokens=1)

    assert one + one == TokenUsage(prompt_tokens=10, completion_tokens=4, cached_tokens=2)


def test_a_streamed_answer_is_the_sum_of_its_pieces() -> None:
    usage = TokenUsage(prompt_tokens=1, completion_tokens=2)
    answer = Completion(text="", model="m", finish_reason="")
    pieces = [
        Delta(thinking="hm", elapsed_seconds=0.5),
        Delta(text="Hel", elapsed_seconds=0.6),
        Delta(text="lo", finish_reason="stop", usage=usage, elapsed_seconds=0.7),
    ]
    for delta in pieces:
        answer = answer.extended_by(delta)

    assert answer == Completion(
        text="Hello", thinking="hm", model="m", usage=usage, first_token_seconds=0.5, latency_seconds=0.7
    )


def test_arguments_of_a_tool_call_are_read_as_json() -> None:
    assert ToolCall(id="a", name="f", arguments='{"x": 1}').parsed_arguments() == {"x": 1}


def test_arguments_that_are_no_object_are_refused() -> None:
    with pytest.raises(ValueError, match="not a JSON object"):
        ToolCall(id="a", name="f", arguments="[1]").parsed_arguments()


@pytest.mark.parametrize(("reason", "is_truncated"), [("length", True), ("model_length", True), ("stop", False)])
def test_a_cut_answer_is_known_as_such(reason: str, is_truncated: bool) -> None:
    assert Completion(text="x", model="m", finish_reason=reason).is_truncated is is_truncated


def test_an_answer_prints_as_its_text() -> None:
    assert str(Completion(text="Hello", model="m")) == "Hello"
