"""``moderate``: which categories of unwanted content each text is in."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import RowOptions, answered

if TYPE_CHECKING:
    import pandas as pd


def moderate(column: "pd.Series[Any]", **options: Unpack[RowOptions]) -> Any:
    """Return which categories of unwanted content each text is in, with scores.

    Default model: mistral-moderation-2603, which is free. The embedded models don't moderate: a key is needed.

    Returns
    -------
    DataFrame
        Index of the column; for each category a column of dtype boolean under the API's own name (in 2026-08: sexual,
        hate_and_discrimination, violence_and_threats, dangerous, criminal, selfharm, health, financial, law, pii, jailbreaking),
        and one of dtype Float64 with the score from 0 to 1, as "sexual_score". Missing and blank texts are missing and cause no
        request; rows that failed are missing too, with one warning that counts them.

    Raises
    ------
    NotSupported
        The model does not moderate, as the embedded ones don't.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> pd.Series(["I will find you"]).mistral.moderate(model="local-tiny")
    Traceback (most recent call last):
        ...
    mistral_nb.errors.NotSupported: local-tiny does not moderate.
    Use one that does: model='mistral-moderation-2603'. It needs a key:
    import os; os.environ["MISTRAL_API_KEY"] = "…"
    """
    from mistral_nb.engine.current import current_session
    from mistral_nb.tasks.moderate import Moderate

    options["model"] = current_session().moderation_model(options.get("model"))
    return answered(column, Moderate(), **options)
