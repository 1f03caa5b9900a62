"""`typing.TypedDict` where pydantic reads only that of `typing_extensions`: before Python 3.12.

Promises: types without a TypedDict, and all types from Python 3.12 on, stay the same object.
"""

import sys
import types
import typing
from typing import Any, get_args, get_origin


def readable(kind: Any) -> Any:
    """Return the type with each TypedDict, also inside of lists, unions and other TypedDicts, as pydantic reads it.

    Raises
    ------
    RecursionError
        A TypedDict contains itself.
    """
    if sys.version_info >= (3, 12):
        return kind
    if typing.is_typeddict(kind) and type(kind).__module__ == "typing":
        return _rewritten(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is None or origin is typing.Literal:
        return kind
    converted = tuple(map(readable, arguments))
    if all(new is old for new, old in zip(converted, arguments, strict=True)):
        return kind
    if origin is typing.Annotated:
        return typing.Annotated[(converted[0], *kind.__metadata__)]
    return (typing.Union if origin is types.UnionType else origin)[converted]


def _rewritten(kind: Any) -> Any:
    import typing_extensions

    fields = {
        name: _marked(hint, is_required=name in kind.__required_keys__)
        for name, hint in typing.get_type_hints(kind, include_extras=True).items()
    }
    make: Any = typing_extensions.TypedDict
    rewritten = make(kind.__name__, fields)
    rewritten.__doc__ = kind.__doc__
    rewritten.__module__ = kind.__module__
    return rewritten


def _marked(hint: Any, *, is_required: bool) -> Any:
    mark = get_origin(hint)
    if mark in (typing.Required, typing.NotRequired):
        return mark[readable(get_args(hint)[0])]
    converted = readable(hint)
    return typing.Required[converted] if is_required else typing.NotRequired[converted]
