"""Which local models there are, and where their weights lie once they have been found to be the right ones.

Keeps to itself: how `weights.toml` is written, and what is remembered of files that were hashed before.
Promises: a path handed out is a file whose SHA-256 is the one pinned for that model, checked since the file last changed;
nothing is downloaded here (see `download.py`).
"""

import contextlib
import difflib
import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mistral_nb.errors import UnknownModel, WeightsCorrupt, WeightsMissing

GGUF_MAGIC = b"GGUF"
CHECKED_FILE_NAME = "checked.json"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that is downloaded as it is, and what it must be."""

    file_name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class HubSource:
    """Files of one repository on the Hugging Face hub: `paths[i]` is the model's input number i."""

    repo: str
    revision: str
    paths: tuple[str, ...]

    @property
    def kind(self) -> Literal["hub"]:
        return "hub"

    @property
    def title(self) -> str:
        return f"the hub ({self.repo})"


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a wheel; `size_bytes` is None where nobody has measured it."""

    requirement: str
    member: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class IndexSource:
    """Wheels of a package index: the members of `chunks[i]`, put together, are the model's input number i."""

    chunks: tuple[tuple[WheelMember, ...], ...]

    @property
    def kind(self) -> Literal["index"]:
        return "index"

    @property
    def title(self) -> str:
        wheels = list(dict.fromkeys(part.requirement for chunk in self.chunks for part in chunk))
        named = wheels[0] if len(wheels) == 1 else f"{wheels[0]} … {wheels[-1]}"
        return f"the package index ({named})"


Source = HubSource | IndexSource


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One local model.

    Attributes
    ----------
    name
        What users type, e.g. "local-small".
    title
        What it is, e.g. "Qwen2.5-Coder-0.5B-Instruct, q4_k_m".
    file_name, sha256, size_bytes
        Of the GGUF file in `home/"weights"`. The hash decides; the size is what is announced.
    licence
        SPDX identifier.
    role
        "chat" answers, "embed" only embeds.
    context_tokens
        How many tokens of prompt and answer it holds.
    fill_in_middle
        Whether it completes code between a prompt and a suffix.
    note
        One line: what to expect of it.
    inputs
        What is downloaded: the GGUF file itself, or what it is made from.
    conversion
        None, or the name of the module here that makes the GGUF file from the inputs.
    sources
        Where the inputs are, in the order in which they are tried.
    """

    name: str
    title: str
    file_name: str
    sha256: str
    size_bytes: int
    licence: str
    role: Literal["chat", "embed"]
    context_tokens: int
    fill_in_middle: bool
    note: str
    inputs: tuple[InputFile, ...]
    conversion: Literal["minilm"] | None
    sources: tuple[Source, ...]

    @property
    def download_bytes(self) -> int:
        """How much is downloaded for it."""
        return sum(entry.size_bytes for entry in self.inputs)


class _Models(Mapping[str, LocalModel]):
    """Reads `weights.toml` at the first look, so that importing this module costs nothing."""

    def __getitem__(self, name: str) -> LocalModel:
        return _read_models()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_read_models())

    def __len__(self) -> int:
        return len(_read_models())


LOCAL_MODELS: Mapping[str, LocalModel] = _Models()


def local_model(name: str) -> LocalModel:
    """Return the local model of that name.

    Raises
    ------
    UnknownModel
        There is none; the remedy names the nearest.
    """
    if name in LOCAL_MODELS:
        return LOCAL_MODELS[name]
    near = difflib.get_close_matches(name, LOCAL_MODELS, n=1, cutoff=0.5)
    question = f"Did you mean '{near[0]}'? " if near else ""
    raise UnknownModel(f"No local model '{name}'.", f"{question}There are: {', '.join(LOCAL_MODELS)}.")


def weights_folder(home: Path) -> Path:
    """Return the folder of the weights, which need not exist yet."""
    return Path(os.path.abspath(home.expanduser())) / "weights"


def weights_path(name: str, *, home: Path) -> Path:
    """Return the GGUF file of a local model, found to be the right one.

    The file is hashed when it is new or has changed; otherwise this takes well under a millisecond.

    Raises
    ------
    UnknownModel
        There is no local model of that name.
    WeightsMissing
        Its file is not there.
    WeightsCorrupt
        The file is there, and is not what it should be.
    """
    return verified_path(local_model(name), home=home)


def verified_path(model: LocalModel, *, home: Path) -> Path:
    """Return the GGUF file of this model, as `weights_path` does for a name."""
    path = weights_folder(home) / model.file_name
    if not path.is_file():
        others = [other for other in comes_with(model) if not is_usable(other, home=home)]
        size = f"{sum(one.download_bytes for one in [model, *others]) / 1e6:,.0f} MB"
        size += f" with {others[0].name}" if others else ""
        raise WeightsMissing(
            f"The weights of {model.name} ({model.title}) are not on this machine: there is no {path}.",
            f"Download them, {size}, in a terminal:\nmistral-nb download-model {model.name}\n"
            'or use a GGUF file you have: mistral_nb.configure(model_path="…/model.gguf")',
        )
    found = file_sha256(path, home=home)
    if found != model.sha256:
        raise WeightsCorrupt(
            f"{path} is not {model.name} ({model.title}): it has {path.stat().st_size:,} bytes and SHA-256 {found[:12]}…, "
            f"expected {model.size_bytes:,} and {model.sha256[:12]}….",
            f"Download it again, in a terminal:\nmistral-nb download-model {model.name}",
        )
    return path


def comes_with(model: LocalModel) -> tuple[LocalModel, ...]:
    """Return what is downloaded together with a model: with each that answers the one that embeds, which classification uses."""
    return (local_model("local-embed"),) if model.role == "chat" else ()


def is_usable(model: LocalModel, *, home: Path) -> bool:
    """Return whether the model's file is there, and what it should be."""
    try:
        verified_path(model, home=home)
    except (WeightsMissing, WeightsCorrupt):
        return False
    return True


