"""Model answers as HTML that can't act.

Keeps to itself: how Markdown is rendered, and the styles, which follow JupyterLab's theme. Dollars stay dollars: JupyterLab
would otherwise typeset what stands between two amounts of money as a formula.
Promises: whatever the text, the HTML holds no script, no event handler, no image, no form and no link but http(s) and mailto. The
`text/plain` form is the text itself. Answers are never shown as ``text/markdown``, which Jupyter renders with its HTML live.
"""

import re
from collections.abc import Callable
from functools import cache
from html import escape
from typing import Any
from urllib.parse import urlsplit

MimeBundle = dict[str, str]

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINK_SCHEMES = {"http", "https", "mailto"}
_STYLE = """<style>
.mistral-nb pre {background: var(--jp-cell-editor-background, rgba(128,128,128,.1)); padding: .5em .75em; overflow-x: auto;}
.mistral-nb .note {color: var(--jp-ui-font-color2, gray); font-size: 90%;}
.mistral-nb .k, .mistral-nb .kn, .mistral-nb .ow {color: var(--jp-mirror-editor-keyword-color, #7a3db8);}
.mistral-nb .s1, .mistral-nb .s2, .mistral-nb .sa {color: var(--jp-mirror-editor-string-color, #a31515);}
.mistral-nb .c1, .mistral-nb .cm {color: var(--jp-mirror-editor-comment-color, #408080);}
.mistral-nb .mi, .mistral-nb .mf {color: var(--jp-mirror-editor-number-color, #080);}
.mistral-nb .nf, .mistral-nb .nc {color: var(--jp-mirror-editor-def-color, #00f);}
</style>"""


def answer_bundle(text: str, *, note: str = "") -> MimeBundle:
    """Return the MIME bundle that shows an answer: rendered Markdown as HTML, and plain text.

    Parameters
    ----------
    text
        Markdown from a model; treated as hostile.
    note
        One line below the answer, e.g. why it is incomplete.
    """
    note_html = f'<p class="note">{escape(note)}</p>' if note else ""
    plain = without_controls(f"{text}\n\n({note})" if note else text)
    return {
        "text/html": f'{_STYLE}<div class="mistral-nb mathjax_ignore">{_markdown()(text)}{note_html}</div>',
        "text/plain": plain,
    }


def without_controls(text: str) -> str:
    """Return the text without control characters, which a terminal would obey (clear the screen, write the clipboard)."""
    return _CONTROLS.sub("", text)


@cache
def _markdown() -> Callable[[str], Any]:
    import mistune

    class SafeRenderer(mistune.HTMLRenderer):
        """HTML without anything that loads or runs."""

        def __init__(self) -> None:
            super().__init__(escape=True)

        def link(self, text: str, url: str, title: str | None = None) -> str:
            if _scheme(url) not in _LINK_SCHEMES:
                return text
            named = f' title="{escape(title)}"' if title else ""
            return f'<a href="{escape(url)}"{named} target="_blank" rel="noopener noreferrer nofollow">{text}</a>'

        def image(self, text: str, url: str, title: str | None = None) -> str:
            return f"[image: {escape(text or title or url)}]"

        def block_code(self, code: str, info: str | None = None) -> str:
            return _highlighted(code, (info or "").split(maxsplit=1)[0] if info else "")

    return mistune.create_markdown(renderer=SafeRenderer(), plugins=["strikethrough", "table", "url"])


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme.lower()
    except ValueError:  # such as "http://[", which is no address
        return ""


def _highlighted(code: str, language: str) -> str:
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language or "text")
    except ClassNotFound:
        lexer = get_lexer_by_name("text")
    return f"<pre><code>{highlight(code, lexer, HtmlFormatter(nowrap=True))}</code></pre>\n"
