"""How often the embedded models choose the right label, through the same door as a user: ``Series.mistral.classify``.

Keeps to itself: which rows were used to choose the method of `mistral_nb.backends.embedded.labels`, so that none of them is
reported on (half of each data set, drawn with `CHOICE_SEED`).
Promises: nothing is kept from an earlier run, and the user's own cache is left alone.

    python -m tests.bench.quality [--models local-tiny local-small] [--rows 200] [--seed 7] [--confusion]
"""

import argparse
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import mistral_nb
from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_folder
from mistral_nb.engine.current import close_current_session
from mistral_nb.settings import current_settings

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
CHOICE_SEED = 2026
TOPICS = ("billing", "delivery", "bug", "praise")


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Texts with their true labels, and the labels to choose from."""

    name: str
    labels: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]

    @property
    def majority_share(self) -> float:
        truths = [truth for _, truth in self.rows]
        return max(map(truths.count, self.labels)) / len(truths)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one model answered: a label (or a missing value) per row, and how long it took."""

    answers: "pd.Series[str]"
    truths: "pd.Series[str]"
    first_row_seconds: float
    milliseconds_per_row: float

    @property
    def accuracy(self) -> float:
        return float((self.answers == self.truths).mean())

    @property
    def validity(self) -> float:
        return float(self.answers.notna().mean())


def tasks(*, rows: int, seed: int) -> list[LabelledTexts]:
    """Return the tasks, each with `rows` texts (or as many as there are) that had no part in choosing the method."""
    tickets = mistral_nb.load_sample("tickets").dropna(subset=["text", "topic"])
    found = [_task("tickets, 4 topics", TOPICS, _unused(tickets, "topic"), rows=rows, seed=seed)]
    if not SHARED_DATA.is_dir():
        print(f"Only the tickets: {SHARED_DATA} is absent, with the sentiment sentences and the banking questions.")
        return found
    sentences = pd.read_csv(SHARED_DATA / "sentiment_sentences.csv")
    questions = pd.read_csv(SHARED_DATA / "banking77_train.csv")
    unused = _unused(questions, "category")
    intents = sorted(set(questions["category"]))
    for count in (20, 5):
        labels = tuple(random.Random(f"{seed} {count}").sample(intents, count))
        found.insert(0, _task(f"banking, {count} intents", labels, unused, rows=rows, seed=seed))
    sentiment = ("positive", "negative")
    found.insert(0, _task("sentiment", sentiment, _unused(sentences, "label"), rows=rows, seed=seed))
    return found


def measure(task: LabelledTexts) -> Outcome:
    """Classify the texts; the first one pays for what is done once per set of labels, and is not in the time per row."""
    texts = pd.Series([text for text, _ in task.rows])
    started = time.perf_counter()
    texts.head(1).mistral.classify(task.labels)
    first = time.perf_counter()
    answers = texts.mistral.classify(task.labels)
    ended = time.perf_counter()
    return Outcome(
        answers=answers.astype("str"),
        truths=pd.Series([truth for _, truth in task.rows]),
        first_row_seconds=first - started,
        milliseconds_per_row=1000 * (ended - first) / (len(texts) - 1),
    )


def _unused(frame: pd.DataFrame, label_column: str) -> list[tuple[str, str]]:
    """Return the half of the distinct texts on which nothing was chosen."""
    distinct = frame.drop_duplicates("text")
    rows = list(zip(distinct["text"], distinct[label_column], strict=True))
    random.Random(CHOICE_SEED).shuffle(rows)
    return rows[len(rows) // 2 :]


def _task(
    name: str, labels: tuple[str, ...], candidates: list[tuple[str, str]], *, rows: int, seed: int
) -> LabelledTexts:
    fitting = [row for row in candidates if row[1] in labels]
    return LabelledTexts(name, labels, tuple(random.Random(seed).sample(fitting, min(rows, len(fitting)))))


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
    parser.add_argument("--confusion", action="store_true", help="print truth against answer for each task")
    options = parser.parse_args(arguments)

    weights_home = Path(os.environ.get("MISTRAL_NB_TEST_HOME") or current_settings().home)
    models = options.models or _models_present(weights_home)
    if not models:
        print(f"No weights in {weights_home}. Run: mistral-nb download-model local-tiny --yes")
        return 1
    chosen = tasks(rows=options.rows, seed=options.seed)
    print(
        f"{'model':<14}{'task':<22}{'rows':>5}{'majority':>10}{'accuracy':>10}{'valid':>7}{'ms/row':>8}{'first row':>11}"
    )
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        weights_folder(home).symlink_to(weights_folder(weights_home).resolve(), target_is_directory=True)
        for model in models:
            mistral_nb.configure(home=home, model=model)
            for task in chosen:
                outcome = measure(task)
                print(
                    f"{model:<14}{task.name:<22}{len(task.rows):>5}{task.majority_share:>10.2f}{outcome.accuracy:>10.3f}"
                    f"{outcome.validity:>7.0%}{outcome.milliseconds_per_row:>8.0f}{outcome.first_row_seconds:>9.1f} s",
                    flush=True,
                )
                if options.confusion:
                    _print_confusion(outcome)
        close_current_session()
    return 0


if __name__ == "__main__":
    sys.exit(main())
