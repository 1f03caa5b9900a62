"""Tab after ``%%mistral`` and ``%mistral``: options, model names, and what the notebook has; and after ``df["text"].mistral.``.

Keeps to itself: where in a cell which word is meant, and IPython's way of asking.
Promises: nothing is asked over the network, and nothing evaluated but by IPython, as far as it allows itself. Outside of these
places nothing is offered.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from mistral_nb import catalogue
from mistral_nb.notebook.magic import notebook_names
from mistral_nb.notebook.magic.config_command import SETTING_NAMES
from mistral_nb.notebook.magic.options import FORMS, SWITCHES, VALUES

_IDENTIFIER = "mistral_nb"
_VERBS_IDENTIFIER = "mistral_nb_verbs"
_FIRST = 100.0  # before IPython's own matchers, which then have nothing to add
FIM_OPTIONS = ("-m", "--model", "--max-tokens", "--out", "--debug")

_CELL = re.compile(r"\s*%%mistral(?P<fim>_fim)?\s(?P<typed>.*)$")
_LINE = re.compile(r"\s*(?:[\w.\[\]\"']+\s*(?:=|<<)\s*)?%mistral\s(?P<typed>.*)$")
_VERB_OF_AN_ITEM = re.compile(r"[\])]\.mistral\.\w*$")
_OPEN_BRACE = re.compile(r"(?<!\{)\{(\w*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What can be meant: the notebook's variables, the sessions and the commands."""

    variables: Mapping[str, Any]
    sessions: Iterable[str] = ()
    commands: Iterable[str] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """What may stand in place of the characters before the cursor that are `fragment`."""

    fragment: str
    words: list[str]
    kind: str = "magic"


def offer(lines: list[str], *, line: int, column: int, names: Names) -> Offer | None:
    """Return what Tab offers at this place of a cell; None where it is not ours to say."""
    before = lines[line][:column]
    first = next((at for at, text in enumerate(lines) if text.strip()), line)
    if line == first and (match := _CELL.match(before)):
        options = FIM_OPTIONS if match["fim"] else (*VALUES, *SWITCHES)
        return _of_options(match["typed"], options=options, names=names, is_line=False, is_fim=bool(match["fim"]))
    if lines[first].lstrip().startswith("%%"):
        is_ours = _CELL.match(f"{lines[first]} ") is not None
        brace = _OPEN_BRACE.search(before) if is_ours and line > first else None
        return _matching(brace[1], names.variables, "instance") if brace else None
    if match := _LINE.match(before):
        return _of_options(match["typed"], options=(*VALUES, *SWITCHES), names=names, is_line=True, is_fim=False)
    return None


def register_completion(shell: InteractiveShell, names: Callable[[], Names]) -> None:
    """Offer completions in this shell; once, however often the extension is loaded."""

    @context_matcher(identifier=_IDENTIFIER, priority=_FIRST)  # type: ignore[untyped-decorator]
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")
        found = offer(lines, line=context.cursor_line, column=context.cursor_position, names=names())
        if found is None:
            return {"completions": []}
        return {
            "completions": [SimpleCompletion(text=word, type=found.kind) for word in found.words],
            "matched_fragment": found.fragment,
            "suppress": True,
            "ordered": True,
        }

    @context_matcher(identifier=_VERBS_IDENTIFIER)  # type: ignore[untyped-decorator]
    def verbs(context: CompletionContext) -> SimpleMatcherResult:
        # Jedi, which is on by default, can't tell that an item of a frame is a column. IPython's own way without it can.
        if not (shell.Completer.use_jedi and _VERB_OF_AN_ITEM.search(context.text_until_cursor)):
            return {"completions": []}
        found: SimpleMatcherResult = shell.Completer.python_matcher(context)
        return found

    matchers = shell.Completer.custom_matchers
    ours = {_IDENTIFIER, _VERBS_IDENTIFIER}
    matchers[:] = [known for known in matchers if getattr(known, "matcher_identifier", "") not in ours]
    matchers += [matcher, verbs]


def _of_options(typed: str, *, options: Iterable[str], names: Names, is_line: bool, is_fim: bool) -> Offer | None:
    *earlier, current = re.split(r"\s+", typed.lstrip())
    before = earlier[-1] if earlier else ""
    if before in VALUES:
        return _of_value(before, current, names, is_fim=is_fim)
    option, is_attached, value = current.partition("=")
    if is_attached and option in VALUES:
        return _of_value(option, value, names, is_fim=is_fim)
    text = _without_options(earlier)
    if current.startswith("-"):
        return _matching(current, options)
    if not is_line:
        return _matching(current, options)
    if not text:
        return _matching(current, names.commands)
    if text == ["reset"]:
        return _matching(current, names.sessions)
    if text[0] == "config":
        return _matching(current, [name if name == "api_key" else f"{name}=" for name in SETTING_NAMES])
    return Offer(current, [])


def _without_options(words: list[str]) -> list[str]:
    text, is_value = [], False
    for word in words:
        if is_value:
            is_value = False
        elif word.startswith("-"):
            is_value = word in VALUES
        else:
            text.append(word)
    return text


def _of_value(option: str, typed: str, names: Names, *, is_fim: bool) -> Offer:
    meant = VALUES[option]
    if meant == "MODEL":
        return _matching(typed, _model_names(is_fim=is_fim))
    if meant == "SCHEMA":
        inner = typed.removeprefix("list[")
        return _matching(inner, notebook_names.schemas(names.variables), "class")
    if meant in {"TOOLS", "FRAMES"}:
        known = notebook_names.tools if meant == "TOOLS" else notebook_names.frames
        return _matching(
            typed.rpartition(",")[2], known(names.variables), "function" if meant == "TOOLS" else "instance"
        )
    if meant == "GUARDRAILS":
        return _matching(typed, notebook_names.guardrails(names.variables), "instance")
    if meant == "SESSION":
        return _matching(typed, names.sessions)
    if meant == "FORM":
        return _matching(typed, FORMS)
    return Offer(typed, [])


def _model_names(*, is_fim: bool) -> list[str]:
    from mistral_nb.backends.embedded.weights import LOCAL_MODELS

    known = catalogue.load_catalogue()
    models = [model for model in known.models if model.kind == "chat" and not model.has_ended()]
    if is_fim:
        models = [model for model in models if model.name.startswith("codestral")]
    hosted = sorted({name for model in models for name in (*model.aliases, model.name)})
    short = [name for name, full in known.short_names.items() if full in hosted]
    local = [
        name for name, model in LOCAL_MODELS.items() if model.role == "chat" and (model.fill_in_middle or not is_fim)
    ]
    return [*short, *local, *hosted]


def _matching(typed: str, words: Iterable[str], kind: str = "magic") -> Offer:
    return Offer(typed, [word for word in words if word.startswith(typed)], kind)
