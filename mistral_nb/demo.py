"""The main job in the terminal: sample tickets classified and summarized, checked against the truth, with the bill.

Promises: what is printed was just answered (or is kept from an earlier run, and says so); accuracy is against the tickets' own
topics; what is left out of the tables is counted; the price on the hosted model is an estimate, with its receipt; it ends with
commands that go on from there.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

from mistral_nb.counted import counted
from mistral_nb.engine.current import current_session
from mistral_nb.engine.receipt import Receipt
from mistral_nb.samples import load_sample
from mistral_nb.terminal_table import Column, terminal_table, wrapped

TOPICS = ["billing", "delivery", "bug", "praise"]
COMPARED_MODEL = "mistral-small-latest"

_LONG_ENOUGH_TO_SUMMARIZE = 100
_NARROWEST = 80
# Longer lines than this are hard to read, however wide the terminal is.
_WIDEST = 132
_WITHOUT_TERMINAL = (110, 24)
_NONE = "–"
_WHERE_TO_GO_NEXT = """\
Where to go next:
  mistral-nb notebooks --open    notebooks, each one question, from the first answer to large data
  your own file                  df = pandas.read_csv("my.csv"); import mistral_nb
                                 df["topic"] = df.mistral.classify("text", ["billing", "delivery", "bug", "praise"])
  Mistral's models               export MISTRAL_API_KEY=…, and the same lines ask them; dry_run=True says first what it costs
  mistral-nb doctor              what is set up here, and what is not"""
TICKETS = 160  # of 300: more would take longer than a minute on two cores


def run_demo(*, model: str, summaries: int, tickets: int = TICKETS, say: Callable[[str], None] = print) -> None:
    """Classify the first sample tickets, summarize some, and print tables, accuracy, seconds, receipt, bill and what is next.

    Parameters
    ----------
    model
        Name of the model that answers, e.g. "local-small".
    summaries
        How many tickets to summarize; writing takes an embedded model a second or two each, choosing a topic much less.
    tickets
        How many tickets to classify, from the first on.
    say
        Called with each paragraph.
    """
    started = time.perf_counter()
    session = current_session()
    sample = load_sample("tickets").head(tickets)
    say(f"{counted(len(sample), 'support ticket')}, answered by {model}. One moment…")

    sample["answer"] = sample.mistral.classify("text", TOPICS, model=model)
    classified = session.last_run
    first = sample[sample["text"].map(_is_worth_summarizing)].head(summaries).copy()
    first["summary"] = first.mistral.summarize("text", max_words=15, model=model)
    summarized = session.last_run
    assert classified is not None
    assert summarized is not None

    wide = min(max(shutil.get_terminal_size(_WITHOUT_TERMINAL).columns, _NARROWEST), _WIDEST)
    for paragraph in report(sample, first, width=wide):
        say(f"\n{paragraph}")

    results = (classified.result, summarized.result)
    kept = sum(result.progress.cached for result in results)
    usage = results[0].usage + results[1].usage
    requests = f"{counted(results[0].requests, 'topic')} and {counted(results[1].requests, 'summary', 'summaries')}"
    receipts = (
        sample.mistral.classify("text", TOPICS, model=COMPARED_MODEL, dry_run=True, cache=False),
        first.mistral.summarize("text", max_words=15, model=COMPARED_MODEL, dry_run=True, cache=False),
    )
    paid = session.cost_usd(model, usage)
    speed = (
        f"{requests} in {time.perf_counter() - started:.0f} s; {counted(kept, 'row')} took an answer kept from before; "
        f"{counted(results[0].progress.missing, 'ticket')} without text cost nothing."
    )
    bill = (
        f"Bill: {_dollars(paid)} for {counted(usage.total_tokens, 'token')}. "
        f"On {COMPARED_MODEL} about {_dollars(_total(receipts))} "
        f"(tokens {'counted' if receipts[0].are_tokens_exact else 'estimated'}; prices of {receipts[0].price_checked})."
    )
    say(
        f"{_paragraph(speed, width=wide)}\n\nBefore a run, dry_run=True gives its receipt. For these topics:\n{receipts[0]}\n"
    )
    say(f"{_paragraph(bill, width=wide)}\n\n{_WHERE_TO_GO_NEXT}")


def report(tickets: Any, summarized: Any, *, width: int) -> Iterator[str]:
    """Return, in paragraphs: the summarized tickets, those answered wrongly, how many got which answer, and the accuracy.

    Parameters
    ----------
    tickets
        All tickets, with the columns ticket_id, text, topic (the true one, or missing) and answer.
    summarized
        Those of them that have a summary, with the column summary too.
    width
        Cells of the terminal in a line.
    """
    judged = tickets[tickets["topic"].notna()]
    wrong = judged[judged["answer"].astype("str") != judged["topic"]]
    title = f"Summarized: {counted(len(summarized), 'ticket')}, the first of more than {_LONG_ENOUGH_TO_SUMMARIZE} characters."
    yield f"{_paragraph(title, width=width)}\n{_summaries_table(summarized, width=width)}"
    if len(wrong):
        title = f"Answered otherwise than the ticket's true topic: {counted(len(wrong), 'ticket')}."
        yield f"{_paragraph(title, width=width)}\n{_wrong_table(wrong, width=width)}"
    others = counted(len(tickets.index.difference(summarized.index.union(wrong.index))), "ticket")
    title = f"Not shown: {others}, answered rightly or without a true topic. How many got which answer:"
    yield f"{_paragraph(title, width=width)}\n{_confusion_table(judged)}"
    right = len(judged) - len(wrong)
    most_frequent = int(judged["topic"].value_counts().iloc[0])
    accuracy = (
        f"Topics: {right} of {len(judged)} right ({right / len(judged):.0%}); "
        f"always saying the most frequent one would give {most_frequent / len(judged):.0%}."
    )
    yield _paragraph(accuracy, width=width)


def _is_worth_summarizing(text: Any) -> bool:
    return isinstance(text, str) and len(text) > _LONG_ENOUGH_TO_SUMMARIZE


def _summaries_table(tickets: Any, *, width: int) -> str:
    summaries = [
        summary if isinstance(summary, str) else f"{_NONE} (see the warning)" for summary in tickets["summary"]
    ]
    columns = [
        *_ticket_columns(tickets, most_lines=3),
        Column("summary", summaries, is_wrapped=True),
    ]
    return terminal_table(columns, width=width)


def _wrong_table(tickets: Any, *, width: int) -> str:
    return terminal_table(_ticket_columns(tickets, most_lines=1), width=width)


def _ticket_columns(tickets: Any, *, most_lines: int) -> list[Column]:
    """Return what both tables show of each ticket; a cross marks an answer that is not the true topic."""
    topics = [topic if isinstance(topic, str) else _NONE for topic in tickets["topic"]]
    answers = [answer if isinstance(answer, str) else _NONE for answer in tickets["answer"]]
    marked = [
        f"✗ {answer}" if topic not in {answer, _NONE} else f"  {answer}"
        for topic, answer in zip(topics, answers, strict=True)
    ]
    return [
        Column("ticket", tickets["ticket_id"].tolist()),
        Column("text", tickets["text"].fillna(_NONE).tolist(), is_wrapped=True, most_lines=most_lines),
        Column("true topic", topics),
        Column("  answer", marked),
    ]


def _confusion_table(judged: Any) -> str:
    """Return how many tickets of each true topic got which answer."""
    answers = judged["answer"].astype(object).where(judged["answer"].notna(), _NONE)
    counts = judged.groupby(["topic", answers]).size().unstack(fill_value=0)
    columns = TOPICS + ([_NONE] if _NONE in counts.columns else [])
    return str(
        counts.reindex(index=TOPICS, columns=columns, fill_value=0)
        .rename_axis(index="true topic", columns="answer")
        .to_string()
    )


def _paragraph(sentences: str, *, width: int) -> str:
    return "\n".join(wrapped(sentences, width=width))


def _total(receipts: Iterable[Receipt]) -> Decimal | None:
    """Return what the receipts expect together; None where a price is unknown, as it is at other people's endpoints."""
    costs = [receipt.cost_usd_expected for receipt in receipts]
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None


def _dollars(amount: Decimal | None) -> str:
    if amount is None:
        return "an unknown price"
    return f"${amount:.4f}" if amount else "$0"
