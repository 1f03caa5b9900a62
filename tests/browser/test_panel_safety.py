"""The panel under attack: nothing that a model, a tool, data or a file says can act on the page."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.answers import ATTACK
from tests.browser.panel_module import PanelPage, turn

pytestmark = pytest.mark.browser

# Classes of payloads that were tried against other panels: handlers, frames, forms, styles, addresses, clobbering, mutation, maths.
PAYLOADS = {
    "script": "<script>window.attacked = 1</script>",
    "handler": "<img src=x onerror='window.attacked = 1'>",
    "image": "![x](https://evil.example/pixel.png)",
    "image handler": '![x](x"onerror="window.attacked=1)',
    "svg": "<svg onload='window.attacked = 1'><script>window.attacked = 1</script></svg>",
    "frame": "<iframe srcdoc='<script>parent.attacked = 1</script>'></iframe>",
    "object": "<object data='https://evil.example/x'></object><embed src='https://evil.example/x'>",
    "form": "<form action='https://evil.example'><input name=x><button>Send</button></form>",
    "style": "<style>body {display: none}</style><p style='position:fixed;inset:0'>x</p>",
    "link": "[click](javascript:window.attacked=1)",
    "coded link": "[click](&#106;avascript:window.attacked=1)",
    "data link": "[click](data:text/html,<script>window.attacked=1</script>)",
    "autolink": "<javascript:window.attacked=1>",
    "reference": "[click][a]\n\n[a]: javascript:window.attacked=1",
    "clobbering": "<a id=model name=kernel>x</a><form id=sent></form>",
    "mutation": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=window.attacked=1&gt;'>",
    "template": "<template><img src=x onerror=window.attacked=1></template>",
    "code": "```html\n<img src=x onerror='window.attacked = 1'>\n```",
    "language": '```"><img/src=x/onerror=window.attacked=1>\nx\n```',
    "inline code": "`<img src=x onerror=window.attacked=1>`",
    "table": "| <img src=x onerror=window.attacked=1> |\n|---|\n| [x](javascript:window.attacked=1) |",
    "formula": "$\\href{javascript:window.attacked=1}{x}$ $$<img src=x onerror=window.attacked=1>$$",
    "meta": "<meta http-equiv=refresh content='0;url=https://evil.example'><base href='https://evil.example'>",
    "link tag": "<link rel=stylesheet href='https://evil.example/x.css'>",
    "class": "<p class='mistral-chat jp-Notebook'>x</p>",
}
FORBIDDEN = (
    "script, img, svg, iframe, object, embed, form, input:not([type=file]), style:not(.hider), meta, link, base, math"
)


def test_answers_that_come_in_pieces_can_not_act(attacked: PanelPage) -> None:
    attacked.opens(*(turn(number, state="running", parts=[]) for number in range(1, len(PAYLOADS) + 1)))
    attacked.grow(*PAYLOADS.values())
    for number, payload in enumerate(PAYLOADS.values(), 1):
        attacked.says("turn", turn=turn(number, parts=[{"kind": "text", "text": payload}]))

    assert_harmless(attacked)


@pytest.mark.parametrize("payload", [ATTACK, *PAYLOADS.values()], ids=["all", *PAYLOADS])
def test_nothing_that_comes_from_outside_can_act_wherever_it_is_shown(attacked: PanelPage, payload: str) -> None:
    call: dict[str, Any] = {"kind": "call", "id": "a", "state": "done", "seconds": 1}
    texts = {"name": payload, "arguments": payload, "result": payload}
    parts = [{"kind": "thinking", "text": payload}, call | texts, {"kind": "text", "text": payload}]
    image = {"name": payload, "type": "image/png", "bytes": 1}
    error = {"kind": payload, "problem": payload, "remedy": payload}
    hostile = turn(question=payload, parts=parts, images=[image], error=error, note=payload, footer=payload)
    frame = {"name": payload, "label": payload, "text": payload}
    attacked.opens(hostile, frames=[frame], model=payload, models=[payload], tools=[{"name": payload, "asks": False}])

    assert_harmless(attacked)


def test_only_the_panels_own_classes_come_through(attacked: PanelPage, page: Page) -> None:
    attacked.opens(turn(parts=[{"kind": "text", "text": "```python\nclass A: pass\n```"}]))

    assert page.locator(".answer [class]").evaluate_all(
        "nodes => nodes.every(({className}) => /^(hljs|text|code|code-bar|$)/.test(className))"
    )


def assert_harmless(panel: PanelPage) -> None:
    page = panel.page
    for link in page.locator(".mistral-chat a").all():
        link.evaluate("link => { if (!/^(https?|mailto):/.test(link.href)) link.click(); }")

    assert panel.attack is None
    assert panel.requested == []
    assert page.locator(".mistral-chat").locator(FORBIDDEN).count() == 0
    assert page.locator(".mistral-chat [style], .answer [id], .answer [name]").count() == 0
    assert page.locator(".mistral-chat").is_visible()
