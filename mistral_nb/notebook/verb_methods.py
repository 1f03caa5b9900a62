"""Methods of ``series.mistral`` and ``df.mistral``, made of one function per verb.

Keeps to itself: how a verb's signature and docstring become those of its methods, which ``?``, Shift+Tab and tab completion read.
Promises: both doors run the same function, on whatever library's frames: what it reads and gives goes over an `Edge`. On a frame
the parameter `column` is the column's name, at the place where the verb has it, and so are the parameters in `other_columns` (one
name, or a list of them); on a Series `column` is the Series. A verb of a whole `frame` sees a Series as a frame of one column. An
option that there is not is refused with the nearest one that there is.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from mistral_nb.errors import InvalidOption
from mistral_nb.notebook.edge import Edge
from mistral_nb.notebook.row_verbs import DEFAULTS, VerbOptions

Verb = Callable[..., Any]
# Puts what the verb reads (columns, a frame) of the accessor's subject among the arguments that were given.
_Read = Callable[[Any, dict[str, Any], Edge], None]

_SELF = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
# In numpydoc's order.
_SECTIONS = ("Parameters", "Returns", "Raises", "Notes", "Examples")
_SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-+\n", re.MULTILINE)
_COLUMN_DOC = "column\n    Name of the column to read."
_NOT_TEXT = """
NotText
    The column holds something else than text; the error has the cast to paste.
""".strip()
_COLUMN_ERRORS = f"""
UnknownColumn
    There is no column of that name.
{_NOT_TEXT}
""".strip()
_OPTIONS_ERRORS = """
InvalidOption, UnknownPrice
    An option that there is not, a value it can't have, or a budget for a model without a known price.
KeyProblem, ModelProblem, EmbeddedProblem, WrongEndpoint
    No row could be answered; what was answered before is kept and not asked again.
RowsFailed
    With ``errors="raise"``, when rows failed; what was answered is in its `result`.
""".strip()


def on_series(verb: Verb, *, other_columns: Sequence[str] = ()) -> Verb:
    """Return the verb as a method of ``series.mistral``; `other_columns` are parameters that may be columns of as many rows."""
    subject = _subject_of(verb)

    def read(series: Any, given: dict[str, Any], edge: Edge) -> None:
        given |= _arguments(series, given, other_columns, edge)
        given[subject] = edge.column(series) if subject == "column" else edge.frame_of(series)

    parameters = [parameter for parameter in _parameters_of(verb) if parameter.name != subject]
    return _method(verb, parameters, read, own_docs="", own_errors=_NOT_TEXT if subject == "column" else "")


def on_frame(verb: Verb, *, other_columns: Sequence[str] = ()) -> Verb:
    """Return the verb as a method of ``df.mistral``; `other_columns` are parameters that name further columns of the frame."""
    subject = _subject_of(verb)

    def read(frame: Any, given: dict[str, Any], edge: Edge) -> None:
        given[subject] = edge.frame(frame) if subject == "frame" else edge.named_column(frame, given["column"])
        given |= _arguments(frame, given, other_columns, edge)

    if subject == "frame":
        parameters = [parameter for parameter in _parameters_of(verb) if parameter.name != "frame"]
        return _method(verb, parameters, read, own_docs="", own_errors="")
    parameters = [
        parameter.replace(annotation=str) if parameter.name == "column" else parameter
        for parameter in _parameters_of(verb)
    ]
    return _method(verb, parameters, read, own_docs=_COLUMN_DOC, own_errors=_COLUMN_ERRORS)


def _arguments(subject: Any, given: Mapping[str, Any], other_columns: Sequence[str], edge: Edge) -> dict[str, Any]:
    """Return the arguments, with columns of the library as pandas' own; those of `other_columns` have as many rows."""

    def argument(name: str, value: Any) -> Any:
        if name not in other_columns or value is None:
            return edge.argument(value)
        if isinstance(value, list):
            return [edge.further_column(subject, each) for each in value]
        return edge.further_column(subject, value)

    return {name: argument(name, value) for name, value in given.items()}


def _method(
    verb: Verb, parameters: Sequence[inspect.Parameter], read: _Read, *, own_docs: str, own_errors: str
) -> Verb:
    """Return the method with these parameters, which gives the verb what `read` finds in the accessor's Series or frame."""
    taken = inspect.Signature(parameters)
    defaults: Mapping[str, object] = DEFAULTS
    own = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    shared = _options_of(verb)
    names = [*(parameter.name for parameter in own), *shared]

    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in names:
                raise no_option(name, names)
        try:
            given = taken.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{verb.__name__}: {error}") from None
        shared_options = given.pop("options", {})
        edge: Edge = self._edge
        read(self._subject, given, edge)
        return edge.given(lambda: verb(**given, **shared_options), asked=given | shared_options)

    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=annotation)
        for name, annotation in shared.items()
    ]
    method.__signature__ = inspect.Signature([_SELF, *own, *options])  # type: ignore[attr-defined]
    method.__name__ = method.__qualname__ = verb.__name__
    method.__module__ = verb.__module__
    method.__doc__ = _doc(verb, own_docs, own_errors, shared)
    return method


def _parameters_of(verb: Verb) -> list[inspect.Parameter]:
    return list(inspect.signature(verb).parameters.values())


def _subject_of(verb: Verb) -> str:
    return "frame" if "frame" in inspect.signature(verb).parameters else "column"


def _options_of(verb: Verb) -> dict[str, Any]:
    """Return name and annotation of each option that the verb shares with others: those of the TypedDict it unpacks."""
    for parameter in _parameters_of(verb):
        if parameter.kind is parameter.VAR_KEYWORD:
            (options,) = get_args(parameter.annotation)
            return dict(options.__annotations__)
    return {}


def no_option(name: str, names: Sequence[str]) -> InvalidOption:
    """Return the error of an option that there is not, with the nearest one that there is."""
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]}=? " if near else ""
    return InvalidOption(f"There is no option {name}=.", f"{hint}There are: {', '.join(names)}.")


def _doc(verb: Verb, own_docs: str, own_errors: str, shared: Iterable[str]) -> str:
    """Return the verb's docstring with what its door and the shared options add to the sections Parameters and Raises."""
    summary, *rest = _SECTION.split(inspect.getdoc(verb) or "")
    sections = dict.fromkeys(_SECTIONS, "")
    sections |= {title: body.strip("\n") for title, body in zip(rest[::2], rest[1::2], strict=True)}
    described = _described_options()
    sections["Parameters"] = "\n".join(filter(None, [own_docs, sections["Parameters"], *map(described.get, shared)]))
    errors = [sections["Raises"], own_errors, _OPTIONS_ERRORS if shared else ""]
    sections["Raises"] = "\n".join(filter(None, errors))
    written = [f"{title}\n{'-' * len(title)}\n{body}" for title, body in sections.items() if body]
    return "\n\n".join([summary.strip(), *written])


def _described_options() -> dict[str, str]:
    """Return the paragraph of each option of `VerbOptions`, by its name."""
    *_, attributes = _SECTION.split(inspect.getdoc(VerbOptions) or "")
    return {entry.split("\n", 1)[0]: entry for entry in re.split(r"\n(?=\w)", attributes.strip())}
