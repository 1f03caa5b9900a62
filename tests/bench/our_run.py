"""One run of ``df.mistral.classify``, or of ``stream_parquet``, in a Python of its own, timed, weighed and checked.

Keeps to itself: how memory is read. "Over the frame" is the most memory the process ever held during the verb, less what it held
when the frame was built and the package imported (what the verb itself imports counts).
Promises: started as a module it reads a spec as JSON, and prints JSON; with `warm_rows` the verb has run once on other texts, so
that imports, connections and learnt limits are there.
"""

import ctypes
import gc
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mistral_nb
from tests.bench import row_texts

_WARM_FROM = 10_000_000  # numbers of texts that no line uses


def asked(spec: dict[str, Any]) -> tuple[pd.DataFrame, tuple[str, ...], "pd.Series[str]"]:
    """Return the frame to classify, the labels to choose from, and the truth of each row.

    With `common` the rows are the peers' own; with `words` the labels are the words that their texts contain, for a server that
    finds labels in texts.
    """
    rows, first = spec["rows"], spec.get("first", 0)
    if "common" in spec:
        sys.path.insert(0, spec["common"])
        import common  # type: ignore[import-not-found]

        texts, truths = common.data(rows, 0.0)
        named = common.WORDS if spec.get("words") else {label: label for label in common.LABELS}
        return pd.DataFrame({"text": texts}), tuple(named.values()), pd.Series(truths).replace(named)
    distinct = spec.get("distinct", rows)
    texts = pd.Series(row_texts.texts(distinct, first=first), dtype="str")
    truths = pd.Series(row_texts.truths(distinct, first=first), dtype="category")
    if distinct < rows:
        # Repeated by position, so that no list of so many texts is made whose memory would count as the frame's.
        places = np.arange(rows) % distinct
        texts, truths = texts.take(places), truths.take(places)
    return pd.DataFrame({"text": texts.reset_index(drop=True)}), row_texts.LABELS, truths.reset_index(drop=True)


def measured(spec: dict[str, Any]) -> dict[str, Any]:
    """Classify, and return seconds, processor seconds, megabytes over the frame, and how many rows are right."""
    mistral_nb.configure(
        endpoint=spec["url"],
        api_key=spec["api_key"],
        home=spec["home"],
        max_concurrency=spec.get("max_concurrency", 64),
    )
    options = {"rows_per_request": spec.get("rows_per_request", "auto")}
    if spec.get("warm_rows"):
        warm = pd.DataFrame({"text": row_texts.texts(spec["warm_rows"], first=_WARM_FROM)})
        warm.mistral.classify("text", row_texts.LABELS, **options)
    frame, labels, truths = asked(spec)
    batch_rows = spec.get("batch_rows")
    source, target = (Path(spec["home"]) / name for name in ("in.parquet", "out.parquet"))
    if batch_rows:
        frame.to_parquet(source)
        frame = frame.head(0)
    base_mb = _settled_mb()
    started, cpu_started = time.perf_counter(), time.process_time()
    if batch_rows:
        mistral_nb.stream_parquet(
            source,
            target,
            verb="classify",
            column="text",
            labels=labels,
            into="topic",
            batch_rows=batch_rows,
            **options,
        )
    else:
        answers = frame.mistral.classify("text", labels, **options)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    peak_mb = _peak_mb()
    if batch_rows:
        written = pd.read_parquet(target)
        frame, answers = written[["text"]], written["topic"]
    right = (answers.astype(object) == truths.astype(object)) | (answers.isna() & frame["text"].isna())
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "over_frame_mb": peak_mb - base_mb,
        "base_mb": base_mb,
        "rows": len(frame),
        "correct": int(right.sum()),
        "missing": int(answers.isna().sum()),
    }


def _settled_mb() -> float:
    """Return what the process holds once garbage is given back, and start counting its peak again from here."""
    gc.collect()
    if sys.platform == "linux":
        if "pyarrow" in sys.modules:
            sys.modules["pyarrow"].default_memory_pool().release_unused()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return _peak_mb()


def _peak_mb() -> float:
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    warnings.filterwarnings("ignore", category=UserWarning)  # rows that fail on purpose are counted, not shown
    print(json.dumps(measured(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
