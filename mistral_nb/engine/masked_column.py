"""A column whose texts are masked before they are asked about, and its answers afterwards.

Keeps to itself: which row's originals belong into which answer.
Promises: nothing that is planned, sent, kept or written down of a masked column has seen the originals; equal masked texts are
asked once, and each row gets its own originals back.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mistral_nb.engine.columns import distinct_texts
from mistral_nb.engine.dtype_families import holds_text
from mistral_nb.engine.records import record_text
from mistral_nb.errors import InvalidOption
from mistral_nb.masking.kinds import detectors, report_of
from mistral_nb.masking.masked_text import MaskedText, mask_text, mask_together, restored
from mistral_nb.masking.spans import Detector

if TYPE_CHECKING:
    import pandas as pd

Mask = bool | Iterable[str]
MaskText = Callable[[str, Sequence[Detector]], MaskedText]


class MaskedColumn:
    """The masked form of a column.

    Parameters
    ----------
    column
        The column as it is.
    names
        Names that are masked besides what is found by pattern.
    is_mixed
        Whether one answer stands for many rows, so that a placeholder must mean the same in all of them.
    masked_one
        Masks one text, where it is made of others that have to be looked at as they are: JSON writes a line end, say, as letters.
    further
        Masked texts that are sent along with the column; they are counted with its own.

    Attributes
    ----------
    column
        The masked texts, of dtype object, which holds also what can't be sent; index and name, and what is missing, as in the
        column.
    report
        What was masked.
    """

    def __init__(
        self,
        column: "pd.Series[Any]",
        *,
        names: Iterable[str] = (),
        is_mixed: bool = False,
        masked_one: MaskText = mask_text,
        further: Sequence[MaskedText] = (),
    ) -> None:
        import numpy as np
        import pandas as pd

        found_by = detectors(names)
        texts = distinct_texts(column)
        self._numbers = texts.numbers
        self._masked: list[MaskedText] = (
            mask_together(texts.texts, found_by) if is_mixed else [masked_one(text, found_by) for text in texts.texts]
        )
        self._shared = all_originals(self._masked)
        self._is_mixed = is_mixed
        masked = np.array(
            [*(each.text for each in self._masked), None], dtype=object
        )  # the last place is the one of -1
        self.column: pd.Series[Any] = pd.Series(
            masked[texts.numbers], index=column.index, name=column.name, dtype=object
        )
        self.report = report_of([*self._masked, *further])

    @property
    def originals(self) -> list[Mapping[str, str] | None]:
        """For each row its placeholders and what they stand for; None for a row without text."""
        return [self._masked[number].originals if number >= 0 else None for number in self._numbers.tolist()]

    def restored(self, values: Any, *, labels: Collection[str] = ()) -> Any:
        """Return answers with the originals in place of the placeholders; `values` has a line per row of the column.

        Only text changes, in lists and objects too; a category, a number and a claim stay what they are, and so do columns of
        `labels` ("value" for a single one): what looks like a placeholder in them is none.
        """
        import pandas as pd

        if not self._shared:
            return values
        if isinstance(values, pd.DataFrame):
            columns = {
                name: values[name] if name in labels else self._restored_column(values[name]) for name in values.columns
            }
            return pd.DataFrame(columns, index=values.index, columns=values.columns)
        return values if "value" in labels else self._restored_column(values)

    def _restored_column(self, values: "pd.Series[Any]") -> "pd.Series[Any]":
        import numpy as np
        import pandas as pd

        dtype: Any = values.dtype
        is_object = pd.api.types.is_object_dtype(dtype)
        if not is_object and not holds_text(dtype):
            return values
        changed = np.fromiter(values.array, dtype=object, count=len(values))
        of_rows = [self._shared] * len(values) if self._is_mixed else self.originals
        for row, (value, originals) in enumerate(zip(changed, of_rows, strict=True)):
            if originals and isinstance(value, str | list | dict):
                changed[row] = restored(value, originals)
        array = changed if is_object else pd.array(changed, dtype=dtype)
        return pd.Series(array, index=values.index, name=values.name)


def masked_column(
    column: "pd.Series[Any]",
    mask: Mask,
    *,
    is_mixed: bool = False,
    masked_one: MaskText = mask_text,
    further: Sequence[MaskedText] = (),
) -> MaskedColumn | None:
    """Return the masked form of a column; None where `mask` is False, and nothing is to be masked."""
    if mask is False:
        return None
    return MaskedColumn(column, names=_listed_names(mask), is_mixed=is_mixed, masked_one=masked_one, further=further)


def masked_query(text: str, mask: Mask) -> MaskedText:
    """Return a text that goes along with a masked column as it may be sent."""
    return MaskedText(text, {}) if mask is False else mask_text(text, detectors(_listed_names(mask)))


def masked_together(texts: Sequence[str], mask: Mask) -> tuple[list[str], dict[str, str]]:
    """Return texts that are sent together as they may be, and what each placeholder in any of them stands for."""
    if mask is False:
        return list(texts), {}
    masked = mask_together(texts, detectors(_listed_names(mask)))
    return [each.text for each in masked], all_originals(masked)


def all_originals(masked: Iterable[MaskedText]) -> dict[str, str]:
    return {name: original for each in masked for name, original in each.originals.items()}


def masked_record(text: str, found_by: Sequence[Detector]) -> MaskedText:
    """Return a record, as `mistral_nb.engine.records` writes it, with its values masked together."""
    values = json.loads(text)
    masked = mask_together(list(values.values()), found_by)
    return MaskedText(record_text(values, [each.text for each in masked]), all_originals(masked))


def _listed_names(mask: Mask) -> Iterable[str]:
    """Return the names that are listed in place of a plain True; InvalidOption for anything else."""
    if mask is True:
        return ()
    if isinstance(mask, str) or not isinstance(mask, Iterable):
        raise InvalidOption(
            f"mask is {mask!r}.", 'Give mask=True, or a list of names to mask too: mask=["Anna Schmidt"].'
        )
    if isinstance(mask, Iterator):  # read twice, it would have no names for the second text
        raise InvalidOption(
            f"mask is a {type(mask).__name__}, which can be read but once.", "Give a list: mask=list(names)."
        )
    return mask
