"""``classify``: the label, or the labels, that fit each text."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack

from mistral_nb.notebook.row_verbs import VerbOptions, answered

if TYPE_CHECKING:
    from enum import Enum

    import pandas as pd

    from mistral_nb.tasks.classify import Classify
    from mistral_nb.tasks.multi_label import ClassifySeveral


def classify(
    column: "pd.Series[Any]",
    labels: "Iterable[str] | Mapping[str, str] | type[Enum]",
    *,
    examples: Iterable[tuple[str, str]] | Mapping[str, str] = (),
    other: str | None = None,
    multi_label: bool | Literal["columns"] = False,
    confidence: bool = False,
    votes: int | None = None,
    escalate: str | None = None,
    below: float | None = None,
    rationale: bool = False,
    instructions: str | None = None,
    **options: Unpack[VerbOptions],
) -> Any:
    """Return the label that fits each text best, or all that apply.

    Parameters
    ----------
    labels
        At least two: a list, a dict of labels and their descriptions (``{"billing": "invoices, refunds", "bug": "something
        broken"}``), an Enum class (its text values, otherwise its names), or a ``Literal``.
    examples
        Texts with their labels, e.g. ``[("card charged twice", "billing")]``.
    other
        The label of texts that none of the others fits, e.g. ``"other"``. By default there is none: every text gets the label
        that is nearest, even where none fits.
    multi_label
        True: a list of all labels that apply, in the order of `labels`; it may be empty. "columns": a boolean column for each
        label.
    confidence
        How sure the model was, from 0 to 1, and in `confidence_from` what that is: "log-probabilities", the probability that
        the model gave its label among the labels; "label scores", the same of the embedded model; "votes", the share of answers
        that agree, where the model gives neither (then `votes` is 5). Which it is, is found out once for each hosted model, by
        a request of a few tokens that is on the bill of the first run it matters to. All say which answers are surer than
        others. None is calibrated: of the answers with 0.9, nine in ten may be right, or seven. `mistral_nb.evaluate` compares
        answers with labels of your own. Each text is asked alone. With `multi_label` it is the share of votes of each
        label that got any ("votes"), or by the embedded model's scores the probability that each label applies.
    votes
        Ask each text so often, from 2 to 16, at temperature 0.7 or another above 0, and take what most answers say. The prompt is
        billed once. The embedded model's scores are the same each time, and stand in for votes.
    escalate
        A second, better model, e.g. ``model="ministral", escalate="large"``: it is asked about the texts whose first label has a
        confidence below `below`, or can't be read. The first model's confidence decides, from log-probabilities, label scores or,
        where they are given, `votes`, which the second model is not asked for. A text that goes on has the second's label
        or, where that does not come, none. ``details=True`` says which model answered, and `df.mistral.last_run` how many texts
        went on and what that saved; a budget holds for both.
    below
        The confidence below which a label is not trusted, above 0 and up to 1; 0.8 where there is `escalate`. What it should be
        depends on model and texts: `mistral_nb.prompt_diff` compares a cascade with the second model alone.
    rationale
        Why, in a sentence. It costs about 50 tokens for each text: the receipt of ``dry_run=True`` says how many in all.
    instructions
        What else to mind, in words, e.g. ``"A complaint about a price is billing."`` To the embedded model, sentences that name
        one label, and say neither "not" nor "only", are descriptions of it; others change nothing, and where none does a
        warning says so.

    Returns
    -------
    Series of dtype category
        Same index and name as the column, categories in the order of `labels` (and `other`). Missing and blank texts are missing
        and cause no request; rows that failed are missing too, with one warning that counts them.
    Series of dtype object
        With ``multi_label=True``: lists.
    DataFrame
        With `confidence` or `rationale`: columns label (category; or labels, lists), confidence (Float64; or dicts of label and
        share), confidence_from (category), rationale (str). With ``multi_label="columns"``: one boolean column for each label.

    Raises
    ------
    InvalidLabels
        Fewer than two labels, one given twice, or one that is blank.
    InvalidOption
        An example whose label is none of the labels, votes out of range or at temperature 0, blank instructions, or
        `escalate` with `multi_label` or to the model that answers first.
    NotSupported
        With `escalate`: the first model gives no confidence and there are no `votes`, or `mode` is not "live".

    Notes
    -----
    The embedded model scores labels instead of writing one: by its opinion of each, and by the closeness of vectors. Where no label
    is close enough it answers `other`; with `multi_label` each sentence may have a label of its own. Only rows that share a
    request (`rows_per_request`) are written, and right less often; see "Without a key" in the README.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I was charged twice", None, "The parcel never came"])
    >>> texts.mistral.classify(["billing", "delivery"]).cat.categories.tolist()
    ['billing', 'delivery']
    >>> described = {"billing": "invoices, refunds", "delivery": "parcels, couriers"}
    >>> texts.mistral.classify(described, confidence=True).columns.tolist()
    ['label', 'confidence', 'confidence_from']
    >>> receipt = texts.mistral.classify(described, model="ministral", escalate="large", below=0.8, dry_run=True)
    >>> receipt.of_first_model.model, receipt.model
    ('ministral-8b-latest', 'mistral-large-latest')
    """
    from mistral_nb.notebook.cascades import cascaded, checked_escalation
    from mistral_nb.notebook.confidence import with_confidence
    from mistral_nb.tasks.classify import Classify

    escalation = checked_escalation(escalate, below, multi_label=multi_label)
    task = _task(
        labels,
        multi_label=multi_label,
        confidence=confidence,
        votes=votes,
        examples=examples,
        other=other,
        rationale=rationale,
        instructions=instructions,
        model=options.get("model"),
        temperature=options.get("temperature"),
    )
    if not isinstance(task, Classify):
        return answered(column, task, **options)
    if escalation is not None:
        return cascaded(column, task, escalation, votes=votes, **options)
    asked, otherwise = with_confidence(
        task,
        wanted=confidence,
        votes=votes,
        model=options.get("model"),
        temperature=options.get("temperature"),
    )
    return answered(column, asked, otherwise=otherwise, **options)


def _task(
    labels: Any, *, multi_label: Any, confidence: Any, votes: Any, model: str | None, temperature: Any, **asked: Any
) -> "Classify | ClassifySeveral":
    """Return the task, without what its confidence comes from where one label is chosen."""
    from mistral_nb.errors import InvalidOption
    from mistral_nb.notebook.confidence import number_of_votes
    from mistral_nb.tasks.classify import classify_task
    from mistral_nb.tasks.confidence import DEFAULT_VOTES
    from mistral_nb.tasks.multi_label import multi_label_task

    for name, value in {"confidence": confidence, "rationale": asked["rationale"]}.items():
        if not isinstance(value, bool):
            raise InvalidOption(f"{name} is {value!r}.", f"Give {name}=True or {name}=False.")
    if not (isinstance(multi_label, bool) or multi_label == "columns"):
        raise InvalidOption(f"multi_label is {multi_label!r}.", 'Give multi_label=True, or multi_label="columns".')
    if multi_label:
        asked_for = DEFAULT_VOTES if votes is None and confidence else votes
        number = number_of_votes(asked_for, model=model, temperature=temperature)
        as_columns = multi_label == "columns"
        return multi_label_task(labels, as_columns=as_columns, votes=number, shows_confidence=confidence, **asked)
    return classify_task(labels, shows_confidence=confidence, **asked)
