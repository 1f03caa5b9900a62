"""Panels, each with a page that is open."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import mistral_nb
from tests.notebook.chat.page import PATIENCE_SECONDS, Page


@pytest.fixture
def opened() -> Iterator[Callable[..., Page]]:
    """Make a panel with these options, and open a page of it; it is closed at the end."""
    pages: list[Page] = []

    def open_page(**options: Any) -> Page:
        pages.append(Page(mistral_nb.ChatPanel(**options)))
        return pages[-1]

    yield open_page
    for page in pages:
        page.panel.close()
        page.panel.conversation.wait_until_idle(PATIENCE_SECONDS)
