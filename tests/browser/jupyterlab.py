"""A real JupyterLab in a real Chromium, for tests.

Keeps to itself: ports, configuration folders, and how to know that a notebook can really take a cell.
Promises: nothing of the user's Jupyter configuration is read or written; the server ends with the block.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
START_SECONDS = 90.0
PATIENCE_SECONDS = 60.0

# The front end is reached through its own application object, so that nothing depends on how a page is laid out.
_NOTEBOOK = """(() => {
  const app = window.jupyterapp;
  if (!app) return null;
  for (const widget of app.shell.widgets("main")) if (widget.sessionContext && widget.content?.widgets) return widget;
  return null;
})()"""
_STATE = f"""() => {{
  const notebook = {_NOTEBOOK};
  if (!notebook?.context.isReady || !notebook.sessionContext.isReady) return "opening";
  const kernel = notebook.sessionContext.session?.kernel;
  if (!kernel) return "no kernel";
  return kernel.connectionStatus === "connected" ? kernel.status : kernel.connectionStatus;
}}"""
# A notebook is disposed of rather than closed, which would ask whether to save it.
_OPEN_IN_PLACE = """async name => {
  const app = window.jupyterapp;
  if (!app) return false;
  for (const widget of [...app.shell.widgets("main")]) widget.dispose();
  await app.serviceManager.sessions.shutdownAll();
  await app.commands.execute("docmanager:open", {path: name});
  return true;
}"""
_RUN_ALL = f"""async () => {{
  const notebook = {_NOTEBOOK};
  window.jupyterapp.shell.activateById(notebook.id);
  await window.jupyterapp.commands.execute("notebook:run-all-cells");
  return notebook.content.widgets.filter(cell => cell.model.type === "code").map(cell => cell.model.outputs.toJSON());
}}"""
_START_CELL = f"""number => {{
  const notebook = {_NOTEBOOK};
  window.jupyterapp.shell.activateById(notebook.id);
  notebook.content.activeCellIndex = number;
  window.jupyterapp.commands.execute("notebook:run-cell");
}}"""
_OUTPUTS = f"number => {_NOTEBOOK}.content.widgets[number].model.outputs.toJSON()"
_CELLS = f"() => {_NOTEBOOK}.content.widgets.map(cell => [cell.model.sharedModel.source, cell.model.executionCount])"


@contextmanager
def jupyterlab(root: Path, configuration: Path, environment: dict[str, str]) -> Iterator[str]:
    """Serve the folder `root` with a JupyterLab of its own; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = configuration / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True)
    (quiet / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"),
        *(f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"),
    ]
    log = (configuration / "log").open("w+")
    process = subprocess.Popen(
        command,
        env={**os.environ, **{name: str(configuration / part) for name, part in folders.items()}, **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or _answers(f"{url}/api/status"), START_SECONDS)
        if process.poll() is not None:
            log.seek(0)
            raise RuntimeError(log.read())
        yield url
    finally:
        process.terminate()
        process.wait()
        log.close()


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook of code cells."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)


def load_notebook(page: Page, url: str, name: str) -> None:
    """Load JupyterLab with a notebook and wait until its kernel can take a cell."""
    page.goto(f"{url}/lab/tree/{name}?reset")
    until(lambda: page.evaluate(_STATE) == "idle", START_SECONDS)


def open_notebook(page: Page, url: str, name: str) -> None:
    """Open a notebook with a new kernel in the place of all others; JupyterLab, which takes its time, is loaded only once."""
    if not page.evaluate(_OPEN_IN_PLACE, name):
        load_notebook(page, url, name)
    until(lambda: page.evaluate(_STATE) == "idle", START_SECONDS)


def run_all(page: Page) -> list[list[dict[str, Any]]]:
    """Run all cells; returns the outputs of each code cell."""
    outputs: list[list[dict[str, Any]]] = page.evaluate(_RUN_ALL)
    return outputs


def start_cell(page: Page, number: int) -> None:
    """Run one cell, without waiting for it."""
    page.evaluate(_START_CELL, number)


def run_cell(page: Page, number: int) -> list[dict[str, Any]]:
    """Run one cell and return its outputs."""
    start_cell(page, number)
    until(lambda: page.evaluate(_CELLS)[number][1] is not None and page.evaluate(_STATE) == "idle", START_SECONDS)
    return outputs_of(page, number)


def outputs_of(page: Page, number: int) -> list[dict[str, Any]]:
    """Return the outputs of one cell as they are now."""
    outputs: list[dict[str, Any]] = page.evaluate(_OUTPUTS, number)
    return outputs


def cells_of(page: Page) -> list[tuple[str, int | None]]:
    """Return the source and the execution count of each cell."""
    return [(source, count) for source, count in page.evaluate(_CELLS)]


def interrupt(page: Page) -> None:
    """Interrupt the kernel, as the button does."""
    page.evaluate('window.jupyterapp.commands.execute("notebook:interrupt-kernel")')


def restart(page: Page) -> None:
    """Restart the kernel, as the button does after its question."""
    page.evaluate(f"async () => {{ await {_NOTEBOOK}.sessionContext.session.kernel.restart(); }}")


def choose_theme(page: Page, name: str) -> None:
    """Change the theme, e.g. to "JupyterLab Dark"."""
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name)


def save(page: Page) -> None:
    """Save the notebook."""
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")


def until(is_so: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    """Poll until it is so; TimeoutError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {seconds:g} s")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
