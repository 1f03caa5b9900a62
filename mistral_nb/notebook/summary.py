"""A summary of many rows, as a notebook shows it.

Promises: a text like any other; shown at the end of a cell, it is escaped, wrapped, and says how many rows it covers.
"""

from html import escape
from typing import Any, Self

from mistral_nb.counted import counted
from mistral_nb.notebook.display import without_controls


class Summary(str):
    """A summary of many rows; what ``df.mistral.summarize("text", whole=True)`` returns.

    Attributes
    ----------
    rows
        How many rows it covers.
    """

    __slots__ = ("rows",)

    rows: int

    def __new__(cls, text: str, *, rows: int) -> Self:
        summary = super().__new__(cls, text)
        summary.rows = rows
        return summary

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        return (str(self),), {"rows": self.rows}

    @property
    def _covers(self) -> str:
        return f"Summary of {counted(self.rows, 'row')}"

    def _repr_html_(self) -> str:
        # Without mathjax_ignore, what stands between two amounts of money would be typeset as a formula.
        return f'<div class="mistral-nb mathjax_ignore"><p>{escape(self)}</p><p><small>{self._covers}</small></p></div>'

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"{without_controls(self)}\n({self._covers})")
