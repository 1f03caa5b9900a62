"""How often the embedded models judge right, through the same doors as a user: `classify`, `sentiment`, `filter`.

Keeps to itself: which rows were used to choose the method of `mistral_nb.backends.embedded.labels`, so that none of them is
reported on (half of each data set, drawn with `CHOICE_SEED`).
Promises: nothing is kept from an earlier run, and the user's own cache is left alone.

    python -m tests.bench.quality [--models local-tiny local-small] [--rows 200] [--seed 7] [--ways door written packed]
                                  [--tasks sentiment] [--no-confusion]

Each task is asked in three ways: as the door asks the embedded model, which scores labels; written, one row per request, as every
other model is asked; and packed, ten rows in each request, as other models are asked in long columns. Where half of the texts have
none of the labels, `other` is right for these. Several labels are right where all of them are, and no other.

Five banking intents are right in 0.889 of rows on average over 400 random choices of five (1,910 rows of the half for choosing,
standard error 0.004) by closeness of embeddings alone, and hardly more can be had from these two models: 15 other wordings of a
label gave 0.873 to 0.891, the best three together 0.894, with half of a label's closeness to the other labels taken off 0.895.
The opinion of local-small added 0.004 at its best weight (28 choices, 1,400 rows); all of it together 0.007 to 0.010. What would
take it beyond 0.90, a label's mean closeness to all texts, makes an answer depend on other rows (0.904). Examples do: with two for
each label local-tiny had 0.941 over 20 choices (seeds 1 to 20, 200 rows each, standard error 0.009), and 0.909 (0.012) without.
"""

import argparse
import itertools
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mistral_nb
from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_folder
from mistral_nb.engine.current import close_current_session
from mistral_nb.engine.rows import RowTask
from mistral_nb.notebook.row_verbs import answered
from mistral_nb.settings import current_settings
from mistral_nb.tasks.classify import classify_task
from mistral_nb.tasks.filter import filter_task
from mistral_nb.tasks.multi_label import multi_label_task
from mistral_nb.tasks.sentiment import sentiment_task

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
CHOICE_SEED = 2026
TOPICS = ("billing", "delivery", "bug", "praise")
OTHER = "other"
INSTRUCTIONS = (
    "Invoices, charges and refunds are billing. Late, lost or damaged parcels are delivery. "
    "An app or a device that does not work is a bug. Thanks and compliments are praise."
)
DESCRIBED = {
    "billing": "invoices, charges, refunds",
    "delivery": "late, lost or damaged parcels",
    "bug": "an app or a device that does not work",
}
# What a question of this category meets, and most others do not.
CONDITIONS = {
    "is about a lost or stolen card": "lost_or_stolen_card",
    "mentions a forgotten passcode": "passcode_forgotten",
}
WAYS = ("door", "written", "packed")
PACKED_ROWS = 10


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Texts with what should be answered, the possible answers, and the task that asks for them."""

    name: str
    answers: tuple[object, ...]
    rows: tuple[tuple[str, object], ...]
    task: RowTask

    @property
    def majority_share(self) -> float:
        truths = [truth for _, truth in self.rows]
        return max(map(truths.count, set(truths))) / len(truths)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one model answered: a value (or a missing one) per row, and how long it took."""

    answers: "pd.Series[Any]"
    truths: "pd.Series[Any]"
    first_row_seconds: float
    milliseconds_per_row: float

    @property
    def accuracy(self) -> float:
        return float((self.answers == self.truths).mean())

    @property
    def validity(self) -> float:
        return float(self.answers.notna().mean())


class Written:
    """A task whose messages are answered, whatever else could be done with the question."""

    def __init__(self, task: RowTask) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def request(self, text: str, *, model: str) -> Any:
        return replace(self._task.request(text, model=model), choice=None)


