"""``mask``: texts without names, addresses, e-mails, phone and account numbers."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def mask(column: "pd.Series[Any]", *, names: Iterable[str] = (), details: bool = False) -> Any:
    """Return the texts with placeholders instead of personal data, made on this machine: nothing is sent.

    Names, addresses, e-mails, phone and account numbers become [NAME_1], [EMAIL_1] and so on, numbered in each text by itself; what
    stands twice in a text has one placeholder. This is what ``mask=True`` of the other verbs sends, which puts the originals back
    into the answers.

    They are found by pattern, in English, German, Dutch, French, Spanish, Italian and Portuguese. Seen are e-mail addresses; IBANs
    and card numbers by their check digits; phone numbers; numbers after a word such as "account", and any other of 8 digits or
    more; streets with a house number; names after a title ("Ms"), an introduction ("my name is"), in a greeting ("Hi Anna and Ben")
    or under a letter. Not seen are names that nothing gives away ("ask Anna") or in lower case ("hi anna"), unless they are in
    `names`; towns alone, misspellings, user names, dates of birth, and whoever can be told by what a text says. It lowers what
    leaves this machine; it does not make texts anonymous.

    Parameters
    ----------
    names
        Names of people or companies that are masked too, wherever they stand, e.g. ``df["customer"].dropna()``.
    details
        Return a frame: value, then for each kind how many things were masked (name, address, email, phone, iban, card, account,
        Int64), and `originals`, the dict of placeholders and what they stand for.

    Returns
    -------
    Series of dtype str
        Same index and name as the column. Missing and blank texts are missing. What was masked is counted in one printed line.
        Of dtype object where a text holds half of a surrogate pair, which no str column can.

    Raises
    ------
    InvalidOption
        `names` is a single text, or holds something else than text.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["Dear Anna, call +49 171 2345678", "It goes to anna@example.org"])
    >>> texts.mistral.mask().tolist()
    Masked: 1 name, 1 e-mail address and 1 phone number in 2 of 2 texts.
    ['Dear [NAME_1], call [PHONE_1]', 'It goes to [EMAIL_1]']
    """
    import pandas as pd

    from mistral_nb.engine.dtype_families import array_of, in_family
    from mistral_nb.engine.masked_column import MaskedColumn
    from mistral_nb.errors import InvalidOption
    from mistral_nb.masking.kinds import NOUNS
    from mistral_nb.masking.masked_text import kinds_of
    from mistral_nb.nested_dtype import MapOf, NestedDtype
    from mistral_nb.notebook.progress import say_what_was_masked

    if not isinstance(details, bool):
        raise InvalidOption(f"details is {details!r}.", "Give details=True or details=False.")
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InvalidOption(f"names is {names!r}.", 'Give a list of names, e.g. names=["Anna Schmidt"].')
    masked = MaskedColumn(column, names=names)
    say_what_was_masked(masked.report)
    try:
        texts = masked.column.astype(in_family("str", column.dtype))
    except UnicodeEncodeError:
        texts = masked.column
    if not details:
        return texts
    originals = masked.originals
    whole_number, any_object = (in_family(dtype, column.dtype) for dtype in ("Int64", NestedDtype(MapOf("string"))))
    counts = {
        kind.lower(): array_of([None if row is None else kinds_of(row).count(kind) for row in originals], whole_number)
        for kind in NOUNS
    }
    columns = {"value": texts.array, **counts, "originals": array_of(originals, any_object)}
    return pd.DataFrame(columns, index=column.index)
