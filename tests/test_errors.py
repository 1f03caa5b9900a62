"""The tree of exceptions, and what an exception says."""

import inspect
from typing import Any

import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.errors import AskedFor, InvalidOption, MistralNotebookError, RateLimited, RequestRejected
from tests.fake_api import FakeApi, Fault


def test_an_exception_shows_the_problem_and_then_the_remedy() -> None:
    assert str(RateLimited("Too fast.", "Wait.")) == "Too fast.\nWait."
    assert str(RateLimited("Too fast.")) == "Too fast."


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    """Depth in the drawing (four characters per level) is depth in the class tree."""
    drawn = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip("│├└─ ").split(" ")[0]
        if name in vars(errors):
            drawn.append((name, (len(line) - len(line.lstrip("│├└─ "))) // 4))

    def tree(kind: type[Any], depth: int) -> list[tuple[str, int]]:
        below = [
            entry
            for sub in kind.__subclasses__()
            if sub.__module__ == errors.__name__
            for entry in tree(sub, depth + 1)
        ]
        return [(kind.__name__, depth), *below]

    assert sorted(drawn) == sorted(tree(MistralNotebookError, 0))


def test_what_trying_again_cures_never_stops_a_run() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, MistralNotebookError)]

    assert [kind.__name__ for kind in kinds if kind.is_worth_retrying and kind.stops_run] == []


def test_an_error_of_a_request_says_in_numbers_what_was_asked(api: FakeApi) -> None:
    api.play(Fault(status=400, body={"message": "No."}))

    with pytest.raises(RequestRejected) as caught:
        mistral_nb.session().complete("A private text", model="small", max_tokens=7)

    asked_for = caught.value.asked_for
    assert asked_for == AskedFor(model="mistral-small-latest", count=1, unit="message", tokens=11)
    assert str(asked_for) in str(caught.value)


def test_an_error_of_a_request_does_not_repeat_its_text(api: FakeApi) -> None:
    api.play(Fault(status=400, body={"message": "No."}))

    with pytest.raises(RequestRejected) as caught:
        mistral_nb.session().complete("A private text", model="small")

    assert "private" not in f"{caught.value}{caught.value!r}{vars(caught.value)}"


def test_a_stream_that_fails_says_in_numbers_what_was_asked(api: FakeApi) -> None:
    api.play(Fault(status=400, body={"message": "No."}))

    with pytest.raises(RequestRejected, match="Asked of mistral-small-latest: 1 message"):
        list(mistral_nb.session().stream("Hello", model="small"))


def test_a_row_that_fails_says_in_numbers_what_was_asked(api: FakeApi) -> None:
    rejected = RequestRejected("It is refused.")
    rejected.note_request(AskedFor(model="mistral-small-latest", count=20, unit="row", tokens=1240))

    assert str(rejected).endswith(
        "Asked of mistral-small-latest: 20 rows, about 1,240 tokens with the answer. Trying the same again can't help."
    )


def test_what_may_pass_later_says_so() -> None:
    limited = RateLimited("Too fast.")
    limited.note_request(AskedFor(model="m", count=1, unit="row", tokens=9))

    assert "Trying again may help." in str(limited)


def test_what_was_typed_wrong_speaks_of_no_request() -> None:
    typo = InvalidOption("No.")
    typo.note_request(AskedFor(model="m", count=1, unit="row", tokens=9))

    assert typo.asked_for is None
