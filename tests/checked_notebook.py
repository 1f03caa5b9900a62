"""Runs a notebook from top to bottom in a kernel of its own and compares what it gives with what it shows."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def check_notebook(notebook: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Return how nbval ended, beside which the package's own words in other cells are compared.

    Of pytest's plugins there are only the two that are needed: importing all takes three seconds for each notebook. Nor is coverage
    measured, which would take half as long again: what notebooks run, other tests run too.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    plugins = ["-p", "tests.light_imports", "-p", "nbval.plugin", "-p", "tests.saved_outputs", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "--nbval", "--nbval-current-env", str(notebook)],
        cwd=ROOT,
        env={**inherited, **environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
