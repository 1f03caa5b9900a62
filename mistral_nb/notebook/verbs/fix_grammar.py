"""``fix_grammar``: each text without its mistakes."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd


def fix_grammar(column: "pd.Series[Any]", *, instructions: str | None = None, **options: Unpack[VerbOptions]) -> Any:
    """Return each text with spelling, grammar and punctuation corrected, in its own language.

    Parameters
    ----------
    instructions
        What else to mind, e.g. ``"British spelling."``

    Returns
    -------
    Series of dtype str
        Same index and name as the column. Wording and tone are asked to stay; what must not be lost is as in `translate`. Missing
        and blank texts are missing and cause no request; rows that failed are missing too, with one warning that counts them.

    Raises
    ------
    InvalidOption
        Blank `instructions`.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["The parcel never camed.", None])
    >>> texts.mistral.fix_grammar().isna().tolist()
    [False, True]
    """
    from mistral_nb.tasks.fix_grammar import fix_grammar_task

    return answered(column, fix_grammar_task(instructions), **options)
