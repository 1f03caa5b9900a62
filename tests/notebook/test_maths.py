import re

import pytest

from mistral_nb.notebook.display import markdown_html


def formulas(markdown: str) -> list[str]:
    """Return what MathJax is given to typeset."""
    html = markdown_html(markdown)
    return re.findall(r'<(?:span|div) class="mathjax_process tex2jax_process">(.*?)</(?:span|div)>', html, re.DOTALL)


@pytest.mark.parametrize(
    ("markdown", "typeset"),
    [
        ("Let $x^2$ be", [r"\(x^2\)"]),
        (r"Let \(a_1 * b * c\) be", [r"\(a_1 * b * c\)"]),
        ("$$E = mc^2$$", [r"\[E = mc^2\]"]),
        ("so $$E = mc^2$$ holds", [r"\[E = mc^2\]"]),
        ("\\[\nx = 1\n\\]", ["\\[\nx = 1\n\\]"]),
        ("$$\nx = 1\n===\n- y\n$$\nafter", ["\\[\nx = 1\n===\n- y\n\\]"]),
        ("$a$, $b$ and $c$", [r"\(a\)", r"\(b\)", r"\(c\)"]),
        ("| a |\n|---|\n| $x_1$ |", [r"\(x_1\)"]),
        (r"$2 \sin x$", [r"\(2 \sin x\)"]),
        ("$x < y$", [r"\(x &lt; y\)"]),
        (
            "$$\n\\begin{pmatrix} a \\\\[2pt] b \\end{pmatrix}\n$$",
            ["\\[\n\\begin{pmatrix} a \\\\[2pt] b \\end{pmatrix}\n\\]"],
        ),
    ],
)
def test_a_formula_is_typeset(markdown: str, typeset: list[str]) -> None:
    assert formulas(markdown) == typeset


@pytest.mark.parametrize(
    "markdown",
    [
        "$5 and $6",
        "from $5 to $10",
        "US$5/US$6",
        "$5 for tea, 10$",
        "between $1,000 and $2,000",
        "`$x$`",
        "```\n$x$\n```",
        "$HOME/$USER",
        r"\$x\$",
        r"costs \$5 or \$6",
        "$ x $",
        "$$",
        r"\(unclosed",
    ],
)
def test_what_is_no_formula_stays_text(markdown: str) -> None:
    assert formulas(markdown) == []


@pytest.mark.parametrize(
    "formula",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\url{javascript:alert(1)}",
        r"\style{position:fixed}{x}",
        r"\class{attack}{x}",
        r"\cssId{attack}{x}",
        r"\require{html}",
        r"\def\alpha{x}",
        r"\gdef\alpha{x}",
        r"\newcommand{\x}{\x\x}",
        r"\includegraphics{https://evil.example/p.png}",
        r"\rule{999em}{999em}",
        r"a\) $b$ \(c",
    ],
)
@pytest.mark.parametrize("form", ["$%s$", r"\(%s\)", "$$%s$$", "$$\n%s\n$$", r"\[%s\]"])
def test_a_formula_that_could_act_stays_text(form: str, formula: str) -> None:
    assert not any(formula in typeset for typeset in formulas(form % formula))