def file_sha256(path: Path, *, home: Path | None = None) -> str:
    """Return the SHA-256 of a GGUF file, 64 hexadecimal digits.

    Parameters
    ----------
    path
        Any GGUF file, e.g. the user's own.
    home
        Where the hash is remembered for other processes; without it, only this process remembers it.

    Raises
    ------
    WeightsMissing
        There is no such file, or it can't be read.
    WeightsCorrupt
        It does not begin as a GGUF file does: llama.cpp may end the process over such a file.
    """
    path = Path(os.path.abspath(path.expanduser()))
    try:
        state = _state(path)
        known = _checked_here.get(str(path)) or (_read_checked(home).get(str(path)) if home else None)
        if known is not None and known[:3] == state:
            return str(known[3])
        with path.open("rb") as file:
            if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
                raise WeightsCorrupt(
                    f"{path} is not a GGUF file: it does not begin with the letters GGUF.",
                    'Name a model in GGUF format, e.g. mistral_nb.configure(model_path="…/model.gguf")',
                )
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsMissing(
            f"The model file {path} can't be read: {error.strerror or error}.",
            'Correct the path: mistral_nb.configure(model_path="…/model.gguf")',
        ) from error
    _checked_here[str(path)] = [*state, digest]
    if home:
        _remember(home, str(path), [*state, digest])
    return digest


_checked_here: dict[str, list[Any]] = {}


def _state(path: Path) -> list[Any]:
    """Return what changes when a file is written to or replaced."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _read_checked(home: Path) -> dict[str, list[Any]]:
    """Return path -> [size, mtime_ns, inode, sha256] of the files hashed by any process of this home."""
    try:
        entries = json.loads((weights_folder(home) / CHECKED_FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return (
        {key: value for key, value in entries.items() if isinstance(value, list)} if isinstance(entries, dict) else {}
    )


def _remember(home: Path, path: str, entry: list[Any]) -> None:
    """Write down what a file's hash is. Two processes at once lose at worst one entry, and with it a second of hashing."""
    target = weights_folder(home) / CHECKED_FILE_NAME
    entries = {**_read_checked(home), path: entry}
    temporary = target.with_name(f"{CHECKED_FILE_NAME}.{os.getpid()}")
    # A home that can't be written to (a container image, another user's) still serves its weights: they are hashed each time.
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(entries, indent=1), encoding="utf-8")
        temporary.replace(target)


@functools.cache
def _read_models() -> dict[str, LocalModel]:
    import tomllib
    from importlib import resources

    text = resources.files("mistral_nb.backends.embedded").joinpath("weights.toml").read_text(encoding="utf-8")
    return {name: _read_model(name, table) for name, table in tomllib.loads(text).items()}


def _read_model(name: str, table: dict[str, Any]) -> LocalModel:
    facts = {key: value for key, value in table.items() if key not in {"inputs", "sources", "conversion"}}
    itself = {key: table[key] for key in ("file_name", "sha256", "size_bytes")}
    return LocalModel(
        name=name,
        inputs=tuple(InputFile(**entry) for entry in table.get("inputs", [itself])),
        conversion=table.get("conversion"),
        sources=tuple(_read_source(entry) for entry in table["sources"]),
        **facts,
    )


def _read_source(entry: dict[str, Any]) -> Source:
    if entry["kind"] == "hub":
        return HubSource(repo=entry["repo"], revision=entry["revision"], paths=tuple(entry["paths"]))
    return IndexSource(chunks=tuple(tuple(WheelMember(**part) for part in chunk) for chunk in entry["chunks"]))
