"""What a panel tells the model of the notebook's frames.

Promises: what is shown as shared is exactly what is sent, and nothing else of a frame is: its text is made once, when it is shared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mistral_nb.completion import JsonObject
from mistral_nb.counted import counted
from mistral_nb.errors import InvalidOption
from mistral_nb.notebook.frame_context import ROWS_OF_A_DESCRIPTION, Frame, described, is_frame

DEFAULT_ROWS = ROWS_OF_A_DESCRIPTION
_MOST_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFrame:
    """A frame as the model is told of it."""

    name: str
    rows: int
    text: str

    @classmethod
    def of(cls, frame: Frame, *, name: str, rows: int) -> "SharedFrame":
        return cls(name=name, rows=min(rows, len(frame)), text=described(frame, name=name, rows=rows))

    @property
    def label(self) -> str:
        """What is shared, in a few words."""
        rows = f" and {counted(self.rows, 'row')}" if self.rows else ", no rows"
        return f"{self.name}: schema{rows}"

    def as_json(self) -> JsonObject:
        return {"name": self.name, "label": self.label, "text": self.text}


def shared_frames(df: Any, *, rows: int, variables: Mapping[str, Any]) -> tuple[SharedFrame, ...]:
    """Return what is told of a frame, or of several by name.

    Parameters
    ----------
    df
        DataFrame, Series, or a dict of them by the name that the model is told.
    rows
        How many of the first rows are told; 0 for none.
    variables
        The notebook's, in which a frame without a name is looked up.

    Raises
    ------
    InvalidOption
        `df` is no frame, or `rows` no whole number from 0 to 100.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or not 0 <= rows <= _MOST_ROWS:
        raise InvalidOption(f"rows is {rows!r}.", f"Give a whole number from 0 to {_MOST_ROWS}, e.g. rows=5.")
    if df is None:
        return ()
    frames = df if isinstance(df, Mapping) else {_name(df, variables): df}
    for name, frame in frames.items():
        if not is_frame(frame) or not isinstance(name, str):
            raise InvalidOption(
                f"df has {type(frame).__name__} for {name!r}.",
                'Give a DataFrame, or a dict of them: df={"sales": sales}.',
            )
    return tuple(SharedFrame.of(frame, name=name, rows=rows) for name, frame in frames.items())


def system_message(system: str | None, frames: tuple[SharedFrame, ...]) -> str | None:
    """Return the system message: what the user set, and what is shared."""
    parts = [part for part in (system, *(frame.text for frame in frames)) if part]
    return "\n\n".join(parts) or None


def _name(frame: object, variables: Mapping[str, Any]) -> str:
    """Return the name of the variable that holds the frame; "df" where none does."""
    names = (name for name, value in variables.items() if value is frame and not name.startswith("_"))
    return next(names, "df")