def tasks(*, rows: int, seed: int) -> list[LabelledTexts]:
    """Return the tasks, each with `rows` texts (or as many as there are) that had no part in choosing the method."""
    tickets = mistral_nb.load_sample("tickets").dropna(subset=["text", "topic"])
    about_tickets = _about_tickets(_unused(tickets, "topic"), rows=rows, seed=seed)
    if not SHARED_DATA.is_dir():
        print(f"Only the tickets: {SHARED_DATA} is absent, with the sentiment sentences and the banking questions.")
        return about_tickets
    sentences = pd.read_csv(SHARED_DATA / "sentiment_sentences.csv")
    questions = pd.read_csv(SHARED_DATA / "banking77_train.csv")
    sentiments, unused = _unused(sentences, "label"), _unused(questions, "category")
    two, four = sentiment_task(neutral=False, mixed=False), sentiment_task()
    found = [
        _task("sentiment, 2 labels", two.labels.names, sentiments, two, rows=rows, seed=seed),
        _task("sentiment, 4 labels", two.labels.names, sentiments, four, rows=rows, seed=seed),
    ]
    intents = sorted(set(questions["category"]))
    for count in (5, 20):
        labels = tuple(random.Random(f"{seed} {count}").sample(intents, count))
        found.append(_task(f"banking, {count} intents", labels, unused, classify_task(labels), rows=rows, seed=seed))
        examples = _examples(questions, labels)
        with_examples = classify_task(labels, examples=examples)
        found.append(_task(f"the same, {len(examples)} examples", labels, unused, with_examples, rows=rows, seed=seed))
        found.append(_half_other(f"{count} intents or other", labels, unused, rows=rows, seed=seed))
    found.append(_several("several of 5 intents", intents, unused, rows=rows, seed=seed))
    for condition, category in CONDITIONS.items():
        found.append(_condition(condition, category, unused, rows=rows, seed=seed))
        with_instructions = filter_task(condition, instructions="Judge by what the customer asks for.")
        found.append(replace(found[-1], name="the same, instructions", task=with_instructions))
    return [*found, *about_tickets]


def measure(task: LabelledTexts, way: str) -> Outcome:
    """Ask for the texts; the first one pays for what is done once per set of labels, and is not in the time per row."""
    texts = pd.Series([text for text, _ in task.rows])
    asked = task.task if way == "door" else Written(task.task)
    rows_per_request = PACKED_ROWS if way == "packed" else 1
    started = time.perf_counter()
    answered(texts.head(1), asked, rows_per_request=1)
    first = time.perf_counter()
    answers = answered(texts, asked, rows_per_request=rows_per_request, refresh=way == "packed")
    ended = time.perf_counter()
    return Outcome(
        answers=_comparable(answers),
        truths=pd.Series([truth for _, truth in task.rows], dtype="object"),
        first_row_seconds=first - started,
        milliseconds_per_row=1000 * (ended - first) / (len(texts) - (way != "packed")),
    )


def _comparable(answers: Any) -> "pd.Series[Any]":
    """Return the labels of answers that have more, and lists of labels as tuples."""
    column = answers["label"] if isinstance(answers, pd.DataFrame) else answers
    return column.astype("object").map(lambda value: tuple(value) if isinstance(value, list | np.ndarray) else value)


def _about_tickets(candidates: list[tuple[str, str]], *, rows: int, seed: int) -> list[LabelledTexts]:
    """Return the tasks that ask for the topic of tickets: plainly, with one that has no label, with instructions, with reasons."""
    three = TOPICS[:-1]
    topic_or_other = [(text, topic if topic in three else OTHER) for text, topic in candidates]
    asked = {
        "tickets, 4 topics": (TOPICS, candidates, classify_task(TOPICS)),
        "tickets, 3 or other": ((*three, OTHER), topic_or_other, classify_task(three, other=OTHER)),
        "the same, described": ((*three, OTHER), topic_or_other, classify_task(DESCRIBED, other=OTHER)),
        "tickets, instructions": (TOPICS, candidates, classify_task(TOPICS, instructions=INSTRUCTIONS)),
        "tickets, rationale": (TOPICS, candidates, classify_task(TOPICS, rationale=True)),
        "tickets, several": (
            [(topic,) for topic in TOPICS],
            [(text, (topic,)) for text, topic in candidates],
            multi_label_task(TOPICS),
        ),
    }
    return [_task(name, *parts, rows=rows, seed=seed) for name, parts in asked.items()]


