import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

from mistral_nb.notebook.code_cell import as_block, fenced_blocks, put_below, python_code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("Here:\n```python\nx = 1\n```\nDone.", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("~~~py\nx = 1\n~~~", "x = 1"),
        ("```python\nx = 1\n```\nand\n```python\ny = 2\n```", "x = 1\n\ny = 2"),
        ("```bash\npip install x\n```\n```python\nimport x\n```", "import x"),
        ("```python\nx = 1", "x = 1"),
        ("1. Do\n   ```python\n   if x:\n       y\n   ```", "if x:\n    y"),
        ("````python\n```\n````", "```"),
        ("import os\nprint(os.name)", "import os\nprint(os.name)"),
    ],
)
def test_code_is_found(answer: str, code: str) -> None:
    assert python_code(answer) == code


@pytest.mark.parametrize("answer", ["No code here.", "Yes", "", "```sql\nselect 1\n```", "```\n```", "42"])
def test_an_answer_without_python_has_none(answer: str) -> None:
    assert python_code(answer) is None


def test_code_goes_into_a_cell_below(notebook: InteractiveShell) -> None:
    put_below(notebook, "x = 1")

    assert notebook.rl_next_input == "x = 1"


def test_a_terminal_prints_it(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    put_below(shell, "x = 1\x1b[2J")

    assert capsys.readouterr().out == "\nx = 1[2J\n"


@given(st.text(alphabet="`~\n a", max_size=30))
def test_any_text_makes_a_block_that_is_read_back(text: str) -> None:
    assert fenced_blocks(as_block(text, "python")) == [("python", text)]
