"""``%%mistral`` and ``%mistral``: ask a model in a cell, and see the answer grow.

Keeps to itself: which word on a line is a command, and how IPython is told of magics, completion and assignment.
Promises: an error fails the cell, so that "Run All" stops, as a short message (``--debug`` shows all of it); a prompt of several
words is asked, a single word that is no command is not.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pandas as pd
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from mistral_nb.completion import Completion
from mistral_nb.counted import counted
from mistral_nb.engine.current import current_session
from mistral_nb.engine.occasion import asked_through
from mistral_nb.errors import InvalidOption, MistralNotebookError
from mistral_nb.notebook.completion_view import completion_bundle
from mistral_nb.notebook.display import without_controls
from mistral_nb.notebook.job_notices import warn_of_unfetched
from mistral_nb.notebook.magic import notebook_names
from mistral_nb.notebook.magic.assignment import register_assignment
from mistral_nb.notebook.magic.cell_question import CellQuestions
from mistral_nb.notebook.magic.config_command import config_command
from mistral_nb.notebook.magic.fix import SYSTEM, LastFailure, last_failed_cell, question_about
from mistral_nb.notebook.magic.interpolation import interpolated
from mistral_nb.notebook.magic.options import (
    AskOptions,
    ask_arguments,
    checked_variable_name,
    is_raw,
    listed,
    parsed_options,
    split_options,
    words,
)
from mistral_nb.notebook.magic.tab_completion import Names, register_completion
from mistral_nb.notebook.model_table import model_table
from mistral_nb.notebook.usage import usage_command
from mistral_nb.settings import Settings, current_settings

_HELP_OPTIONS = {"-h", "--help"}
# How IPython writes a magic: the whole prompt would stand in the message of its error.
_MAGIC_CALL = "get_ipython().run_"
_COMMANDS = """
Line commands:
  %mistral ask TEXT         ask, with the options above before TEXT; so does %mistral TEXT of several words
                            answer << %mistral TEXT and answer = %mistral TEXT keep the answer
  %mistral models           the models that can be asked, with window and price, as a DataFrame
  %mistral usage            what was used and what it cost, as a DataFrame; %mistral usage 30d model day says since when,
                            and by what it is grouped
  %mistral config           the settings that hold; %mistral config NAME=VALUE … sets them for this kernel
                            %mistral config api_key asks for the key
  %mistral doctor           looks at key, endpoint, files and packages, with the fix of what is wrong; --json
  %mistral sessions         the conversations of --session
  %mistral reset [NAME]     forget one conversation, or all of them
  %mistral fix [HINT]       explain the last exception and propose a cell; shows what it sends
  %mistral insert           put the last answer's code into a cell below
  %mistral help             this text
