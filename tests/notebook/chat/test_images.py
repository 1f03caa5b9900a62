import base64
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

import mistral_nb
from mistral_nb.errors import InvalidOption
from mistral_nb.notebook.chat.images import MOST_BYTES, checked_images
from tests.fake_api import KNOWN_MODELS, FakeApi
from tests.notebook.chat.page import Page

Opened = Callable[..., Page]
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


@pytest.fixture
def seeing(impatient: None) -> Iterator[FakeApi]:
    """Serve models that look at images."""
    with FakeApi(models=tuple(replace(model, has_vision=True) for model in KNOWN_MODELS)) as fake:
        mistral_nb.configure(endpoint=fake.url, api_key=fake.api_key)
        yield fake


def test_an_image_is_sent_with_the_question(seeing: FakeApi, opened: Opened) -> None:
    page = opened()
    page.asks("What is this?", images={"plot.png": PNG})
    page.ended(1)
    text, image = seeing.requests[-1].body["messages"][0]["content"]

    assert text == {"type": "text", "text": "What is this?"}
    assert image["image_url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def test_a_model_that_sees_no_images_says_so(api: FakeApi, opened: Opened) -> None:
    page = opened(model="codestral")
    page.asks("What is this?", images={"plot.png": PNG})
    turn = page.ended(1)

    assert (turn["error"]["kind"], turn["images"][0]["name"]) == ("NotSupported", "plot.png")
    assert not [seen for seen in api.requests if seen.path.endswith("/chat/completions")]


def test_the_embedded_model_says_that_it_sees_no_images(opened: Opened) -> None:
    mistral_nb.configure(model="local-tiny")
    page = opened()
    page.asks("What is this?", draft="5", images={"plot.png": PNG})

    assert (page.received[-1]["draft"], page.received[-1]["error"]["kind"]) == ("5", "NotSupported")
    assert page.turns == {}


def test_the_bytes_decide_and_not_the_name(api: FakeApi, opened: Opened) -> None:
    page = opened()
    page.asks("What is this?", images={"plot.png": b"<svg onload='alert(1)'>"})

    assert "no image that can be sent" in page.received[-1]["error"]["problem"]


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
    ],
    ids=["png", "jpeg", "gif", "webp"],
)
def test_four_kinds_are_known(start: bytes, kind: str) -> None:
    assert checked_images([("x", start)])[0].media_type == kind


@pytest.mark.parametrize(
    "files",
    [
        [("large.png", PNG + b"0" * MOST_BYTES)],
        [("a.png", PNG + b"0" * 4_500_000), ("b.png", PNG + b"0" * 4_500_000)],
        [("a.png", PNG)] * 9,
    ],
    ids=["one", "together", "many"],
)
def test_there_is_a_most_that_is_sent(files: list[tuple[str, bytes]]) -> None:
    with pytest.raises(InvalidOption):
        checked_images(files)
