"""The panel's module in a page of its own, under a model that a test plays.

Promises: no kernel and no network; what the panel sends is kept, what a test says arrives as from the kernel.
"""

import base64
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route

import mistral_nb.notebook.chat

STATIC = Path(mistral_nb.notebook.chat.__file__).parent / "static"
# Only an address that counts as secure has a clipboard; nothing is ever asked of it.
ADDRESS = "https://panel.test/"
_HTML = """<!doctype html>
<html lang="en">
<head><title>Panel</title><link rel="stylesheet" href="panel.css"></head>
<body data-jp-theme-light="true"><main><h1>Panel</h1><div id="one"></div><div id="two"></div></main></body>
</html>"""
_START = """async () => {
  const module = await import("./panel.js");
  const listeners = {};
  window.waits = new Set();
  const widget = await module.default((callback) => {
    window.waits.add(callback);
    return () => window.waits.delete(callback);
  });
  window.sent = [];
  window.model = {
    get: () => undefined,
    on: (name, callback) => (listeners[name] ??= new Set()).add(callback),
    off: (name, callback) => listeners[name]?.delete(callback),
    send: (message, _, buffers) => window.sent.push({ ...message, buffers: buffers.map((one) => one.byteLength) }),
  };
  window.kernel = {
    says: (message) => (listeners["msg:custom"] ?? []).forEach((listener) => listener(message)),
    ends: () => (listeners["comm_live_update"] ?? []).forEach((listener) => listener()),
    listeners: () => Object.values(listeners).reduce((sum, some) => sum + some.size, 0),
  };
  window.show = (id) => widget.render({ model: window.model, el: document.getElementById(id) });
  window.initialized = widget.initialize({ model: window.model });
  window.closeFirst = window.show("one");
}"""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FACTS = {
    "model": "mistral-small-latest",
    "models": ["mistral-small-latest", "mistral-large-latest"],
    "cost": "$0.0012",
    "budget": "$0.2000",
    "frames": [{"name": "sales", "label": "sales: schema and 5 rows", "text": "pandas DataFrame `sales`: 2 rows"}],
    "system": "",
    "tools": [{"name": "lookup_owner", "asks": True}],
    "transcript": "mistral-nb-of-1",
}


def turn(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a turn as the kernel tells it."""
    return {
        "id": number,
        "question": "How many towns?",
        "images": [],
        "model": "mistral-small-latest",
        "state": "done",
        "parts": [{"kind": "text", "text": "Two."}],
        "footer": "mistral-small-latest · 3 tokens",
        "note": "",
        "error": None,
        "leftOut": 0,
        "isPinned": False,
    } | fields


class PanelPage:
    """A page that shows one panel."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requested: list[str] = []
        self._number = 0
        page.unroute_all()
        page.route("**/*", self._serve)
        page.goto(ADDRESS)
        page.evaluate(_START)

    def says(self, kind: str, **content: Any) -> None:
        """Deliver a numbered message of the kernel, and wait until it is painted."""
        self._number += 1
        self.delivers({"kind": kind, "number": self._number, **content})

    def delivers(self, message: dict[str, Any]) -> None:
        self.page.evaluate(
            "message => { window.kernel.says(message); return new Promise(requestAnimationFrame); }", message
        )

    def grow(self, *texts: str) -> None:
        """Deliver the texts of the first turns character by character, each painted."""
        first = self._number + 1
        self._number += sum(map(len, texts))
        self.page.evaluate(
            """async ([texts, number]) => {
              for (let at = 0; texts.some((text) => at < text.length); at += 1) {
                for (const [index, text] of texts.entries()) {
                  if (at >= text.length) continue;
                  const piece = {kind: "piece", turn: index + 1, part: 0, type: "text", at, text: text[at]};
                  window.kernel.says({...piece, number: number++});
                }
                await new Promise(requestAnimationFrame);
              }
            }""",
            [texts, first],
        )

    def opens(self, *turns: dict[str, Any], **facts: Any) -> None:
        """Deliver a snapshot."""
        self.says("snapshot", turns=list(turns), facts=FACTS | facts)

    def hears(self, message: dict[str, Any]) -> None:
        """Let the kernel say that it has a message."""
        self.delivers({"kind": "heard", "page": message["page"], "upTo": message["number"], "isGap": False})

    def time_passes(self) -> None:
        """Let everything that the panel waits for come, but once."""
        self.page.evaluate(
            "() => [...window.waits].forEach((callback) => { window.waits.delete(callback); callback(); })"
        )

    def sent(self, kind: str) -> list[dict[str, Any]]:
        """Return what the panel has sent of a kind."""
        messages: list[dict[str, Any]] = self.page.evaluate(
            "kind => window.sent.filter((message) => message.kind === kind)", kind
        )
        return messages

    @property
    def attack(self) -> Any:
        """What an attack has left on the page; None when it did nothing."""
        return self.page.evaluate("window.attacked ?? null")

    def _serve(self, route: Route) -> None:
        name = route.request.url.removeprefix(ADDRESS)
        types = {"": "text/html", "panel.js": "text/javascript", "panel.css": "text/css"}
        if name not in types:
            self.requested.append(route.request.url)
            route.abort()
            return
        route.fulfill(body=_HTML if not name else (STATIC / name).read_text("utf-8"), content_type=types[name])
