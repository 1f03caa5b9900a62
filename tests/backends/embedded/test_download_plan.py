"""What a download would bring, said before it begins."""

import subprocess
import sys
from pathlib import Path

import pytest

from mistral_nb.backends.embedded import download as download_module
from mistral_nb.backends.embedded.download import DownloadPlan, download, plan_download
from mistral_nb.errors import InvalidOption, UnknownModel
from tests.backends.embedded.file_server import FileServer
from tests.backends.embedded.model_making import CONTENT, HUB_PATH, make_model


@pytest.fixture(autouse=True)
def usual_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_NB_WEIGHTS_SOURCES", raising=False)


@pytest.fixture
def toy_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the weights of the one model lie that there is now."""
    monkeypatch.setattr(download_module, "local_model", lambda _: make_model())
    path = tmp_path / "weights" / "toy.gguf"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def test_a_model_that_answers_comes_with_the_one_that_embeds(tmp_path: Path) -> None:
    plan = plan_download(["local-small"], home=tmp_path)

    assert [model.name for model in plan.models] == ["local-small", "local-embed"]


def test_only_what_was_named_is_planned_when_asked(tmp_path: Path) -> None:
    plan = plan_download(["local-small"], home=tmp_path, only=True)

    assert [model.name for model in plan.models] == ["local-small"]


def test_a_model_named_twice_is_planned_once(tmp_path: Path) -> None:
    plan = plan_download(["local-embed", "local-tiny", "local-embed"], home=tmp_path)

    assert [model.name for model in plan.models] == ["local-embed", "local-tiny"]


def test_what_is_there_is_not_planned(tmp_path: Path, toy_weights: Path) -> None:
    plan = plan_download(["local-toy"], home=tmp_path, only=True)

    assert (plan.models, plan.download_bytes) == ((), 0)
    assert plan.describe() == "Already there: local-toy."
    assert download(plan) == []


def test_a_damaged_file_is_planned_and_replaced(
    tmp_path: Path, toy_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_weights.write_bytes(b"GGUF, and then nothing")

    with FileServer() as server:
        server.files[HUB_PATH] = CONTENT
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HTTP_PROXY", raising=False)
        monkeypatch.delenv("http_proxy", raising=False)
        download(plan_download(["local-toy"], home=tmp_path, only=True))

    assert toy_weights.read_bytes() == CONTENT


def test_a_plan_says_what_from_where_how_large_and_under_which_licence(tmp_path: Path) -> None:
    text = plan_download(["local-small"], home=tmp_path).describe()

    for fact in ("local-small", "Qwen2.5-Coder-0.5B", "491 MB", "Apache-2.0", "the hub", "the package index"):
        assert fact in text
    assert f"582 MB in all, into {tmp_path / 'weights'}" in text


def test_a_plan_names_the_model_that_no_allowed_source_has(tmp_path: Path) -> None:
    assert "from nowhere" in DownloadPlan(tmp_path, (make_model(),), (), ("index",)).describe()


def test_an_unknown_model_cannot_be_planned(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel):
        plan_download(["small"], home=tmp_path)


@pytest.mark.parametrize(
    ("value", "kinds"), [("index", ("index",)), (" index, hub,", ("index", "hub")), ("", ("hub", "index"))]
)
def test_the_environment_chooses_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, kinds: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MISTRAL_NB_WEIGHTS_SOURCES", value)

    assert plan_download(["local-tiny"], home=tmp_path).source_kinds == kinds


@pytest.mark.parametrize("value", ["pip", ",", "hub,mirror"])
def test_an_unknown_source_in_the_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MISTRAL_NB_WEIGHTS_SOURCES", value)

    with pytest.raises(InvalidOption, match="it can only name hub and index"):
        plan_download(["local-tiny"], home=tmp_path)


def test_importing_brings_no_heavy_package() -> None:
    heavy = "{'mistralai', 'aiohttp', 'xllamacpp', 'IPython', 'gguf', 'filelock'}"
    code = f"import sys, mistral_nb.backends.embedded.download; print(sorted({heavy} & set(sys.modules)))"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"
