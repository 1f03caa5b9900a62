from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mistral_nb.notebook.magic.answer_view import AnswerView, TerminalScreen


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """Writes down what it is to show; showing takes `seconds`."""

    def __init__(self, clock: Clock, *, seconds: float = 0.0, characters: int = 0) -> None:
        self.shown: list[str] = []
        self.steps: list[str] = []
        self.ending: dict[str, Any] = {}
        self._clock = clock
        self._seconds = seconds
        self._characters = characters

    def show(self, text: str, steps: Sequence[str], *, is_thinking: bool) -> int:
        self.shown.append("thinking" if is_thinking and not text else text)
        self.steps = list(steps)
        self._clock.now += self._seconds
        return self._characters

    def finish(self, text: str, steps: Sequence[str], *, note: str, footer: str, metadata: Mapping[str, Any]) -> None:
        self.ending = {"text": text, "note": note, "footer": footer}


def refreshes(screen: Screen, view: AnswerView, clock: Clock, *, seconds: float) -> int:
    """Return how often a text that grows every 10 ms is shown in so much time."""
    before, end, text = len(screen.shown), clock.now + seconds, ""
    while clock.now < end:
        text += "x"
        view.grow(text)
        clock.now += 0.01
    return len(screen.shown) - before


def test_a_placeholder_is_shown_before_anything_comes() -> None:
    screen = Screen(Clock())
    AnswerView(screen, clock=Clock())

    assert screen.shown == [""]


def test_the_first_token_is_shown_at_once() -> None:
    screen, clock = Screen(Clock()), Clock()
    AnswerView(screen, clock=clock).grow("first")

    assert screen.shown[-1] == "first"


def test_a_model_that_thinks_is_seen_to_think() -> None:
    screen, clock = Screen(Clock()), Clock()
    view = AnswerView(screen, clock=clock)
    clock.now = 1.0
    view.grow("", is_thinking=True)

    assert screen.shown[-1] == "thinking"


def test_a_growing_answer_is_shown_ten_times_a_second() -> None:
    clock = Clock()
    screen = Screen(clock)

    assert refreshes(screen, AnswerView(screen, clock=clock), clock, seconds=2.0) in range(18, 22)


class TestAModelThatPauses:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def screen(self, clock: Clock) -> Screen:
        return Screen(clock)

    @pytest.fixture
    def view(self, screen: Screen, clock: Clock) -> AnswerView:
        """Return a view that has got more than it shows."""
        view = AnswerView(screen, clock=clock)
        view.grow("first")
        view.grow("first words")
        return view

    def test_what_came_last_is_shown_when_it_is_time_to(self, view: AnswerView, screen: Screen, clock: Clock) -> None:
        view.catch_up()
        before = screen.shown[-1]
        clock.now += 0.1
        view.catch_up()

        assert (before, screen.shown[-1]) == ("first", "first words")

    def test_it_is_shown_once(self, view: AnswerView, screen: Screen, clock: Clock) -> None:
        for _ in range(5):
            clock.now += 0.1
            view.catch_up()

        assert screen.shown.count("first words") == 1

    def test_it_is_shown_at_once_before_something_that_takes_long(self, view: AnswerView, screen: Screen) -> None:
        view.catch_up_now()

        assert screen.shown[-1] == "first words"


def test_rendering_takes_a_fifth_of_the_time_at_most() -> None:
    clock = Clock()
    screen = Screen(clock, seconds=0.2)

    assert refreshes(screen, AnswerView(screen, clock=clock), clock, seconds=10.0) in range(8, 12)


def test_a_page_that_is_large_is_sent_less_often() -> None:
    clock = Clock()
    screen = Screen(clock, characters=500_000)

    assert refreshes(screen, AnswerView(screen, clock=clock), clock, seconds=10.0) in range(8, 12)


def test_a_step_is_shown_at_once() -> None:
    screen, clock = Screen(Clock()), Clock()
    AnswerView(screen, clock=clock).add_step("looked it up")

    assert screen.steps == ["looked it up"]


class TestTerminal:
    def test_only_what_is_new_is_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        screen = TerminalScreen()
        for text in ("", "one", "one two"):
            screen.show(text, [], is_thinking=False)
        screen.finish("one two three", [], note="Cut.", footer="a model", metadata={})

        assert capsys.readouterr().out == "one two three\n(Cut.)\n[a model]\n"

    def test_steps_stand_between_what_is_said_before_and_after_them(self, capsys: pytest.CaptureFixture[str]) -> None:
        screen = TerminalScreen()
        screen.show("Let me see.", [], is_thinking=False)
        screen.show("Let me see.", ["weather() → sunny"], is_thinking=False)
        screen.finish("It is sunny.", ["weather() → sunny"], note="", footer="", metadata={})

        assert capsys.readouterr().out == "Let me see.\nweather() → sunny\nIt is sunny.\n"
