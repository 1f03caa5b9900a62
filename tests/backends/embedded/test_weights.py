"""What is handed out as a model's weights, and what is said when there is nothing to hand out."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mistral_nb.backends.embedded import weights
from mistral_nb.backends.embedded.weights import (
    LOCAL_MODELS,
    IndexSource,
    LocalModel,
    file_sha256,
    verified_path,
    weights_path,
)
from mistral_nb.errors import UnknownModel, WeightsCorrupt, WeightsMissing
from tests.backends.embedded.model_making import CONTENT, make_model, sha256


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_checked_here", {})


@pytest.fixture
def no_hashing(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a switch after which hashing is a failure."""

    def forbid() -> None:
        monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("the file was hashed again"))

    return forbid


def place(home: Path, content: bytes = CONTENT) -> Path:
    path = home / "weights" / "toy.gguf"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_there_are_four_local_models() -> None:
    assert list(LOCAL_MODELS) == ["local-tiny", "local-small", "local-medium", "local-embed"]
    assert len(LOCAL_MODELS) == 4


@pytest.mark.parametrize("model", LOCAL_MODELS.values(), ids=lambda model: model.name)
def test_every_input_is_pinned_and_has_a_place_in_every_source(model: LocalModel) -> None:
    places = [source.chunks if isinstance(source, IndexSource) else source.paths for source in model.sources]

    assert all(len(entry.sha256) == 64 and entry.size_bytes > 0 for entry in model.inputs)
    assert all(len(place) == len(model.inputs) for place in places)
    assert [source.kind for source in model.sources] == ["hub", "index"]


@pytest.mark.parametrize("model", LOCAL_MODELS.values(), ids=lambda model: model.name)
def test_measured_parts_add_up_to_the_whole(model: LocalModel) -> None:
    chunks = next(source.chunks for source in model.sources if isinstance(source, IndexSource))

    for entry, chunk in zip(model.inputs, chunks, strict=True):
        sizes = [member.size_bytes for member in chunk]
        assert None in sizes or sum(size or 0 for size in sizes) == entry.size_bytes


def test_a_misspelt_model_is_met_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="Did you mean 'local-small'") as caught:
        weights_path("local-smal", home=tmp_path)

    assert "local-tiny" in caught.value.remedy


def test_a_name_near_to_nothing_is_met_with_the_list(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel) as caught:
        weights_path("zzz", home=tmp_path)

    assert "Did you mean" not in caught.value.remedy


def test_missing_weights_come_with_the_line_to_paste(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        weights_path("local-small", home=tmp_path)

    assert str(tmp_path / "weights") in caught.value.problem
    assert "mistral-nb download-model local-small" in caught.value.remedy
    assert "model_path=" in caught.value.remedy


@pytest.mark.parametrize(("name", "size"), [("local-small", "582 MB with local-embed"), ("local-embed", "91 MB")])
def test_missing_weights_come_with_the_size_of_all_that_the_line_downloads(
    name: str, size: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsMissing, match=f"Download them, {size}, in a terminal"):
        weights_path(name, home=tmp_path)


def test_what_is_there_already_is_not_in_the_size(tmp_path: Path, weights_home: Path) -> None:
    embedding = LOCAL_MODELS["local-embed"].file_name
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / embedding).symlink_to(weights_home / "weights" / embedding)

    with pytest.raises(WeightsMissing, match="Download them, 98 MB, in a terminal"):
        weights_path("local-tiny", home=tmp_path)


def test_the_right_file_is_handed_out(tmp_path: Path) -> None:
    path = place(tmp_path)

    assert verified_path(make_model(), home=tmp_path) == path


def test_a_wrong_file_is_not_handed_out(tmp_path: Path) -> None:
    place(tmp_path, CONTENT[:-1])

    with pytest.raises(WeightsCorrupt, match="mistral-nb download-model local-toy"):
        verified_path(make_model(), home=tmp_path)


def test_an_unchanged_file_is_hashed_once(tmp_path: Path, no_hashing: Callable[[], None]) -> None:
    place(tmp_path)
    verified_path(make_model(), home=tmp_path)
    no_hashing()

    verified_path(make_model(), home=tmp_path)


def test_another_process_of_the_same_home_does_not_hash_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_hashing: Callable[[], None]
) -> None:
    place(tmp_path)
    verified_path(make_model(), home=tmp_path)
    monkeypatch.setattr(weights, "_checked_here", {})
    no_hashing()

    verified_path(make_model(), home=tmp_path)


def test_a_file_that_is_written_to_is_hashed_again(tmp_path: Path) -> None:
    path = place(tmp_path)
    verified_path(make_model(), home=tmp_path)
    path.write_bytes(CONTENT[:-1] + b"!")
    os.utime(path, ns=(1, 1))

    with pytest.raises(WeightsCorrupt):
        verified_path(make_model(), home=tmp_path)


def test_a_file_put_in_its_place_with_the_same_size_and_time_is_hashed_again(tmp_path: Path) -> None:
    path = place(tmp_path)
    verified_path(make_model(), home=tmp_path)
    other = tmp_path / "other"
    other.write_bytes(CONTENT[:-1] + b"!")
    shutil.copystat(path, other)
    other.replace(path)

    with pytest.raises(WeightsCorrupt):
        verified_path(make_model(), home=tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{not json", '{"a": 1}'])
def test_a_damaged_memory_is_ignored(tmp_path: Path, text: str) -> None:
    path = place(tmp_path)
    (tmp_path / "weights" / "checked.json").write_text(text)

    assert verified_path(make_model(), home=tmp_path) == path


def test_a_home_that_cannot_be_written_to_still_serves(tmp_path: Path) -> None:
    path = place(tmp_path)
    # A folder in the way of the file, because permissions do not stop every user.
    (tmp_path / "weights" / f"checked.json.{os.getpid()}").mkdir()

    assert verified_path(make_model(), home=tmp_path) == path


def test_the_users_own_file_is_known_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)

    assert file_sha256(path) == sha256(CONTENT)
    assert file_sha256(path, home=tmp_path) == sha256(CONTENT)


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 a zip"])
def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(content)

    with pytest.raises(WeightsCorrupt, match="does not begin with the letters GGUF"):
        file_sha256(path)


def test_a_path_without_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"nowhere\.gguf"):
        file_sha256(tmp_path / "nowhere.gguf")


def test_a_folder_is_no_model_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="can't be read"):
        file_sha256(tmp_path)
