import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.errors import InvalidOption
from mistral_nb.notebook.magic.options import split_options, words


@pytest.mark.parametrize(
    ("line", "options", "prompt"),
    [
        ("What's up?", [], "What's up?"),
        ("-m large What's up?", ["-m", "large"], "What's up?"),
        ('-s "Be brief." -t 0.2 don\'t', ["-s", "Be brief.", "-t", "0.2"], "don't"),
        ("--model=large --raw {x}", ["--model=large", "--raw"], "{x}"),
        ("-mlarge hi", ["-mlarge"], "hi"),
        ("--dry hi there", ["--dry"], "hi there"),
        ("--max-tokens 5 -- -5 or so?", ["--max-tokens", "5"], "-5 or so?"),
        ("-5 or so?", [], "-5 or so?"),
        ("  spaced   out ", [], "spaced   out"),
        ("--out", ["--out"], ""),
        ("", [], ""),
        ("ask -m x", [], "ask -m x"),
    ],
)
def test_the_prompt_begins_where_the_options_end(line: str, options: list[str], prompt: str) -> None:
    option_text, rest = split_options(line)

    assert (words(option_text), rest) == (options, prompt)


@pytest.mark.parametrize("line", ['-s "Be brief', "-s 'Be"])
def test_a_quote_left_open_is_refused(line: str) -> None:
    with pytest.raises(InvalidOption, match="No closing quotation"):
        split_options(line)


@given(st.text(alphabet="ab-= '\"\\\t", max_size=30))
def test_any_line_is_split_or_refused(line: str) -> None:
    try:
        option_text, prompt = split_options(line)
    except InvalidOption:
        return

    assert prompt == "" or line.rstrip().endswith(prompt)
    assert line.startswith(option_text)