%%mistral_fim fills a gap in code: write <FILL> where it is, or <FILL> and </FILL> around what it takes the place of."""


@magics_class
class MistralMagics(Magics):
    """The magics, and what they remember: conversations, the last answer, the last failure."""

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.questions = CellQuestions(shell)
        self.last_failure = LastFailure()
        self.commands: dict[str, Callable[[str], Any]] = {
            "ask": self._ask,
            "models": self._models,
            "usage": self._usage,
            "config": self._config,
            "doctor": self._doctor,
            "sessions": self._sessions,
            "reset": self._reset,
            "fix": self._fix,
            "insert": self._insert,
            "help": self._help,
        }

    @no_var_expand
    @magic_arguments()
    @ask_arguments
    @line_cell_magic
    def mistral(self, line: str, cell: str | None = None) -> Any:
        """Ask a model. The cell is the prompt; the answer is shown as Markdown while it comes.

        {name}, {name.attr} and {name[key]} in the prompt become what the notebook's variables hold; every other brace stays.
        """
        with self._errors(line):
            if cell is None or line.strip() in _HELP_OPTIONS:
                return self._line(line)
            with asked_through("magic", verb="ask"):
                self.questions.ask(cell, self._options(line))
        return None

    @no_var_expand
    @magic_arguments()
    @argument("-m", "--model", help="Model that can fill in; default: codestral-latest, embedded: local-small.")
    @argument("--max-tokens", type=int, help="Longest filling in tokens; default: the model's own.")
    @argument("--out", metavar="NAME", help="Also keep the filling (a Completion) in the variable NAME.")
    @argument("--debug", action="store_true", help="Show the whole traceback of an error.")
    @cell_magic
    def mistral_fim(self, line: str, cell: str) -> None:
        """Fill a gap in code: <FILL>, or what stands between <FILL> and </FILL>. The whole code goes into a cell below."""
        with self._errors(line):
            parsed = parsed_options(self.mistral_fim.parser, words(line))
            out = parsed.out and checked_variable_name(parsed.out)
            options = AskOptions(model=parsed.model, max_tokens=parsed.max_tokens, out=out, debug=parsed.debug)
            with asked_through("magic", verb="fill_in_middle"):
                self.questions.fill_gap(cell, options)

    def names(self) -> Names:
        """Return what Tab can offer now."""
        return Names(
            variables=notebook_names.variables(self.shell),
            sessions=self.questions.conversations.names(),
            commands=list(self.commands),
        )

    def _line(self, line: str) -> Any:
        text = line.strip()
        if not text or text in _HELP_OPTIONS:
            return self._help("")
        option_text, prompt = split_options(line)
        first, _, rest = prompt.partition(" ")
        if first in self.commands:
            return self.commands[first](f"{option_text} {rest}".strip())
        if prompt and " " not in prompt and not option_text.strip():
            raise InvalidOption(
                f"%mistral has no command {prompt!r}.",
                f"{listed(prompt, self.commands)} To ask it: %mistral ask {prompt}",
            )
        return self._ask(line)

    def _ask(self, line: str) -> Any:
        option_text, prompt = split_options(line)
        with asked_through("magic", verb="ask"):
            return self.questions.ask(prompt, self._options(option_text))

    def _models(self, line: str) -> pd.DataFrame:
        _expect_nothing("models", line)
        return model_table(current_session())

    def _usage(self, line: str) -> pd.DataFrame:
        return usage_command(words(line))

    def _config(self, line: str) -> None:
        _say(config_command(words(line)))

    def _doctor(self, line: str) -> None:
        from mistral_nb.doctor.examination import examine

        if line.strip() != "--json":
            _expect_nothing("doctor", line)
        report = examine()
        _say(report.to_json() if line.strip() else str(report))

    def _sessions(self, line: str) -> None:
        _expect_nothing("sessions", line)
        known = self.questions.conversations
        rows = []
        for name in known.names():
            conversation = known[name]
            turns = len(conversation.exchanges)
            question = " ".join(conversation.exchanges[-1].question.split())
            rows.append(f"{name}: {counted(turns, 'turn')}, {conversation.model}, last: {question[:60]}")
        _say("\n".join(rows) or "There are no sessions yet; %%mistral --session NAME begins one.")

    def _reset(self, line: str) -> None:
        names = words(line)
        if len(names) > 1:
            raise InvalidOption(f"%mistral reset is given {names}.", "Give one name, or none to forget all sessions.")
        known = self.questions.conversations.names()
        forgotten = self.questions.conversations.forget(names[0] if names else None)
        if names and not forgotten:
            raise InvalidOption(f"There is no session {names[0]!r}.", listed(names[0], known))
        _say(f"Forgotten: {', '.join(forgotten)}." if forgotten else "There were no sessions.")

    def _fix(self, line: str) -> Any:
        option_text, hint = split_options(line)
        options = self._options(option_text)
        question = question_about(last_failed_cell(self.shell, self.last_failure.cell), hint)
        # Not a prompt of the reader's: a brace of the failed cell is no variable to fill in.
        options = replace(options, raw=True, system=options.system or SYSTEM)
        with asked_through("magic", verb="fix"):
            answer = self.questions.ask(question, options, is_shown_first=True)
        if answer is not None and options.form != "code":
            self._insert("")
        return answer

    def _insert(self, line: str) -> None:
        _expect_nothing("insert", line)
        if self.questions.last_answer is None:
            raise InvalidOption("There is no answer yet.", "Ask with %%mistral first.")
        self.questions.insert_code(self.questions.last_answer)

    def _help(self, line: str) -> None:
        usage = self.mistral.parser.format_help().removeprefix("::").replace("%mistral", "%%mistral").strip()
        _say(f"{usage}\n{_COMMANDS}")

    def _options(self, line: str) -> AskOptions:
        """Return the options of a line, with variables in their values."""
        given = words(line)
        if not any(is_raw(word) for word in given):
            variables = notebook_names.variables(self.shell)
            given = [interpolated(word, variables) for word in given]
        return AskOptions.of(parsed_options(self.mistral.parser, given))

    @contextmanager
    def _errors(self, line: str) -> Iterator[None]:
        """Have an error shown as its message alone, or with ``--debug`` with all frames."""
        try:
            yield
        except MistralNotebookError as error:
            self._show_as(error, all_frames="--debug" in line.split())
            raise

    def _show_as(self, error: MistralNotebookError, *, all_frames: bool) -> None:
        message = error._render_traceback_  # of the class: asked for when the traceback is complete

        def rendered() -> list[str]:
            if not all_frames:
                return [line for line in message() if _MAGIC_CALL not in line]
            lines: list[str] = self.shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
            return lines

        error._render_traceback_ = rendered  # type: ignore[method-assign]  # IPython's own hook


MistralMagics.mistral.__doc__ = f"{MistralMagics.mistral.__doc__}\n{_COMMANDS}\n"


def register(shell: InteractiveShell) -> None:
    """Register the magics in this shell and say in one line which model answers, and why.

    Loaded again, it keeps the conversations.
    """
    before = shell.magics_manager.registry.get(MistralMagics.__name__)
    magics = MistralMagics(shell)
    if before is not None:
        shell.events.unregister("post_run_cell", before.last_failure.note)
        magics.questions.conversations = before.questions.conversations
        magics.questions.last_answer = before.questions.last_answer
        magics.last_failure.cell = before.last_failure.cell
    shell.register_magics(magics)
    shell.events.register("post_run_cell", magics.last_failure.note)
    register_completion(shell, magics.names)
    register_assignment(shell)
    _register_completions_view(shell, magics.questions)
    print(f"mistral_nb: {who_answers(current_settings())}")  # noqa: T201  # the line that the user is promised
    session = current_session()
    if session.cache.database.path.exists():  # looking into it would make it
        warn_of_unfetched(session)


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


def _register_completions_view(shell: InteractiveShell, questions: CellQuestions) -> None:
    """Show an answer that a cell ends with as an answer, unless this cell has shown it already."""

    def show(answer: Completion) -> None:
        if not questions.was_just_shown(answer):
            bundle, facts = completion_bundle(answer, current_session())
            shell.display_pub.publish(bundle, facts)

    assert shell.display_formatter is not None
    shell.display_formatter.ipython_display_formatter.for_type(Completion, show)


def _expect_nothing(command: str, line: str) -> None:
    if line.strip():
        raise InvalidOption(
            f"%mistral {command} is given {line.strip()!r}, and takes nothing.",
            f"To ask it: %mistral ask {command} {line.strip()}",
        )


def _say(text: str) -> None:
    print(without_controls(text))  # noqa: T201  # what was asked for
