"""What a function returned, as text for a model.

Keeps to itself: how values, frames among them, are written.
Promises: any value becomes a text that can be sent; frames are bounded, and say what was left out; a text is cut at a number of
tokens, and says so. The value is not changed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 30
MAX_COLUMNS = 40
MAX_CELL_CHARACTERS = 120

# No text of fewer tokens is longer: what is beyond need not be counted. (Tekken's longest tokens are runs of spaces.)
_MOST_CHARACTERS_PER_TOKEN = 20
_EMPTY = "(empty)"


def result_text(value: Any) -> str:
    """Return a value as text: a text as it is, a frame as CSV, anything else as JSON, or as Python shows it."""
    if isinstance(value, str):
        text = value
    elif _is_pandas(value):
        text = frame_text(value)
    else:
        text = _json(value)
    # Half of a surrogate pair can't be sent.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") or _EMPTY


def frame_text(frame: "pd.DataFrame | pd.Series[Any]", *, max_rows: int = MAX_ROWS) -> str:
    """Return the first rows and columns as CSV, and below it what was left out.

    The index is left out when it only numbers the rows. Cells are cut at 120 characters.
    """
    import pandas as pd

    whole = frame.to_frame() if isinstance(frame, pd.Series) else frame
    shown = whole.iloc[:max_rows, :MAX_COLUMNS]
    has_index = not isinstance(whole.index, pd.RangeIndex)
    text = shown.map(_cell).to_csv(index=has_index, float_format=_float, lineterminator="\n").rstrip("\n")
    cut = []
    if len(whole) > len(shown):
        cut.append(f"the first {len(shown):,} of {len(whole):,} rows")
    if whole.shape[1] > shown.shape[1]:
        cut.append(f"the first {shown.shape[1]} of {whole.shape[1]:,} columns")
    if not len(whole):
        cut.append("no rows")
    return f"{text}\n[{' and '.join(cut)}]" if cut else text


def cut_to_tokens(text: str, *, max_tokens: int, count: Callable[[str], int]) -> str:
    """Return the text, or as much of its beginning as `max_tokens` hold, with a note.

    `count` gives the tokens of a text.
    """
    kept = text[: max_tokens * _MOST_CHARACTERS_PER_TOKEN]
    if count(kept) > max_tokens:
        fits, too_long = 0, len(kept)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            fits, too_long = (middle, too_long) if count(kept[:middle]) <= max_tokens else (fits, middle)
        kept = kept[:fits]
    if len(kept) == len(text):
        return text
    return f"{kept}\n[cut after {len(kept):,} of {len(text):,} characters: a result may have {max_tokens:,} tokens]"


def _is_pandas(value: Any) -> bool:
    import pandas as pd

    return isinstance(value, pd.DataFrame | pd.Series)


def _json(value: Any) -> str:
    from pydantic_core import PydanticSerializationError, to_json

    try:
        return to_json(value, fallback=_plain, inf_nan_mode="strings").decode()
    except (PydanticSerializationError, ValueError, RecursionError):  # bytes that are no text, a list that holds itself
        return repr(value)


def _plain(value: Any) -> Any:
    """Return what JSON has in place of a value that it has not."""
    if _is_pandas(value):
        return frame_text(value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def _cell(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    text = str(value)
    return value if len(text) <= MAX_CELL_CHARACTERS else f"{text[:MAX_CELL_CHARACTERS]}…"


def _float(value: object) -> str:
    return f"{value:.10g}"
