"""A pytest plugin beside nbval: what the package itself says in a saved notebook is what it would say today.

nbval compares the outputs that no model has a say in. In the others (``nbval-ignore-output``) words, figures and the model's name
may differ, but not the rest: styles, the footer's wording, the metadata's keys, a table's columns, the package's own lines. A cell
that shows the less, the fewer models a machine has, is left out (``models-of-this-machine``), and so is a solution of an exercise,
which is saved without outputs.

Keeps to itself: what of an output is the package's, and how displays that are updated later are followed.
Promises: the notebooks are run once, by nbval; a difference fails the notebook, naming its cell.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import pytest
from nbval.plugin import IPyNbCell

from tests.save_notebooks import WIDGET, without_this_machine

SOLUTION = "solution"  # the tag of a cell that a check adds
_NOT_COMPARED = {"models-of-this-machine", SOLUTION}

_ENDINGS = re.compile(r" · (stop|length|tool_calls)$")
_VARYING = [
    (re.compile(r"\blocal-\w+"), "MODEL"),
    (re.compile(r"\([^()]*\)"), "(…)"),  # which weights, why this model, how many cached
    (re.compile(r"\d[\d.,:]*"), "0"),
    (re.compile(r" · 0 requests| \(…\)"), ""),
    (re.compile(r"\b(turn|request|row)s\b"), r"\1"),
]

Facts = list[dict[str, Any]]


def facts(outputs: Sequence[Mapping[str, Any]]) -> Facts:
    """Return what of a cell's outputs depends on the package, and on no model's words or speed."""
    displays = [output for output in outputs if "data" in output and WIDGET not in output["data"]]
    printed = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    lines = [_masked(line) for line in without_this_machine(printed).splitlines() if re.search(r"\blocal-\w+", line)]
    return [*map(_facts_of_display, displays), *({"line": line} for line in lines)]


def _facts_of_display(output: Mapping[str, Any]) -> dict[str, Any]:
    html = output["data"].get("text/html", "")
    notes = re.findall(r'<p class="note">(.*?)</p>', html, re.DOTALL)
    heads = re.findall(r"<thead>(.*?)</thead>", html, re.DOTALL)
    return {
        "kinds": sorted(output["data"]),
        "metadata": sorted(output["metadata"].get("mistral_nb", ())),
        "styles": [style for style in re.findall(r"<style>(.*?)</style>", html, re.DOTALL) if ".mistral-nb" in style],
        "footers": [_masked(_ENDINGS.sub("", note)) for note in notes],
        "columns": [_masked(name) for head in heads for name in re.findall(r"<th[^>]*>(.*?)</th>", head, re.DOTALL)],
    }


def _masked(text: str) -> str:
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    return text


class _Shown:
    """What the cells of one notebook show, each display as it is in the end."""

    def __init__(self) -> None:
        self.cells: list[tuple[IPyNbCell, list[dict[str, Any]]]] = []
        self._by_display_id: dict[str, dict[str, Any]] = {}

    def note(self, message: dict[str, Any]) -> dict[str, Any]:
        kind, content = message["msg_type"], message["content"]
        display_id = content.get("transient", {}).get("display_id")
        is_solution = SOLUTION in self.cells[-1][0].cell.metadata.get("tags", ())
        if kind == "update_display_data" and display_id in self._by_display_id and not is_solution:
            self._by_display_id[display_id].update(data=content["data"], metadata=content["metadata"])
        elif kind in {"display_data", "execute_result", "stream"}:
            output = dict(content)
            self.cells[-1][1].append(output)
            if display_id:
                self._by_display_id[display_id] = output
        return message


_shown: dict[Any, _Shown] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Listen to what a cell shows."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    shown = _shown.setdefault(item.parent, _Shown())
    shown.cells.append((item, []))
    receive = type(item.parent).get_kernel_message.__get__(item.parent)
    item.parent.get_kernel_message = lambda **options: shown.note(receive(**options))
    return (yield)


@pytest.hookimpl(trylast=True)  # after pytest's own, which a failure would keep from ending the kernel
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last cell, which may have updated what earlier ones show, compare all with what is saved."""
    if not isinstance(item, IPyNbCell) or (nextitem is not None and nextitem.parent is item.parent):
        return
    differing = [
        f"{cell.name}: saved {saved}\n  shown {now}"
        for cell, outputs in _shown[item.parent].cells
        if not _NOT_COMPARED.intersection(cell.cell.metadata.get("tags", ()))
        and (saved := facts(cell.cell.outputs)) != (now := facts(outputs))
    ]
    if differing:
        again = f"python -m tests.save_notebooks {item.path.name}"
        pytest.fail("\n".join([f"Saved outputs are older than the code; save them anew: {again}", *differing]))