def _half_other(
    name: str, labels: tuple[str, ...], candidates: list[tuple[str, str]], *, rows: int, seed: int
) -> LabelledTexts:
    """Return a choice in which half of the texts have one of the labels, and half have none."""
    drawn = random.Random(f"{seed} {name}")
    fitting = [row for row in candidates if row[1] in labels]
    others = [(text, OTHER) for text, label in candidates if label not in labels]
    count = min(rows // 2, len(fitting))
    both = drawn.sample(fitting, count) + drawn.sample(others, count)
    return LabelledTexts(name, (*labels, OTHER), tuple(both), classify_task(labels, other=OTHER))


def _several(
    name: str, intents: list[str], candidates: list[tuple[str, str]], *, rows: int, seed: int
) -> LabelledTexts:
    """Return texts of up to four questions, up to three of which have labels, and the task that asks for all of these."""
    drawn = random.Random(f"{seed} {name}")
    labels = tuple(drawn.sample(intents, 5))
    fitting = {label: [text for text, found in candidates if found == label] for label in labels}
    others = [text for text, found in candidates if found not in labels]
    texts: list[tuple[str, object]] = []
    for _ in range(rows):
        truth = drawn.sample(labels, drawn.choice([0, 1, 1, 2, 2, 3]))
        questions = [drawn.choice(fitting[label]) for label in truth]
        questions += [drawn.choice(others)] if not truth or drawn.random() < 0.25 else []
        drawn.shuffle(questions)
        sentences = (text if text.endswith((".", "!", "?")) else f"{text}." for text in map(str.strip, questions))
        texts.append((" ".join(sentences), tuple(label for label in labels if label in truth)))
    return LabelledTexts(name, labels, tuple(texts), multi_label_task(labels))


def _unused(frame: pd.DataFrame, label_column: str) -> list[tuple[str, str]]:
    """Return the half of the distinct texts on which nothing was chosen."""
    distinct = frame.drop_duplicates("text")
    rows = list(zip(distinct["text"], distinct[label_column], strict=True))
    random.Random(CHOICE_SEED).shuffle(rows)
    return rows[len(rows) // 2 :]


def _task(
    name: str, answers: Sequence[object], candidates: Sequence[tuple[str, object]], task: Any, *, rows: int, seed: int
) -> LabelledTexts:
    fitting = [row for row in candidates if row[1] in answers]
    return LabelledTexts(
        name, tuple(answers), tuple(random.Random(seed).sample(fitting, min(rows, len(fitting)))), task
    )


def _condition(
    condition: str, category: str, candidates: list[tuple[str, str]], *, rows: int, seed: int
) -> LabelledTexts:
    """Return a condition with as many texts that meet it as others, which are all questions to a bank as well."""
    drawn = random.Random(f"{seed} {condition}")
    meeting = [(text, True) for text, found in candidates if found == category]
    others = [(text, False) for text, found in candidates if found != category]
    count = min(rows // 2, len(meeting))
    both = drawn.sample(meeting, count) + drawn.sample(others, count)
    return LabelledTexts(f"filter, {condition[:14]}…", (True, False), tuple(both), filter_task(condition))


def _examples(questions: pd.DataFrame, labels: Sequence[str]) -> list[tuple[str, str]]:
    """Return two texts for each label, of the half that nothing is reported on."""
    reported = {text for text, _ in _unused(questions, "category")}
    others = questions[~questions["text"].isin(reported)].drop_duplicates("text")
    return [(text, label) for label in labels for text in others.loc[others["category"] == label, "text"].head(2)]


def _models_present(home: Path) -> list[str]:
    folder = weights_folder(home)
    return [
        name for name, model in LOCAL_MODELS.items() if model.role == "chat" and (folder / model.file_name).is_file()
    ]


def _print_confusion(outcome: Outcome) -> None:
    table = pd.crosstab(outcome.truths.rename("truth"), outcome.answers.rename("answer"))
    print(table.to_string(), end="\n\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quality", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--models", nargs="+", metavar="MODEL", help="default: every local model whose weights are here"
    )
    parser.add_argument("--rows", type=int, default=200, help="texts per task (default 200)")
    parser.add_argument("--seed", type=int, default=7, help="which unused texts, and which intents (default 7)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="how each task is asked (default: all)")
    parser.add_argument("--tasks", default="", metavar="TEXT", help="only the tasks whose name has this in it")
    parser.add_argument(
        "--confusion",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="print truth against answer for each task (default)",
    )
    options = parser.parse_args(arguments)
    # A model that does not answer as it should loses rows, and may guess; how often is in the table.
    warnings.simplefilter("ignore", UserWarning)

    weights_home = Path(os.environ.get("MISTRAL_NB_TEST_HOME") or current_settings().home)
    models = options.models or _models_present(weights_home)
    if not models:
        print(f"No weights in {weights_home}. Run: mistral-nb download-model local-tiny --yes")
        return 1
    chosen = [task for task in tasks(rows=options.rows, seed=options.seed) if options.tasks in task.name]
    print(
        f"{'model':<13}{'task':<24}{'way':<9}{'rows':>5}{'majority':>10}{'accuracy':>10}{'valid':>7}{'ms/row':>8}{'first row':>11}"
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        weights_folder(home).symlink_to(weights_folder(weights_home).resolve(), target_is_directory=True)
        for model in models:
            mistral_nb.configure(home=home, model=model)
            for task, way in itertools.product(chosen, options.ways):
                outcome = measure(task, way)
                print(
                    f"{model:<13}{task.name:<24}{way:<9}{len(task.rows):>5}{task.majority_share:>10.2f}"
                    f"{outcome.accuracy:>10.3f}{outcome.validity:>7.0%}{outcome.milliseconds_per_row:>8.0f}"
                    f"{outcome.first_row_seconds:>9.1f} s",
                    flush=True,
                )
                if options.confusion:
                    _print_confusion(outcome)
        close_current_session()
    return 0


if __name__ == "__main__":
    sys.exit(main())
