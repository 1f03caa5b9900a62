"""A pytest plugin beside nbval: what widgets show is not compared, as it is not saved either (`tests.save_notebooks`).

Among them are the lines that show how far a run is, which come only where it takes longer than a moment: on a slow machine of runs
that were too quick for it where the notebook was saved.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nbval.plugin import IPyNbCell

from tests.save_notebooks import WIDGET

Outputs = Sequence[Mapping[str, Any]]

_compared = IPyNbCell.compare_outputs


def _compared_without_widgets(cell: IPyNbCell, found: Outputs, saved: Outputs, skip_compare: Any = None) -> bool:
    rest = ([output for output in outputs if WIDGET not in output.get("data", {})] for outputs in (found, saved))
    are_equal: bool = _compared(cell, *rest, skip_compare)
    return are_equal


IPyNbCell.compare_outputs = _compared_without_widgets
