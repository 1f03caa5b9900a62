"""``similar``: how near in meaning two texts of a row are."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack, cast

from mistral_nb.counted import counted
from mistral_nb.notebook.row_verbs import DetailOptions, VerbOptions, checked, executed, run_options
from mistral_nb.notebook.vector_runs import checked_text, embed_task

if TYPE_CHECKING:
    import pandas as pd

_VERB = "similar"


def similar(column: "pd.Series[Any]", *, to: "pd.Series[Any] | str", **options: Unpack[DetailOptions]) -> Any:
    """Return how near in meaning each text is to the one beside it in another column.

    There is no ``mode="batch"``: ``embed(mode="batch")`` of both columns has their vectors made at half price, which are then kept.

    Parameters
    ----------
    to
        The other column: of a frame its name; of a Series another Series with the same index, or one text that all rows are
        compared with.

    Returns
    -------
    Series of dtype Float64
        Same index and name as the column: the cosine of the angle between the two vectors, from -1 to 1, which is the same
        direction. Missing where one of the two texts is missing or blank, which causes no request, or failed.

    Raises
    ------
    InvalidOption, EmptyPrompt
        `to` is neither a Series nor a text, or a blank one, or has another index.
    NotSupported
        The model gives no vectors.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> answers = pd.DataFrame({"said": ["It is broken", "Lovely"], "meant": ["It does not work", "The parcel is late"]})
    >>> same, other = answers.mistral.similar("said", to="meant")
    >>> bool(same > other)
    True
    """
    import pandas as pd

    from mistral_nb.engine.columns import distinct_texts
    from mistral_nb.engine.comparison_run import ComparisonRun, text_pairs
    from mistral_nb.engine.current import current_session
    from mistral_nb.engine.masked_column import masked_column
    from mistral_nb.engine.occasion import asked_through
    from mistral_nb.errors import InvalidOption

    chosen = checked(cast(VerbOptions, options))  # which may lack any of its options
    if not isinstance(to, pd.Series):
        text = checked_text(to, "text to compare with", "The delivery is late")
        to = pd.Series([text] * len(column), index=column.index, dtype=object)
    if not to.index.equals(column.index):
        raise InvalidOption(
            f"The two columns have different indices, of {len(column):,} and {counted(len(to), 'row')}.",
            "Give the other its rows in the same order: to=other.reindex(series.index).",
        )
    sent = [column, to]
    masked = masked_column(column, chosen["mask"])
    if masked is not None:
        distinct_texts(to)  # if it is no text, under its own name
        together = masked_column(pd.Series(pd.concat(sent), name=column.name), chosen["mask"])
        assert together is not None
        sent = [together.column.iloc[: len(column)], together.column.iloc[len(column) :]]
        masked.report = together.report
    pairs = text_pairs(*map(distinct_texts, sent))
    session = current_session()
    model = session.embedding_model(chosen["model"])
    plan = session.plan(embed_task(model, session), pairs.texts, model=model, options=run_options(chosen))
    if chosen["dry_run"]:
        return replace(
            session.receipt(plan),
            verb=_VERB,
            unique=len(plan.values),
            cached=len(plan.values) - len(plan.unanswered),
            masked=None if masked is None else masked.report,
        )
    with asked_through("accessor", verb=_VERB):
        run = ComparisonRun(_VERB, session.run(plan), pairs)

    def again(rows: "pd.Series[Any]", same: VerbOptions) -> None:
        result = run.result()
        is_open = [number >= 0 and result.values[number] is None for number in result.texts.numbers.tolist()]
        of_similar = {name: same[name] for name in DetailOptions.__annotations__}  # type: ignore[literal-required]
        similar(rows, to=to[is_open], **of_similar)

    return executed(column, run, "Float64", masked=masked, again=again, give=None, chosen=chosen, session=session)
