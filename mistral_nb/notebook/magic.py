"""``%%mistral``: ask a model in a cell, and see the answer grow.

Keeps to itself: options, and how often the display is refreshed.
Promises: the final display is exact; an error fails the cell, so that "Run All" stops; an interrupt keeps what has arrived.
Without a front end that can update a display (a terminal), the answer is printed as it comes.
"""

import keyword
import shlex
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from typing import Protocol

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import DisplayHandle

from mistral_nb.completion import Completion, Delta
from mistral_nb.engine.current import current_session
from mistral_nb.notebook.display import answer_bundle, without_controls
from mistral_nb.settings import Settings, current_settings

_REFRESH_SECONDS = 0.1
_PLACEHOLDER = "…"
_HELP_OPTIONS = {"-h", "--help"}


@magics_class
class MistralMagics(Magics):
    """The ``mistral`` magic."""

    shell: InteractiveShell

    @magic_arguments()
    @argument("-m", "--model", help="Model name or short name; default: the settings' model.")
    @argument("-s", "--system", help="System message, in quotes when it has spaces.")
    @argument("-t", "--temperature", type=float, help="Sampling temperature, e.g. 0.2; default: the model's own.")
    @argument("--max-tokens", type=int, help="Longest answer in tokens; default: the model's own.")
    @argument("--out", metavar="NAME", help="Also keep the answer (a Completion) in the variable NAME.")
    @line_cell_magic
    def mistral(self, line: str, cell: str | None = None) -> None:
        """Ask a model. The cell is the prompt; the answer is shown as Markdown while it comes."""
        if cell is None or line.strip() in _HELP_OPTIONS:
            if line.strip() and line.strip() not in _HELP_OPTIONS:
                raise UsageError("%mistral takes no text on its line; put the prompt below a line with %%mistral.")
            usage = self.mistral.parser.format_help().removeprefix("::").replace("%mistral", "%%mistral")
            print(usage.strip())  # noqa: T201  # help is for the screen
            return
        options = self.mistral.parser.parse_args(_words(line))
        if options.out is not None and (not options.out.isidentifier() or keyword.iskeyword(options.out)):
            raise UsageError(f"--out {options.out!r} is no variable name; use letters, digits and underscores.")
        session = current_session()
        request = session.request(
            cell,
            model=options.model,
            system=options.system,
            temperature=options.temperature,
            max_tokens=options.max_tokens,
        )
        has_front_end = hasattr(self.shell, "kernel")
        answer = _Answer(request.model, screen=_Notebook() if has_front_end else _Terminal())
        try:
            with closing(session.stream(request)) as pieces:
                answer.follow(pieces)
        finally:  # an interrupted or broken answer is kept as far as it came
            if options.out is not None:
                self.shell.user_ns[options.out] = answer.completion


def register(shell: InteractiveShell) -> None:
    """Register the magic in this shell and say in one line which model answers, and why."""
    shell.register_magics(MistralMagics)
    print(f"mistral_nb: {who_answers(current_settings())}")  # noqa: T201  # the line that the user is promised


def who_answers(settings: Settings) -> str:
    """Return one line: which model answers a request that names none, and why."""
    if settings.answered_by == "hosted":
        return f"{settings.default_model} at {settings.server_url} answers ({settings.reason})."
    from mistral_nb.backends.embedded.process import engine_is_installed
    from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_folder

    name = settings.default_model
    title = missing = ""
    if not engine_is_installed():
        missing = ' Its engine is not installed yet; in a cell: %pip install "mistral_nb[local]"'
    if local := LOCAL_MODELS.get(name):
        title = f" ({local.title})"
        if not (weights_folder(settings.home) / local.file_name).is_file():
            missing += f" Its weights are not here yet; in a terminal: mistral-nb download-model {name}"
    hint = "" if settings.api_key else " Set MISTRAL_API_KEY for Mistral's own models."
    return f"the embedded {name}{title} on this machine answers ({settings.reason}).{hint}{missing}"


class _Screen(Protocol):
    """Where an answer is shown while it grows."""

    def show(self, text: str) -> None:
        """Show the text so far."""

    def finish(self, text: str, note: str) -> None:
        """Show the whole text, and below it what the reader must know of how it ended."""


class _Notebook:
    """One display that is updated in place."""

    def __init__(self) -> None:
        self._handle = DisplayHandle()
        self._is_shown = False

    def show(self, text: str) -> None:
        self._put(text or _PLACEHOLDER, "")

    def finish(self, text: str, note: str) -> None:
        self._put(text, note)

    def _put(self, text: str, note: str) -> None:
        bundle = answer_bundle(text, note=note)
        if self._is_shown:
            self._handle.update(bundle, raw=True)
        else:
            self._handle.display(bundle, raw=True)
        self._is_shown = True


class _Terminal:
    """What was printed can't be taken back, so only what is new is printed."""

    def __init__(self) -> None:
        self._printed = 0

    def show(self, text: str) -> None:
        sys.stdout.write(without_controls(text[self._printed :]))
        sys.stdout.flush()
        self._printed = len(text)

    def finish(self, text: str, note: str) -> None:
        self.show(text)
        sys.stdout.write(f"\n({note})\n" if note else "\n")


class _Answer:
    """An answer that grows, and its display."""

    def __init__(self, model: str, *, screen: _Screen) -> None:
        self.completion = Completion(text="", model=model, finish_reason="")
        self._screen = screen

    def follow(self, pieces: Iterable[Delta]) -> None:
        """Show the pieces as they come; however it ends, the display is exact when this returns or raises."""
        note = ""
        self._screen.show("")
        shown = time.perf_counter()
        try:
            for delta in pieces:
                self.completion = self.completion.extended_by(delta)
                note = "stopped before the end"
                is_first_text = bool(delta.text) and delta.text == self.completion.text
                if is_first_text or time.perf_counter() - shown >= _REFRESH_SECONDS:
                    self._screen.show(self.completion.text)
                    shown = time.perf_counter()
            note = _why_incomplete(self.completion)
        finally:
            self._screen.finish(self.completion.text, note)


def _why_incomplete(answer: Completion) -> str:
    """Return what the reader must know of how the answer ended; nothing when it is whole."""
    if answer.is_truncated:
        return f"cut at {answer.usage.completion_tokens} tokens; raise --max-tokens for more"
    if answer.finish_reason == "stop":
        return ""
    return f"{answer.model} ended with finish_reason {answer.finish_reason!r}"


def _words(line: str) -> list[str]:
    """Split a line as a shell does; UsageError where a quote is left open."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{error} in: {line.strip()}") from None
