"""The main job in the terminal: sample tickets classified and summarized, checked against the truth, with the bill.

Promises: what is printed was just answered (or is kept from an earlier run, and says so); accuracy is against the tickets' own
topics; the price on the hosted model is an estimate and says so.
"""

import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from mistral_nb import catalogue
from mistral_nb.completion import TokenUsage
from mistral_nb.engine.columns import texts_of
from mistral_nb.engine.rows import RowTask
from mistral_nb.engine.session import current_session
from mistral_nb.samples import load_sample
from mistral_nb.tasks.classify import classify_task
from mistral_nb.tasks.summarize import summarize_task

TOPICS = ["billing", "delivery", "bug", "praise"]
COMPARED_MODEL = "mistral-small-latest"

# Rule of thumb for Western languages; exact counts need the model's own tokenizer.
_CHARACTERS_PER_TOKEN = 4
_TEXT_WIDTH = 100
_LONG_ENOUGH_TO_SUMMARIZE = 100


def run_demo(*, model: str, summaries: int, say: Callable[[str], None] = print) -> None:
    """Classify all sample tickets, summarize the first ones, and print table, accuracy, seconds and bill.

    Parameters
    ----------
    model
        Name of the model that answers, e.g. "local-small".
    summaries
        How many tickets to summarize; writing takes an embedded model a second or two each, choosing a topic much less.
    say
        Called with each paragraph.
    """
    started = time.perf_counter()
    session = current_session()
    tickets = load_sample("tickets")
    say(f"{len(tickets)} support tickets, answered by {model}. One moment…")

    tickets["answer"] = tickets.mistral.classify("text", TOPICS, model=model)
    classified = session.last_run
    first = tickets[tickets["text"].map(_is_worth_summarizing)].head(summaries).copy()
    first["summary"] = first.mistral.summarize("text", max_words=15, model=model)
    summarized = session.last_run
    assert classified is not None
    assert summarized is not None

    say(_listing(first))
    judged = tickets[tickets["topic"].notna()]
    right = int((judged["answer"].astype("str") == judged["topic"]).sum())
    most_frequent = int(judged["topic"].value_counts().iloc[0])
    say(
        f"Topics: {right} of {len(judged)} right ({right / len(judged):.0%}); "
        f"always saying the most frequent one would give {most_frequent / len(judged):.0%}."
    )
    results = (classified.result, summarized.result)
    kept = sum(result.progress.cached for result in results)
    usage = results[0].usage + results[1].usage
    say(
        f"{results[0].requests} topics and {results[1].requests} summaries in {time.perf_counter() - started:.0f} s; "
        f"{kept} rows took an answer kept from before; {results[0].progress.missing} tickets without text cost nothing."
    )
    would_cost = _estimated_cost(classify_task(TOPICS), tickets["text"], ['{"label": "delivery"}'] * len(tickets))
    would_cost += _estimated_cost(summarize_task(15), first["text"], first["summary"].fillna(""))
    paid = session.cost_usd(model, usage)
    say(
        f"Bill: {_dollars(paid)} for {usage.total_tokens:,} tokens. "
        f"On {COMPARED_MODEL} about {_dollars(would_cost)} (estimated from the length of the texts; "
        f"prices of {catalogue.load_catalogue().checked})."
    )


def _is_worth_summarizing(text: Any) -> bool:
    return isinstance(text, str) and len(text) > _LONG_ENOUGH_TO_SUMMARIZE


def _listing(tickets: Any) -> str:
    """Return two lines per ticket: its text with the topic, and the summary below."""
    lines = []
    for ticket in tickets.itertuples():
        verdict = "" if ticket.answer == ticket.topic else f" (true: {ticket.topic})"
        text = " ".join(ticket.text.split())
        short = text if len(text) <= _TEXT_WIDTH else f"{text[: _TEXT_WIDTH - 1]}…"
        summary = ticket.summary if isinstance(ticket.summary, str) else "no summary, see the warning"
        lines += [f"{ticket.ticket_id}  {short}", f"        {ticket.answer}{verdict}: {' '.join(summary.split())}"]
    return "\n".join(lines)


def _estimated_cost(task: RowTask, texts: Any, answers: Iterable[str]) -> Decimal:
    """Return the price of the distinct texts on the compared model, from the number of characters."""
    answer_of = {text: answer for text, answer in zip(texts_of(texts), answers, strict=True) if text is not None}
    usage = TokenUsage()
    for text, answer in answer_of.items():
        prompt = "".join(message["content"] for message in task.request(text, model=COMPARED_MODEL).messages)
        usage += TokenUsage(prompt_tokens=_estimated_tokens(prompt), completion_tokens=_estimated_tokens(answer))
    cost = catalogue.cost_usd(COMPARED_MODEL, usage)
    assert cost is not None, f"{COMPARED_MODEL} has a price in the catalogue"
    return cost


def _estimated_tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _dollars(amount: Decimal | None) -> str:
    if amount is None:
        return "an unknown price"
    return f"${amount:.4f}" if amount else "$0"
