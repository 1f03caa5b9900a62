"""A real IPython shell with the extension loaded, as in a terminal and as in a kernel."""

from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """As in a terminal."""
    shell = InteractiveShell.instance()
    with capture_output():
        shell.run_line_magic("load_ext", "mistral_nb")
    yield shell
    with capture_output():
        shell.run_line_magic("unload_ext", "mistral_nb")
    InteractiveShell.clear_instance()


@pytest.fixture
def notebook(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """The same shell, as a kernel has it: with displays that can be updated and cells below."""
    monkeypatch.setattr(type(shell), "kernel", object(), raising=False)
    return shell
