"""A typed Python function as something that a model may call.

Keeps to itself: where the options that `tool` was given are kept.
Promises: a decorated function is the same function as before; what can't be a tool is said when it is decorated or first given, not
when a model calls it.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from mistral_nb.completion import JsonObject
from mistral_nb.engine.chat_request import shortened
from mistral_nb.errors import InvalidOption
from mistral_nb.tools.docstrings import described
from mistral_nb.tools.parameters import Parameters, parameters_of

DEFAULT_MAX_RESULT_TOKENS = 2_000

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what the API takes
_OPTIONS = "__mistral_nb_tool__"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOptions:
    """What `tool` can be told of a function."""

    name: str | None = None
    description: str | None = None
    confirm: bool = False
    max_result_tokens: int = DEFAULT_MAX_RESULT_TOKENS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tool:
    """A function that a model may call.

    Attributes
    ----------
    name, description
        What the model reads of it.
    accepts
        Its parameters: ``accepts.schema`` is their JSON schema, ``accepts.read`` checks what a model wrote.
    function
        What is called, with keyword arguments; may be async.
    needs_confirmation
        Whether a person is asked before each call.
    max_result_tokens
        Where a result that is longer is cut.

    Examples
    --------
    >>> import mistral_nb
    >>> def lookup_owner(id: str) -> str:
    ...     '''Return the account owner.'''
    ...     return {"42": "Ada"}[id]
    >>> tool = mistral_nb.Tool.of(lookup_owner)
    >>> tool.name, tool.description, tool.call('{"id": "42"}')
    ('lookup_owner', 'Return the account owner.', 'Ada')
    """

    name: str
    description: str
    accepts: Parameters
    function: Callable[..., Any]
    needs_confirmation: bool = False
    max_result_tokens: int = DEFAULT_MAX_RESULT_TOKENS

    @classmethod
    def of(
        cls, function: Callable[..., Any], *, options: ToolOptions | None = None, annotations: JsonObject | None = None
    ) -> "Tool":
        """Return a function as a tool, with the options it was decorated with unless others are given.

        Raises
        ------
        InvalidOption
            The function can't be one; the message says why.
        """
        if not callable(function):
            raise InvalidOption(f"{shortened(function)} is no tool.", "Give functions, e.g. tools=[lookup_owner].")
        inner = _innermost(function)
        options = options or getattr(function, _OPTIONS, None) or getattr(inner, _OPTIONS, None) or ToolOptions()
        name = getattr(inner, "__name__", type(inner).__name__) if options.name is None else options.name
        if not _NAME.fullmatch(name):
            raise InvalidOption(
                f"A tool can't have the name {name!r}: 1 to 64 letters a-z, digits, _ and - are allowed.",
                'Give it one: @mistral_nb.tool(name="…")',
            )
        if options.max_result_tokens < 1:
            raise InvalidOption(f"max_result_tokens is {options.max_result_tokens}.", "Give a number from 1 up.")
        said = described(getattr(inner, "__doc__", None))
        return cls(
            name=name,
            description=said.description if options.description is None else options.description,
            accepts=parameters_of(function, name=name, described=said, annotations=annotations),
            function=function,
            needs_confirmation=options.confirm,
            max_result_tokens=options.max_result_tokens,
        )

    def definition(self) -> dict[str, Any]:
        """Return the tool as a request's `tools` has it."""
        function: dict[str, Any] = {"name": self.name, "description": self.description}
        if self.accepts.is_strict:
            function["strict"] = True
        return {"type": "function", "function": {**function, "parameters": self.accepts.schema}}

    def call(self, arguments: str) -> Any:
        """Check the arguments, JSON as a model writes it, and return what the function returns (a coroutine, if it is async).

        Raises
        ------
        InvalidAnswer
            The arguments are not what the function takes; it was not called.
        """
        return self.function(**self.accepts.read(arguments))

    def __repr__(self) -> str:
        return f"Tool({self.name}: {', '.join(self.accepts.schema['properties'])})"


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    confirm: bool = False,
    max_result_tokens: int = DEFAULT_MAX_RESULT_TOKENS,
) -> Callable[[F], F]: ...


def tool(function: Any = None, /, **options: Any) -> Any:
    """Let a model call a function: its signature, annotations and docstring become what the model reads.

    The function itself stays as it is. A function without the decorator can be a tool too; the decorator checks it at once, and
    takes options.

    Parameters
    ----------
    name
        Default: the function's own.
    description
        Default: its docstring, without the sections. Parameters documented in numpy's or Google's form are described one by one.
    confirm
        Ask a person before each call: in a notebook by a prompt; where nobody can be asked, the call is denied.
    max_result_tokens
        Where a longer result is cut, with a note: 2,000.

    Raises
    ------
    InvalidOption
        A parameter has no annotation or one that JSON can't hold, there are ``*args`` or ``**kwargs``, or the name is not a-z, A-Z,
        0-9, _ and -.

    Examples
    --------
    >>> import mistral_nb
    >>> @mistral_nb.tool
    ... def lookup_owner(id: str) -> str:
    ...     '''Return the account owner.'''
    ...     return {"42": "Ada"}.get(id, "nobody")
    >>> lookup_owner("42")
    'Ada'
    >>> @mistral_nb.tool(confirm=True)
    ... def close_account(id: str, reason: str = "asked by the owner") -> None:
    ...     '''Close an account.'''
    """
    known = {field.name for field in dataclasses.fields(ToolOptions)}
    if options.keys() - known:
        raise InvalidOption(
            f"tool has no option {min(options.keys() - known)!r}.", f"There are: {', '.join(sorted(known))}."
        )
    if function is None:
        return lambda decorated: _marked(decorated, ToolOptions(**options))
    return _marked(function, ToolOptions(**options))


def tools_by_name(tools: Any) -> dict[str, Tool]:
    """Return the tools of a list of functions, tools and kits of tools (which are lists themselves), in its order.

    Raises
    ------
    InvalidOption
        Something can't be a tool, or two have the same name.
    """
    found: dict[str, Tool] = {}
    for made in _flat(tools):
        if made.name in found:
            raise InvalidOption(
                f"Two tools have the name {made.name!r}.",
                'Give one another: @mistral_nb.tool(name="…"), frame_tools(df, name="…")',
            )
        found[made.name] = made
    return found


def _flat(tools: Any) -> list[Tool]:
    if isinstance(tools, Tool):
        return [tools]
    if callable(tools):
        return [Tool.of(tools)]
    if isinstance(tools, Iterable) and not isinstance(tools, str | bytes | dict):
        return [made for inner in tools for made in _flat(inner)]
    raise InvalidOption(f"{shortened(tools)} is no tool.", "Give functions, e.g. tools=[lookup_owner].")


def _marked(function: Any, options: ToolOptions) -> Any:
    is_method = next(iter(getattr(getattr(function, "__code__", None), "co_varnames", ())), "") in {"self", "cls"}
    if not is_method:  # a method is checked when it is given, bound to its object
        Tool.of(function, options=options)
    try:
        setattr(function, _OPTIONS, options)
    except AttributeError:
        raise InvalidOption(
            f"{shortened(function)} can't be marked as a tool.", "Decorate the function itself where it is defined."
        ) from None
    return function


def _innermost(function: Any) -> Any:
    """Return the function under `functools.partial`: it has the name, the docstring and the options."""
    while isinstance(function, functools.partial):
        function = function.func
    return function
