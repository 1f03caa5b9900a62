"""The folders' arrows point down, imports are absolute, and importing the package stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mistral_nb"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Lower layers may not import from higher ones.
LAYERS = ["vocabulary", "backends", "engine", "tasks", "notebook"]
DOORS = {
    "__init__",
    "cli",
    "dask",
    "demo",
    "doctor",
    "evaluation",
    "extraction",
    "login",
    "polars",
    "samples",
    "streaming",
    "tools",
}


def layer(module: str) -> str:
    """Return the layer of a dotted module name below the package."""
    top = module.split(".")[1] if "." in module else "__init__"
    if top in LAYERS:
        return top
    return "notebook" if top in DOORS else "vocabulary"


def imported_modules(file: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    ]


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_point_down(file: Path) -> None:
    ours = [name for name in imported_modules(file) if name.startswith("mistral_nb.")]
    upward = [name for name in ours if LAYERS.index(layer(name)) > LAYERS.index(layer(name_of(file)))]

    assert upward == []


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_are_absolute(file: Path) -> None:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))

    assert [node.lineno for node in nodes if isinstance(node, ast.ImportFrom) and node.level] == []


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_every_module_says_what_it_promises(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))


def heavy_modules_after(statement: str) -> set[str]:
    heavy = [
        "mistralai",
        "httpx2",
        "aiohttp",
        "xllamacpp",
        "gguf",
        "pydantic",
        "mistune",
        "pygments",
        "matplotlib",
        "anywidget",
        "ipywidgets",
        "dask",
        "distributed",
    ]
    script = f"import sys\n{statement}\nprint(*[name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ended.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert heavy_modules_after("import mistral_nb") == set()


def test_loading_the_extension_loads_nothing_heavy() -> None:
    shell = "from IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell.instance()"
    load = "shell.run_line_magic('load_ext', 'mistral_nb')"

    assert heavy_modules_after(f"{shell}\n{load}") == heavy_modules_after(shell)
