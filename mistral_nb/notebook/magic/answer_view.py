"""An answer that grows on the screen.

Keeps to itself: how often it is refreshed, and what a notebook and a terminal can do.
Promises: about ten refreshes a second through one display handle, fewer when rendering takes long; a placeholder before the first
token; when the model pauses, all that came is shown; the last state is exact. Where nothing can be updated, text is printed as it
comes.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import DisplayHandle

from mistral_nb.notebook.display import GrowingHtml, answer_bundle, without_controls

REFRESH_SECONDS = 0.1
# Of the time, so much at most goes into rendering: a long answer must not wait for its own display.
_RENDERING_SHARE = 0.2
# Of HTML; a front end that is sent more puts it on the page too late.
_CHARACTERS_PER_SECOND = 500_000
PLACEHOLDER = "…"
THINKING = "… (thinking)"


class Screen(Protocol):
    """Where an answer is shown while it grows."""

    def show(self, text: str, steps: Sequence[str], *, is_thinking: bool) -> int:
        """Show what there is so far, and return how many characters that took."""

    def finish(self, text: str, steps: Sequence[str], *, note: str, footer: str, metadata: Mapping[str, Any]) -> None:
        """Show the whole answer, and below it what the reader must know of it."""


def screen_for(shell: InteractiveShell) -> Screen:
    """Return the screen of a notebook where there is one, of a terminal otherwise."""
    return NotebookScreen() if hasattr(shell, "kernel") else TerminalScreen()


class NotebookScreen:
    """One display that is updated in place."""

    def __init__(self) -> None:
        self._handle = DisplayHandle()
        self._is_shown = False
        self._html = GrowingHtml()

    def show(self, text: str, steps: Sequence[str], *, is_thinking: bool) -> int:
        shown = text or (THINKING if is_thinking else PLACEHOLDER)
        bundle = answer_bundle(shown, steps=steps, body_html=self._html.of(text) if text else None)
        self._put(bundle, {})
        return len(bundle["text/html"])

    def finish(self, text: str, steps: Sequence[str], *, note: str, footer: str, metadata: Mapping[str, Any]) -> None:
        self._put(answer_bundle(text, note=note, footer=footer, steps=steps), dict(metadata))

    def _put(self, bundle: dict[str, str], metadata: dict[str, Any]) -> None:
        if self._is_shown:
            self._handle.update(bundle, raw=True, metadata=metadata)
        else:
            self._handle.display(bundle, raw=True, metadata=metadata)
        self._is_shown = True


class TerminalScreen:
    """What was printed can't be taken back, so only what is new is printed."""

    def __init__(self) -> None:
        self._printed = ""
        self._steps = 0
        self._is_line_begun = False

    def show(self, text: str, steps: Sequence[str], *, is_thinking: bool) -> int:
        if len(steps) > self._steps:
            self._write_lines(*steps[self._steps :])
            self._steps = len(steps)
        if not text.startswith(self._printed):  # the next answer, after a tool was called
            self._write_lines()
            self._printed = ""
        self._write(text[len(self._printed) :])
        self._printed = text
        return 0

    def finish(self, text: str, steps: Sequence[str], *, note: str, footer: str, metadata: Mapping[str, Any]) -> None:
        self.show(text, steps, is_thinking=False)
        parts = (f"({note})" if note else "", f"[{footer}]" if footer else "")
        self._write_lines(*(part for part in parts if part))

    def _write_lines(self, *lines: str) -> None:
        """Write lines of their own, below what has been begun."""
        begun = "\n" if self._is_line_begun else ""
        self._write(begun + "".join(f"{line}\n" for line in lines))

    def _write(self, text: str) -> None:
        if text:
            sys.stdout.write(without_controls(text))
            sys.stdout.flush()
            self._is_line_begun = not text.endswith("\n")


class AnswerView:
    """What is on the screen of one answer, refreshed when it is time to.

    Parameters
    ----------
    screen
        Where it is shown.
    clock
        Seconds, for tests.
    """

    def __init__(self, screen: Screen, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._screen = screen
        self._clock = clock
        self._text = ""
        self._steps: list[str] = []
        self._is_thinking = False
        self._is_behind = False
        self._next = 0.0
        self._refresh()

    def grow(self, text: str, *, is_thinking: bool = False) -> None:
        """Show the text so far, now or, when the last refresh was a moment ago, with one of the next."""
        is_first = bool(text) and not self._text
        self._text, self._is_thinking, self._is_behind = text, is_thinking, True
        if is_first:
            self._refresh()
        else:
            self.catch_up()

    def catch_up(self) -> None:
        """Show what is not yet shown, when it is time to: for when nothing more comes for a while."""
        if self._is_behind and self._clock() >= self._next:
            self._refresh()

    def catch_up_now(self) -> None:
        """Show what is not yet shown."""
        if self._is_behind:
            self._refresh()

    def add_step(self, line: str) -> None:
        """Show a line above the answer, at once."""
        self._steps.append(line)
        self._is_thinking = False
        self._refresh()

    def finish(self, text: str, *, note: str = "", footer: str = "", metadata: Mapping[str, Any] | None = None) -> None:
        """Show the end; nothing is shown after it."""
        self._screen.finish(text, self._steps, note=note, footer=footer, metadata=metadata or {})

    def _refresh(self) -> None:
        self._is_behind = False
        begun = self._clock()
        characters = self._screen.show(self._text, self._steps, is_thinking=self._is_thinking)
        ended = self._clock()
        wait = max(REFRESH_SECONDS, (ended - begun) / _RENDERING_SHARE, characters / _CHARACTERS_PER_SECOND)
        self._next = begun + wait
