"""What stands behind ``%%mistral`` and ``%mistral``: options, and where the prompt begins.

Promises: pure; a prompt on the line is taken as it is typed (an apostrophe is no quotation mark); what can't be meant is a
InvalidOption that says what can.
"""

import argparse
import difflib
import keyword
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser, argument

from mistral_nb.errors import InvalidOption

SWITCHES = ("--safe-prompt", "--raw", "--dry-run", "--debug")
# Option: the name of what follows it, for help and completion.
VALUES = {
    "-m": "MODEL",
    "--model": "MODEL",
    "-s": "TEXT",
    "--system": "TEXT",
    "-t": "NUMBER",
    "--temperature": "NUMBER",
    "--max-tokens": "NUMBER",
    "--out": "NAME",
    "--json": "SCHEMA",
    "--tools": "TOOLS",
    "--session": "SESSION",
    "--df": "FRAMES",
    "--as": "FORM",
    "--guardrails": "GUARDRAILS",
}
FORMS = ("code",)

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """How a question is asked; the fields are the options of the magic."""

    model: str | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    out: str | None = None
    json: str | None = None
    tools: tuple[str, ...] = ()
    session: str | None = None
    df: tuple[str, ...] = ()
    form: str | None = None
    guardrails: str | None = None
    safe_prompt: bool = False
    raw: bool = False
    dry_run: bool = False
    debug: bool = False

    @classmethod
    def of(cls, parsed: argparse.Namespace) -> "AskOptions":
        """Return the options that the parser has read; InvalidOption for those that can't be meant."""
        given = vars(parsed)
        options = cls(**{field.name: given[field.name] for field in fields(cls)})
        if options.out is not None:
            checked_variable_name(options.out)
        if options.json is not None and options.tools:
            raise InvalidOption("There are both --json and --tools.", "Ask with --tools first, then for the object.")
        return options


def ask_arguments(function: T) -> T:
    """Add the options of a question to a magic."""
    for decorate in reversed(_ARGUMENTS):
        function = decorate(function)
    return function


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


_ARGUMENTS = [
    argument("-m", "--model", help="Model name or short name (small, medium, large, codestral, …)."),
    argument("-s", "--system", help="System message, in quotes when it has spaces."),
    argument("-t", "--temperature", type=float, help="Sampling temperature, e.g. 0.2; default: the model's own."),
    argument("--max-tokens", type=int, help="Longest answer in tokens; default: the model's own."),
    argument(
        "--out",
        metavar="NAME",
        help="Keep the answer in NAME: with --json the object, with --tools a ToolAnswer.",
    ),
    argument("--json", metavar="SCHEMA", help="Answer with an object of this class of the notebook (or list[CLASS])."),
    argument(
        "--tools",
        metavar="NAMES",
        type=_names,
        default=(),
        help="What the model may call: a,b (functions; a frame: its frame_tools).",
    ),
    argument("--session", metavar="NAME", help="Continue the conversation NAME, or begin it."),
    argument("--df", metavar="NAMES", type=_names, default=(), help="Tell what is in the frames a,b: types, ranges."),
    argument("--as", dest="form", choices=FORMS, help="code: put the answer's code into a cell below, never run."),
    argument(
        "--guardrails", metavar="NAME", help="Mistral's guardrails for the request: a list of dicts of the notebook."
    ),
    argument("--safe-prompt", action="store_true", help="Have Mistral put its safety instructions before the prompt."),
    argument("--raw", action="store_true", help="Send the prompt as it is: no {name} is replaced."),
    argument("--dry-run", action="store_true", help="Show what would be sent, and what it would cost; send nothing."),
    argument("--debug", action="store_true", help="Show the whole traceback of an error."),
]


def words(line: str) -> list[str]:
    """Split a line as a shell does; InvalidOption where a quote is left open."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise _open_quote(line) from error


def parsed_options(parser: MagicArgumentParser, given: Sequence[str]) -> argparse.Namespace:
    """Return what the parser reads.

    Its own error is IPython's UsageError, which is no error in a notebook's outputs: papermill would call such a run a success.
    """
    try:
        parsed: argparse.Namespace = parser.parse_args(given)
    except UsageError as error:
        unknown = re.match(r"unrecognized arguments: (--?[\w-]+)", str(error))
        known = [name for name in (*VALUES, *SWITCHES) if name.startswith("--")]
        hint = listed(unknown[1], known) if unknown else "%mistral help tells the options."
        raise InvalidOption(f"{error}.", hint) from None
    return parsed


_OPTION = re.compile(r"\s*(--?[A-Za-z][\w-]*)(=?)")
_WORD = re.compile(r"""\s*((?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+)""")


def split_options(line: str) -> tuple[str, str]:
    """Return the options at the beginning of a line, and the text that follows them, as it was typed.

    ``--`` ends the options.
    """
    at = 0
    while True:
        if end := re.compile(r"\s*--(?=\s|$)").match(line, at):
            return line[:at], line[end.end() :].strip()
        option = _OPTION.match(line, at)
        if option is None:
            return line[:at], line[at:].strip()
        word = _WORD.match(line, option.start())
        if word is None:  # a quote that is left open
            raise _open_quote(line)
        at = word.end()
        has_value_attached = option[2] or (not option[1].startswith("--") and len(option[1]) > 2)
        if not has_value_attached and not _is_switch(option[1]):
            value = _WORD.match(line, at)
            if value is None:
                if line[at:].strip():
                    raise _open_quote(line)
                return line, ""  # the value is missing: the parser says which
            at = value.end()


def is_raw(word: str) -> bool:
    """Whether the word is ``--raw``, or short for it."""
    return len(word) > 2 and "--raw".startswith(word)


def _is_switch(option: str) -> bool:
    """Whether the option, or what it abbreviates, has no value."""
    known = [name for name in (*SWITCHES, *VALUES) if name.startswith(option)] if option.startswith("--") else [option]
    return bool(known) and all(name in SWITCHES for name in known)


def _open_quote(line: str) -> InvalidOption:
    return InvalidOption(
        f"No closing quotation in: {line.strip()}", "Close the quotation mark, or write it as \\' or \\\"."
    )


def checked_variable_name(name: str) -> str:
    """Return the name if a variable can have it."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise InvalidOption(f"--out {name!r} is no variable name.", "Use letters, digits and underscores: --out answer")
    return name


def found(name: str, among: Mapping[str, Any], *, option: str, kind: str) -> Any:
    """Return what the notebook has under this name; InvalidOption with the nearest names when it has none of the kind."""
    if name in among:
        return among[name]
    raise InvalidOption(f"{option} {name}: there is no {kind} {name!r} in this notebook.", listed(name, among))


def listed(name: str, names: Iterable[str]) -> str:
    """Return what there is, the nearest names first."""
    known = list(names)
    if not known:
        return "There are none."
    nearest = difflib.get_close_matches(name, known, n=3)
    return f"Did you mean {nearest[0]!r}?" if nearest else f"There are: {', '.join(known[:20])}."
