"""How fast a cluster's workers classify a column together, how much of an account's limit they use, and what each of them holds.

Keeps to itself: the cluster, and how much memory is read when.
Promises: one command prints everything and ends with 0, because it reports and does not judge; no process, port or file is left.
The workers are processes of this machine, one thread each; the figures depend on what else it does, so that is printed with them.

    python -m tests.bench.dask [--only rows limit] [--quick]
"""

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dask.dataframe as dd
import pandas as pd
from distributed import Client, LocalCluster

import mistral_nb
import mistral_nb.dask
from tests.bench import row_texts
from tests.bench.lines import Line
from tests.bench.processes import MachineUse, Server, end_on_sigterm, fake_api
from tests.bench.rows import table

REQUESTS_PER_MINUTE = 600
LATENCY_SECONDS = 0.3
PARTITIONS = 8
_WARM_FROM = 10_000_000  # numbers of texts that no line uses


@contextmanager
def cluster(server: Server, *, workers: int) -> Iterator[Client]:
    """Start workers that have asked the server once, so that imports and connections are there."""
    with tempfile.TemporaryDirectory() as home:
        environment = {"MISTRAL_NB_HOME": home, "MISTRAL_API_KEY": server.api_key}
        mistral_nb.configure(endpoint=server.url, api_key=server.api_key)
        options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": ":0", "env": environment}
        with LocalCluster(**options) as local, Client(local) as client:
            classified(row_texts.texts(4 * workers, first=_WARM_FROM), partitions=workers)
            yield client


def classified(texts: Sequence[str | None], *, partitions: int) -> "tuple[float, pd.Series[str]]":
    """Return the seconds it takes to classify the texts, each asked alone, and the answers."""
    lazy = dd.from_pandas(pd.DataFrame({"text": texts}), npartitions=partitions)
    column = lazy.mistral.classify("text", row_texts.LABELS, rows_per_request=1)
    started = time.perf_counter()
    answers = column.compute()
    return time.perf_counter() - started, answers


def _right(answers: "pd.Series[str]") -> int:
    return int((answers.astype(object) == pd.Series(row_texts.truths(len(answers)))).sum())


def memory_mb() -> tuple[float, float]:
    """Return what this process holds, and the most it ever held, in megabytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    held, most = (int(status.partition(f"{name}:")[2].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    return held, most


def rows_line(*, workers: int, rows: int) -> Line:
    """Rows a second that the workers answer together, from a server without limits."""
    use = MachineUse()
    with fake_api(latency=LATENCY_SECONDS) as server, cluster(server, workers=workers) as client:
        before = client.run(memory_mb)
        seconds, answers = classified(row_texts.texts(rows), partitions=PARTITIONS)
        after = client.run(memory_mb)
    grown = max(after[worker][1] - before[worker][0] for worker in after)
    held = max(most for _, most in after.values())
    notes = (
        f"{rows:,} rows in {PARTITIONS} partitions, one to a request, 64 at once, {LATENCY_SECONDS} s latency",
        f"a worker held {held:.0f} MB at most, {grown:.0f} MB over what it held before",
        f"{_right(answers):,} right",
        f"others used {use.others_cores():.1f} of {os.cpu_count()} cores meanwhile",
    )
    return Line(what=f"rows/s, {workers} worker{'s' * (workers > 1)}", ours=f"{rows / seconds:.0f}", notes=notes)


def limit_lines(*, workers: int, minutes: float) -> list[Line]:
    """The share of a limit that is used, and of requests that are refused, while the workers have enough to ask."""
    rows = round(minutes * REQUESTS_PER_MINUTE)
    use = MachineUse()
    with (
        fake_api(latency=LATENCY_SECONDS, rpm=REQUESTS_PER_MINUTE) as server,
        cluster(server, workers=workers),
    ):
        before = server.ask("/_fake/stats")
        seconds, answers = classified(row_texts.texts(rows), partitions=PARTITIONS)
        after = server.ask("/_fake/stats")
    asked = after["requests"] - before["requests"]
    refused = after["statuses"].get("429", 0) - before["statuses"].get("429", 0)
    share = (asked - refused) / (REQUESTS_PER_MINUTE * seconds / 60)
    notes = (
        f"{asked:,} requests in {seconds:.0f} s, {_right(answers):,} of {rows:,} right",
        f"others used {use.others_cores():.1f} of {os.cpu_count()} cores meanwhile",
    )
    return [
        Line(
            what=f"share of {REQUESTS_PER_MINUTE}/min used, {workers} workers",
            ours=f"{share:.1%}",
            goal="≥ 95 %",
            is_met=share >= 0.95 and _right(answers) == rows,
            notes=notes,
        ),
        Line(
            what="of them refused with 429", ours=f"{refused / asked:.1%}", goal="≤ 1 %", is_met=refused <= 0.01 * asked
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dask", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=["rows", "limit"], default=["rows", "limit"])
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it runs")
    options = parser.parse_args(arguments)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, load before {load}\n", flush=True)
    lines: list[Line] = []
    if "rows" in options.only:
        lines += [rows_line(workers=workers, rows=200 if options.quick else 4_000) for workers in (1, 2, 4)]
    if "limit" in options.only:
        lines += limit_lines(workers=4, minutes=0.2 if options.quick else 3)
    print(table(lines))
    print("\n".join(f"  {line.what}: {'; '.join(line.notes)}" for line in lines if line.notes))
    return 0


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    end_on_sigterm()
    sys.exit(main())
