"""``suggest_schema``: a class to extract with, from what the texts have to say."""

from typing import TYPE_CHECKING, Any, Unpack

from mistral_nb.notebook.row_verbs import AnswerOptions, answered

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from mistral_nb.engine.column_run import ColumnRun
    from mistral_nb.masking.masked_text import MaskedText
    from mistral_nb.masking.spans import Detector

DEFAULT_SAMPLE = 20


def suggest_schema(
    column: "pd.Series[Any]",
    what: str,
    *,
    sample: int = DEFAULT_SAMPLE,
    instructions: str | None = None,
    **options: Unpack[AnswerOptions],
) -> Any:
    """Return a pydantic class with the fields that a model proposes for what you are after, and show its source.

    One request reads a sample of the texts. Nothing of what the model writes is run: the class is made of the names, kinds, choices
    and descriptions it gives. Copy the source into a cell to change it.

    Parameters
    ----------
    what
        What you are after, e.g. ``"which product broke, when it was bought, and whether they want their money back"``.
    sample
        How many texts the model is shown, from all over the column; fewer where they are long.
    instructions
        What else the model should heed, e.g. ``"Name the fields in French."``.

    Returns
    -------
    class
        A pydantic model, ready for ``df.mistral.extract``; its source is in `__source__`. Every field may stay open.

    Raises
    ------
    InvalidOption
        `what` or `instructions` are blank, or `sample` is not a whole number from 1 up.
    EmptyPrompt
        The column has no text.
    InvalidAnswer
        The model was asked three times and proposed nothing that can be used.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["Lamp, bought in May, broke.", "The chair from June is too low."])
    >>> texts.mistral.suggest_schema("which product, bought in which month", dry_run=True).requests
    1
    """
    import pandas as pd

    from mistral_nb.engine.columns import distinct_texts
    from mistral_nb.engine.masked_column import all_originals
    from mistral_nb.masking.masked_text import MaskedText, mask_together
    from mistral_nb.proposed_schema import proposed_class
    from mistral_nb.tasks.length import checked_count
    from mistral_nb.tasks.suggest_schema import sample_lines, sample_of, suggest_schema_task

    task = suggest_schema_task(what, instructions=instructions)
    texts = sample_of(distinct_texts(column).texts, size=checked_count(sample, name="sample"))

    def masked_sample(_: str, found_by: "Sequence[Detector]") -> "MaskedText":
        # Of the texts as they are: as lines of JSON they have no line ends, and may be cut in the middle of a name.
        masked = mask_together(texts, found_by)
        lines = sample_lines([each.text for each in masked])
        return MaskedText("\n".join(lines), all_originals(masked[: len(lines)]))

    def give(run: "ColumnRun") -> Any:
        if run.result.errors:
            raise run.result.errors[0]
        proposal: Any = run.column.iloc[0]
        proposed = proposed_class(proposal, task.what)
        _show(proposed.__source__)  # type: ignore[attr-defined]  # put there by proposed_class
        return proposed

    shown: pd.Series[Any] = pd.Series(["\n".join(sample_lines(texts))], name=column.name, dtype=object)
    return answered(shown, task, masked_one=masked_sample, give=give, **options)


def _show(source: str) -> None:
    """Show the source: highlighted in a notebook, as it is elsewhere."""
    import sys

    from IPython.core.interactiveshell import InteractiveShell

    from mistral_nb.notebook.code_cell import as_block
    from mistral_nb.notebook.display import answer_bundle, without_controls

    if not InteractiveShell.initialized():
        sys.stdout.write(f"\n{without_controls(source)}\n")
        return
    from IPython.display import display

    display({**answer_bundle(as_block(source, "python")), "text/plain": without_controls(source)}, raw=True)
