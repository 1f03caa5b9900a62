"""What a setting may be, whether it was given as an argument or as the text of a variable.

Keeps to itself: which addresses are this machine's own, and how a yes or no is written.
Promises: pure but for looking whether a file is there; what a setting can't be is `InvalidOption` with the line that is right.
"""

import ipaddress
import math
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from mistral_nb.errors import InvalidOption

_FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def checked_number(name: str, value: object, *, example: float, line: str) -> int | float:
    """Return a positive number; a whole one where the example is whole.

    Parameters
    ----------
    name, value
        Of the setting; the value may be the text of a number.
    example
        A number that it may be; an `int` where it has to be whole.
    line
        What to write instead, with the example in it.
    """
    is_whole = isinstance(example, int)
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number <= 0 or (is_whole and number != int(number)):
        kind = "whole number from 1 up" if is_whole else "positive number"
        raise InvalidOption(f"{name} is {value!r}.", f"Give a {kind}, e.g. {line}.")
    return int(number) if is_whole else number


def checked_flag(name: str, value: object) -> bool:
    """Return a yes or no, given as such or in a word."""
    flag = value if isinstance(value, bool) else _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise InvalidOption(f"{name} is {value!r}.", f"Give True or False, e.g. mistral_nb.configure({name}=True).")
    return flag


def checked_model_name(model: object) -> str:
    """Return a model's name as it is, and the path of a GGUF file made absolute; InvalidOption for anything but text or a path."""
    if not isinstance(model, str | os.PathLike):
        raise InvalidOption(f"model is {model!r}.", 'Give a model\'s name, e.g. model="mistral-small-latest".')
    name = os.fspath(model)
    return str(Path(name).expanduser().absolute()) if name.lower().endswith(".gguf") else name


def checked_endpoint(endpoint: str, *, allows_http: bool) -> str:
    """Return the endpoint's root: no trailing slash, no ``/v1`` (the SDK adds it).

    http is allowed to this machine alone, unless `allows_http`: elsewhere key and texts could be read on their way.
    """
    root = endpoint.rstrip("/").removesuffix("/v1").rstrip("/")
    if not root.startswith(("http://", "https://")):
        raise InvalidOption(
            f"The endpoint {endpoint!r} is no http(s) address.",
            'Give the whole address, e.g. mistral_nb.configure(endpoint="http://localhost:8000").',
        )
    if root.startswith("http://") and not allows_http and not is_loopback(root):
        raise InvalidOption(
            f"The endpoint {endpoint!r} is not encrypted, so that key and texts could be read on their way.",
            f'Give its https address, e.g. mistral_nb.configure(endpoint="https{root[4:]}"), or, in a network that you trust, '
            f'mistral_nb.configure(endpoint="{root}", allow_http=True).',
        )
    return root


def is_loopback(address: str) -> bool:
    """Whether an address leads to this machine itself."""
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_model_path(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a GGUF file that is there."""
    file = Path(path).expanduser().absolute()
    if file.suffix.lower() != ".gguf" or not file.is_file():
        raise InvalidOption(
            f"No GGUF file at {str(file)!r}.",
            'Give the path of a .gguf file, e.g. mistral_nb.configure(model_path="~/models/my-model.gguf").',
        )
    return file


def checked_share(name: str, value: object) -> float:
    """Return a share above 0 and below 1, from a number or its text."""
    try:
        share = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise InvalidOption(f"{name} is {value!r}.", f"Give a share between 0 and 1, e.g. {name}=0.2.")
    return share


def checked_latency_budgets(value: object) -> dict[str, float]:
    """Return seconds by model, from a mapping or from text like "small=2,large=8"."""
    if isinstance(value, str):
        value = {model: seconds for model, _, seconds in (part.partition("=") for part in value.split(","))}
    if not isinstance(value, Mapping) or not all(isinstance(model, str) and model.strip() for model in value):
        raise InvalidOption(
            f"latency_budget_seconds is {value!r}.", 'Give seconds by model, e.g. latency_budget_seconds={"small": 2}.'
        )
    line = 'latency_budget_seconds={"small": 2}'
    return {
        model.strip(): float(checked_number(f"latency_budget_seconds[{model!r}]", seconds, example=2.0, line=line))
        for model, seconds in value.items()
    }
