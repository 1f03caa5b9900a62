"""Model answers as HTML that can't act.

Keeps to itself: how Markdown is rendered, and the styles, which follow JupyterLab's theme. Nothing is typeset as a formula but what
`maths` says is one: JupyterLab would otherwise take what stands between two amounts of money for one.
Promises: whatever the text, the HTML holds no script, no event handler, no image, no form and no link but http(s) and mailto. The
`text/plain` form is the text itself. Answers are never shown as ``text/markdown``, which Jupyter renders with its HTML live.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from typing import Any
from urllib.parse import urlsplit

MimeBundle = dict[str, str]

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINK_SCHEMES = {"http", "https", "mailto"}
# Pygments' classes by the colour of JupyterLab's editor that they take; without JupyterLab they look like the text around them.
_COLOURS = {
    "keyword": ("k", "kc", "kd", "kn", "kp", "kr", "kt", "ow", "nt"),
    "string": ("s", "s1", "s2", "sa", "sb", "sc", "sd", "se", "sh", "si", "sr", "ss", "sx"),
    "comment": ("c", "c1", "ch", "cm", "cp", "cs"),
    "number": ("m", "mb", "mf", "mh", "mi", "mo", "il"),
    "def": ("nf", "nc", "fm"),
    "builtin": ("nb", "bp"),
    "operator": ("o",),
    "meta": ("nd",),
}
_RULES = "\n".join(
    f"{', '.join(f'.mistral-nb .{name}' for name in names)} {{color: var(--jp-mirror-editor-{colour}-color, inherit);}}"
    for colour, names in _COLOURS.items()
)
_STYLE = f"""<style>
.mistral-nb.mistral-nb pre {{
  background: var(--jp-cell-editor-background, rgba(128,128,128,.1)); padding: .5em .75em; margin: .5em 0 1em; overflow-x: auto;
}}
.mistral-nb.mistral-nb pre code {{background: none; padding: 0;}}
.mistral-nb .note {{color: var(--jp-ui-font-color2, inherit); font-size: 90%;}}
.mistral-nb .step {{color: var(--jp-ui-font-color2, inherit); font-family: var(--jp-code-font-family, monospace); font-size: 90%;}}
.mistral-nb .warning {{font-weight: bold; border-left: 4px solid var(--jp-warn-color1, currentColor); padding-left: .5em;}}
{_RULES}
</style>"""


def answer_bundle(
    text: str, *, note: str = "", footer: str = "", steps: Sequence[str] = (), body_html: str | None = None
) -> MimeBundle:
    """Return the MIME bundle that shows an answer: rendered Markdown as HTML, and plain text.

    Parameters
    ----------
    text
        Markdown from a model; treated as hostile.
    note
        What the reader must not overlook, e.g. why the answer is incomplete.
    footer
        One line below the answer: who answered, tokens, price.
    steps
        Lines above the answer: what was done for it.
    body_html
        The text as `markdown_html` gave it before; rendered here when left out.
    """
    body = markdown_html(text) if body_html is None else body_html
    plain = "\n\n".join(part for part in ("\n".join(steps), text, f"({note})" if note else "", footer) if part)
    return {
        "text/html": styled(answer_html(body, note=note, footer=footer, steps=steps)),
        "text/plain": without_controls(plain),
    }


def answer_html(body: str, *, note: str = "", footer: str = "", steps: Sequence[str] = ()) -> str:
    """Return an answer as HTML: what was done for it, the body as `markdown_html` gives it, and the lines below."""
    parts = [f'<div class="step">{escape(line)}</div>' for line in steps]
    parts.append(body)
    if note:
        parts.append(f'<p class="warning">{escape(note)}</p>')
    if footer:
        parts.append(f'<p class="note">{escape(footer)}</p>')
    return "".join(parts)


def styled(html: str, *, classes: str = "") -> str:
    """Return HTML with the styles of answers, in which nothing is a formula but what `maths` says is one."""
    return f'{_STYLE}<div class="mistral-nb mathjax_ignore tex2jax_ignore{classes and " "}{classes}">{html}</div>'


def markdown_html(text: str) -> str:
    """Return Markdown from a model as HTML that can't act."""
    html: str = _markdown()(text)
    return html


class GrowingHtml:
    """The HTML of a text that only grows: blocks that are finished are rendered once.

    Good for showing an answer while it comes. The end is for `markdown_html`: a list whose items are far apart, or a reference that
    is defined at the end, can look different when the whole text is read at once.
    """

    def __init__(self) -> None:
        self._finished_text = ""
        self._finished_html = ""

    def of(self, text: str) -> str:
        """Return the HTML of the text so far."""
        if not text.startswith(self._finished_text):  # another text, such as the answer after a tool was called
            self._finished_text = self._finished_html = ""
        begun = len(self._finished_text)
        end = begun + _finished_characters(text[begun:])
        if end > begun:
            self._finished_html += markdown_html(text[begun:end])
            self._finished_text = text[:end]
        return self._finished_html + markdown_html(text[end:])


def without_controls(text: str) -> str:
    """Return the text without control characters, which a terminal would obey (clear the screen, write the clipboard)."""
    return _CONTROLS.sub("", text)


_FENCE = re.compile(r"\s*(`{3,}|~{3,})(.*)")
# A line that goes on with the block above, blank line or not.
_GOES_ON = re.compile(r"[ \t]|[-*+>]|\d{1,9}[.)]")


def _finished_characters(text: str) -> int:
    """Return how much of the text no longer changes: up to the last blank line that is followed by a block of its own."""
    end = at = 0
    fence = ""
    was_blank = is_display = False
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        if not fence and not is_display and was_blank and stripped and not _GOES_ON.match(line):
            end = at
        if found := _FENCE.match(line):
            marks, info = found[1], found[2].strip()
            if not fence:
                fence = marks
            elif marks.startswith(fence) and not info:
                fence = ""
        elif not fence and stripped in {"$$", r"\[", r"\]"}:
            is_display = stripped == r"\[" or (stripped == "$$" and not is_display)
        was_blank = not stripped
        at += len(line)
    return end


@cache
def _markdown() -> Callable[[str], Any]:
    import mistune

    from mistral_nb.notebook.maths import maths

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

    markdown = mistune.create_markdown(renderer=SafeRenderer(), plugins=["strikethrough", "table", "url"])
    maths(markdown)
    return markdown


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
