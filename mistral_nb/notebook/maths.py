r"""Formulas in an answer's Markdown: ``$…$``, ``$$…$$``, ``\(…\)`` and ``\[…\]``, and what is none.

Keeps to itself: how a formula is told from two amounts of money, and which TeX commands could do more than show one.
Promises: what is no formula stays the text it is; what is one is written so that MathJax typesets it, and nothing else.
"""

import re
from html import escape
from typing import Any

# The classes that MathJax 3 and 2 obey inside of an element with the class mathjax_ignore or tex2jax_ignore.
_TYPESET = "mathjax_process tex2jax_process"
_MOST_CHARACTERS = 4_000

_DOLLARS = r"(?<![\\$\w])\$(?P<{name}>(?![\s$])(?:[^$\\\n]|\\.)+?)(?<!\s)\$(?![\w$])"
_DOUBLE_DOLLARS = r"\$\$(?P<{name}>(?:[^$\\]|\\.)+?)\$\$"
_PARENTHESES = r"\\\((?P<{name}>(?:[^\\]|\\[^()\[\]])+?)\\\)"
_BRACKETS = r"\\\[(?P<{name}>(?:[^\\]|\\[^()\[\]])+?)\\\]"
_INLINE = "|".join(
    pattern.replace("{name}", name)
    for name, pattern in {
        "shown_dollars": _DOUBLE_DOLLARS,
        "shown_brackets": _BRACKETS,
        "dollars": _DOLLARS,
        "parentheses": _PARENTHESES,
    }.items()
)
_BLOCK_FORMULA = "|".join(
    (_DOUBLE_DOLLARS.replace("{name}", "block_dollars"), _BRACKETS.replace("{name}", "block_brackets"))
)
_BLOCK = rf"^ {{0,3}}(?:{_BLOCK_FORMULA})[ \t]*(?:\n|$)"
_BLOCK_NAMES = ("block_dollars", "block_brackets")
_SHOWN_NAMES = ("shown_dollars", "shown_brackets")
_INLINE_NAMES = ("dollars", "parentheses")

# Links, styles, files, and definitions, which would hold for every other formula of the page.
_ACTING_COMMAND = re.compile(
    r"\\(?:href|url|style|class|cssId|data|bbox|require|input|include\w*|html\w*|unicode|mmlToken|toggle|tip|texttip|"
    r"[egx]?def|g?let|global|(?:re)?newcommand|providecommand|(?:re)?newenvironment|DeclareMathOperator|newtagform|renewtagform|"
    r"rule|Rule|Space|[hv]space|kern|mkern|raise\w*|lower|move(?:left|right)|[rl]lap|math[rl]lap)(?![A-Za-z])"
)
# "$5 for tea, 10$": begins with a number and has a word that is no command.
_MONEY = re.compile(r"\d.*(?<![\\A-Za-z])[A-Za-z]{2,}", re.DOTALL)
_DELIMITER = re.compile(r"\\[()\[\]]|(?<!\\)\$")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def maths(markdown: Any) -> None:
    """Teach a mistune parser formulas (a plugin)."""
    markdown.block.register("block_math", _BLOCK, _parse_block, before="list")
    markdown.inline.register("inline_math", _INLINE, _parse_inline, before="escape")
    markdown.renderer.register("block_math", _render_block)
    markdown.renderer.register("shown_math", _render_shown)
    markdown.renderer.register("inline_math", _render_inline)


def _parse_block(block: Any, match: re.Match[str], state: Any) -> int | None:
    formula = _found(match, _BLOCK_NAMES)
    if not _is_formula(formula):
        return None
    state.append_token({"type": "block_math", "raw": formula})
    return match.end()


def _parse_inline(inline: Any, match: re.Match[str], state: Any) -> int | None:
    shown = _found(match, _SHOWN_NAMES)
    formula = shown or _found(match, _INLINE_NAMES)
    if not _is_formula(formula) or (match["dollars"] and _MONEY.match(formula)):
        return None
    state.append_token({"type": "shown_math" if shown else "inline_math", "raw": formula})
    return match.end()


def _found(match: re.Match[str], names: tuple[str, ...]) -> str:
    return next((match[name] for name in names if match[name] is not None), "")


def _is_formula(text: str) -> bool:
    return (
        bool(text.strip())
        and len(text) <= _MOST_CHARACTERS
        and _ACTING_COMMAND.search(text) is None
        and _BLANK_LINE.search(text) is None
        # Delimiters inside would end the formula early, and leave the rest to MathJax's own reading.
        and _DELIMITER.search(text.replace("\\\\", "")) is None
    )


def _render_block(renderer: Any, text: str) -> str:
    return f'<div class="{_TYPESET}">\\[{escape(text)}\\]</div>\n'


def _render_shown(renderer: Any, text: str) -> str:
    return f'<span class="{_TYPESET}">\\[{escape(text)}\\]</span>'


def _render_inline(renderer: Any, text: str) -> str:
    return f'<span class="{_TYPESET}">\\({escape(text)}\\)</span>'
