"""``translate``: each text in another language."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    import pandas as pd


def translate(
    column: "pd.Series[Any]",
    to: str,
    *,
    from_: str | None = None,
    instructions: str | None = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return each text in another language.

    Parameters
    ----------
    to
        The language: an ISO 639-1 code (``"fr"``, ``"pt-BR"``), an English name (``"French"``), or the language's own
        (``"français"``).
    from_
        The language of the texts; by default each text's own is found by the model.
    instructions
        What else to mind, e.g. ``"Address the reader formally."``

    Returns
    -------
    Series of dtype str
        Same index and name as the column. Numbers, names, placeholders (``{name}``, ``%s``), links, code and Markdown are asked to
        stay as they are. An answer that lost a placeholder, a link, an address, code, a tag, or a number of three digits or more
        is an error of its row; Markdown is not enforced. White space around a text stays. Missing and blank texts are missing and
        cause no request; rows that failed are missing too, with one warning that counts them.

    Raises
    ------
    InvalidOption
        `to` or `from_` is no language, both are the same, or `instructions` is blank.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["The parcel never came.", None])
    >>> texts.mistral.translate(to="fr").isna().tolist()
    [False, True]
    """
    from mistral_nb.tasks.translate import translate_task

    return answered(column, translate_task(to, from_=from_, instructions=instructions), **options)
