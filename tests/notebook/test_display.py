import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.notebook import display
from mistral_nb.notebook.display import GrowingHtml, answer_bundle, markdown_html

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox)",
    '[x](https://a.example "title\\" onmouseover=alert(1)")',
    '<a href="javascript:alert(1)">x</a>',
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<form action=https://evil.example><input></form>",
    "<style>body{display:none}</style>",
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "`<script>alert(1)</script>`",
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "# <img src=x onerror=alert(1)>",
    '<https://a.example/"onmouseover=alert(1)>',
    "http://[x",
    "a\n<div>\n<script>alert(1)</script>\n</div>",
    "[ref]: javascript:alert(1)\n[ref]",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]
HARMLESS_TAGS = {
    "a", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "span", "strong", "style", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
HARMLESS_ATTRIBUTES = {"class", "href", "rel", "style", "target", "title", "start"}


class Inspector(HTMLParser):
    """Reads HTML as a browser does, and notes what could act."""

    def __init__(self) -> None:
        super().__init__()
        self.harmful: list[str] = []
        self.styles = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.styles += tag == "style"
        if tag not in HARMLESS_TAGS:
            self.harmful.append(tag)
        for name, value in attrs:
            link_acts = name == "href" and not re.match(r"(https?:|mailto:)", value or "")
            style_acts = name == "style" and not re.fullmatch(r"text-align:\w+", value or "")
            if name not in HARMLESS_ATTRIBUTES or link_acts or style_acts:
                self.harmful.append(f"{tag} {name}={value}")


def harmful(html: str) -> list[str]:
    inspector = Inspector()
    inspector.feed(html)
    inspector.close()
    return inspector.harmful + ["a second style"] * (inspector.styles - 1)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_can_not_act(text: str) -> None:
    assert harmful(answer_bundle(text)["text/html"]) == []


@given(
    st.lists(st.sampled_from([*HOSTILE, "\n", "\n\n", "> ", "- ", "*", "`", "|", "<", ">", "(", ")", '"']), max_size=8)
)
def test_no_mixture_of_hostile_texts_can_act(parts: list[str]) -> None:
    assert harmful(answer_bundle("".join(parts))["text/html"]) == []


def test_the_note_is_escaped_too() -> None:
    assert harmful(answer_bundle("x", note="<script>alert(1)</script>")["text/html"]) == []


def test_the_inspector_of_these_tests_notices_a_script() -> None:
    assert harmful("<style></style><p onclick=x><script>") == ["p onclick=x", "script"]


def test_an_answer_is_never_offered_as_live_markdown() -> None:
    assert set(answer_bundle("# Title")) == {"text/html", "text/plain"}


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**bold**", "<strong>bold</strong>"),
        ("| a |\n|---|\n| 1 |", "<table>"),
        ("~~no~~", "<del>no</del>"),
        ("see https://docs.mistral.ai", 'href="https://docs.mistral.ai"'),
        ("[site](https://a.example/?x=1&y=2)", 'href="https://a.example/?x=1&amp;y=2"'),
        ("```python\ndef f(): pass\n```", '<span class="k">def</span>'),
        ("```nolanguage\nx\n```", "<pre><code>x\n</code></pre>"),
        ("![a chart](https://a.example/c.png)", "[image: a chart]"),
        ("[mail](mailto:help@example.com 'write')", 'title="write"'),
    ],
)
def test_markdown_is_rendered(markdown: str, html: str) -> None:
    assert html in answer_bundle(markdown)["text/html"]


def test_amounts_of_money_are_not_typeset_as_formulas() -> None:
    """JupyterLab leaves alone what has this class (MathJax's own convention)."""
    assert 'class="mistral-nb mathjax_ignore tex2jax_ignore"' in answer_bundle("from $5 to $10")["text/html"]


def test_plain_text_is_the_text_itself() -> None:
    assert answer_bundle("1 < 2 & *x*")["text/plain"] == "1 < 2 & *x*"


def test_a_note_says_below_the_text_why_it_is_incomplete() -> None:
    assert answer_bundle("half", note="stopped")["text/plain"] == "half\n\n(stopped)"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_can_not_act_while_it_grows(text: str) -> None:
    growing = GrowingHtml()

    for end in range(1, len(text) + 1):
        assert harmful(f"<style></style>{growing.of(text[:end])}") == []


def test_hostile_steps_and_footers_can_not_act() -> None:
    html = answer_bundle("x", footer=HOSTILE[0], steps=HOSTILE)["text/html"]

    assert harmful(html) == []


ANSWER = """# Title

A paragraph
of two lines.

- one
- two

  still two

```python
def f():

    return 1
```

| a | b |
|---|---|
| 1 | 2 |

$$
x = 1

$$

The end.
"""


def without_blank(html: str) -> str:
    return re.sub(r"\s+", " ", html).strip()


def test_what_has_grown_looks_like_what_is_read_at_once() -> None:
    growing = GrowingHtml()
    for end in range(len(ANSWER)):
        html = growing.of(ANSWER[: end + 1])

    assert without_blank(html) == without_blank(markdown_html(ANSWER))


def test_a_finished_block_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    monkeypatch.setattr(display, "markdown_html", lambda text: rendered.append(text) or text)
    growing = GrowingHtml()
    growing.of("first\n\nsecond")
    rendered.clear()
    growing.of("first\n\nsecond part")

    assert rendered == ["second part"]


def test_colours_are_those_of_the_theme() -> None:
    style = answer_bundle("x")["text/html"].split("</style>")[0]

    assert re.findall(r"#[0-9a-f]{3,6}\b", style) == []
    assert "var(--jp-mirror-editor-keyword-color, inherit)" in style


def test_another_text_begins_anew() -> None:
    growing = GrowingHtml()
    growing.of("first\n\nsecond")

    assert growing.of("another\n\ntext, which is longer") == markdown_html("another\n\ntext, which is longer")
