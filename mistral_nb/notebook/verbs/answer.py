"""``answer``: what the rows of a column say about a question."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack, cast

from mistral_nb.notebook.row_verbs import AnswerOptions, VerbOptions

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.engine.column_run import ColumnRun

DEFAULT_K = 20
DEFAULT_MAX_WORDS = 100


def answer(
    question: str,
    column: "pd.Series[Any]",
    *,
    k: int = DEFAULT_K,
    max_words: int = DEFAULT_MAX_WORDS,
    instructions: str | None = None,
    embedding_model: str | None = None,
    **options: Unpack[AnswerOptions],
) -> Any:
    """Return the answer to a question from the texts that are nearest to it in meaning, with these texts.

    The model does not read the column but its `k` nearest texts, and is told to answer from these alone and to name those that say
    so by their numbers (small embedded models seldom do). So it suits what some rows say ("Why do people leave?"), not what only
    all of them can ("How many are angry?"): for that, classify them and count.

    Parameters
    ----------
    question
        In words, as you would ask a colleague.
    k
        How many texts the model reads; equal ones are read once. Fewer where there are fewer, or where they don't fit into the
        model's window.
    max_words
        Words the answer should have at most. The model is asked to keep to it; nothing is cut afterwards.
    instructions
        What else the model should heed, e.g. ``"Answer in French."``.
    embedding_model
        Who finds the nearest texts; by default mistral-embed, or local-embed where `model` is an embedded one.

    Returns
    -------
    GroundedAnswer
        `text`; `sources`, a frame of the texts that the model read, with the index labels of their rows; `cited`, those that it
        names; `cost_usd`. Printed and shown it is the text.

    Raises
    ------
    EmptyPrompt
        The question is blank, or the column has no text.
    InvalidOption
        `k` or `max_words` is not a whole number from 1 up, or `instructions` are blank.
    NotSupported
        The embedding model gives no vectors.
    BudgetReached, AnswerProblem, RequestRejected, Refused
        The answer itself did not come; the vectors are kept.

    Examples
    --------
    >>> import pandas as pd, mistral_nb
    >>> texts = pd.Series(["I left because of the late deliveries", "A lovely app", "Two parcels came late, so I cancelled"])
    >>> answer = texts.mistral.answer("Why do people leave?", k=2, max_words=30)
    >>> len(answer.text) > 0, answer.sources["number"].tolist()
    (True, [1, 2])
    """
    from mistral_nb.engine.budget import Budget
    from mistral_nb.engine.columns import texts_to_ask
    from mistral_nb.engine.current import current_session
    from mistral_nb.engine.masked_column import masked_column
    from mistral_nb.engine.occasion import asked_through, current_occasion
    from mistral_nb.engine.retrieval_run import RetrievalRun
    from mistral_nb.errors import EmptyPrompt
    from mistral_nb.notebook.retrieval import Retrieval
    from mistral_nb.notebook.row_verbs import answered, checked, executed, run_options
    from mistral_nb.notebook.vector_runs import checked_text, embed_task, text_to_send
    from mistral_nb.tasks.answer import answer_task
    from mistral_nb.tasks.length import checked_count

    question, k = checked_text(question, "question", "Why do people leave?"), checked_count(k, name="k")
    task = answer_task(max_words=max_words, instructions=instructions)
    chosen = checked(cast(VerbOptions, options))  # which may lack any of its options
    session = current_session()
    asked = text_to_send(question, options)
    masked = masked_column(column, chosen["mask"], further=[asked])
    texts = texts_to_ask(column if masked is None else masked.column, [asked.text])
    if not texts.texts:
        raise EmptyPrompt(f"Column {column.name!r} has no text to answer from.", "Ask about one that has.")
    asks = run_options(chosen)
    model = session.model_name(chosen["model"])
    embedder = session.embedding_model(embedding_model, beside=model)
    embedding = embed_task(embedder, session)
    vectors = session.plan(embedding, texts, model=embedder, options=asks)
    with asked_through("accessor", verb=task.verb):
        retrieval = Retrieval(
            question=question,
            asked=asked.text,
            column=column,
            k=k,
            task=task,
            model=model,
            options=asks,
            mask=chosen["mask"],
            session=session,
            budget=Budget(asks.budget_usd),
            occasion=current_occasion(task.verb),
        )
        retrieval.check()
        if chosen["dry_run"]:
            return replace(retrieval.receipt(vectors), masked=None if masked is None else masked.report)
        run = RetrievalRun(task.verb, session.run(vectors, budget=retrieval.budget), retrieval.run)

    def again(rows: "pd.Series[Any]", same: VerbOptions) -> None:
        of_vectors: VerbOptions = {**same, "model": embedder}
        answered(rows, embedding, **of_vectors)

    def give(column_run: "ColumnRun") -> Any:
        return None if run.answer is None else retrieval.answer(run.answer, bill=column_run.result)

    return executed(column, run, embedding.dtype, masked=masked, again=again, give=give, chosen=chosen, session=session)
