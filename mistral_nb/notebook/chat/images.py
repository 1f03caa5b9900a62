"""Images that go along with a question.

Keeps to itself: which kinds of image there are, how they are told, and how large they may be.
Promises: what is sent is an image of a kind that the API takes, whatever its file is called.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from mistral_nb.completion import JsonObject
from mistral_nb.engine.session import Session
from mistral_nb.errors import InvalidOption, MistralNotebookError, NotSupported
from mistral_nb.settings import is_local

# A Jupyter server closes the connection at a message of 10 MiB (tornado's `websocket_max_message_size`), and with base64 a request
# grows by a third.
MOST_BYTES = 5_000_000
MOST_BYTES_IN_ALL = 8_000_000
MOST_IMAGES = 8

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_MOST_NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image, by what its bytes say it is."""

    name: str
    media_type: str
    content: bytes = field(repr=False)

    def chunk(self) -> JsonObject:
        """Return the image as a part of a message."""
        data = base64.b64encode(self.content).decode()
        return {"type": "image_url", "image_url": f"data:{self.media_type};base64,{data}"}


def checked_images(files: Sequence[tuple[str, bytes]]) -> tuple[ImageFile, ...]:
    """Return names and contents of files as images.

    Raises
    ------
    InvalidOption
        One is no PNG, JPEG, GIF or WebP, one or all together are too large, or there are too many.
    """
    if len(files) > MOST_IMAGES:
        raise InvalidOption(f"There are {len(files)} images.", f"Send at most {MOST_IMAGES} with one question.")
    images = tuple(_checked(name, content) for name, content in files)
    size = sum(len(image.content) for image in images)
    if size > MOST_BYTES_IN_ALL:
        raise InvalidOption(
            f"The images have {size / 1e6:.1f} MB.", f"Send at most {MOST_BYTES_IN_ALL / 1e6:g} MB with one question."
        )
    return images


def refuse_blind_model(model: str, session: Session) -> None:
    """Raise NotSupported where it is known that the model can't look at images.

    An embedded one never can. Of a hosted one the endpoint's list of models tells; where it does not, the request is left to it.
    """
    if is_local(model):
        raise NotSupported(
            f"The embedded {model} can't look at images.",
            "With a key, Mistral's models can: set MISTRAL_API_KEY, then choose e.g. model='mistral-small-latest'.",
        )
    try:
        cards = session.models()
    except MistralNotebookError:  # a server without a list, which may serve the request all the same
        return
    able = [card.id for card in cards if card.capabilities.get("vision")]
    if any(model in (card.id, *card.aliases) for card in cards if card.id not in able) and model not in able:
        named = f"Choose one that can, e.g. model={able[0]!r}." if able else "The endpoint lists no model that can."
        raise NotSupported(f"{model} can't look at images.", named)


def _checked(name: str, content: bytes) -> ImageFile:
    shown = name[:_MOST_NAME_CHARACTERS] or "image"
    media_type = _media_type(content)
    if media_type is None:
        raise InvalidOption(f"{shown!r} is no image that can be sent.", "Send a PNG, JPEG, GIF or WebP file.")
    if len(content) > MOST_BYTES:
        raise InvalidOption(
            f"{shown!r} has {len(content) / 1e6:.1f} MB.",
            f"An image may have {MOST_BYTES / 1e6:g} MB: make it smaller, models look at about 1,000 × 1,000 pixels.",
        )
    return ImageFile(name=shown, media_type=media_type, content=content)


def _media_type(content: bytes) -> str | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for signature, kind in _SIGNATURES.items() if content.startswith(signature)), None)
