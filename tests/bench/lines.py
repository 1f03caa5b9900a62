"""What is measured, line by line, each beside the raw client against the same server.

Keeps to itself: how often each thing is repeated, and what counts as having met a goal.
Promises: a line whose labels are not all right has not met its goal, whatever its figures; ours and the baseline take turns, and
the median of each is shown. A server lives for one line; its log is where the baseline's bodies come from.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import row_texts
from tests.bench.processes import Server, fake_api, run_module
from tests.fake_api import rules

IN_FLIGHT = 64
LATENCY_SECONDS = 0.3
LATENCY_PER_ROW_SECONDS = 0.1
REQUESTS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table; `is_met` is None where there is no goal."""

    what: str
    ours: str
    raw: str = "-"
    ratio: str = "-"
    goal: str = "-"
    is_met: bool | None = None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Bench:
    """One run of the bench: its scratch folder, its size, and the bodies that ours sends, one row each."""

    folder: Path
    is_quick: bool
    bodies: Path = field(init=False)
    ceiling: float = 0.0

    def size(self, full: int, quick: int) -> int:
        return quick if self.is_quick else full

    def ours(self, server: Server, *, home: Path | None = None, **spec: Any) -> dict[str, Any]:
        """Run the verb in a fresh Python; without a `home` nothing is kept from before."""
        home = home or Path(tempfile.mkdtemp(dir=self.folder))
        found: dict[str, Any] = run_module(
            "tests.bench.our_run", {"url": server.url, "api_key": server.api_key, "home": str(home), **spec}
        )
        return found

    def raw(
        self, server: Server, *, requests: int, bodies: Path | None = None, in_flight: int = IN_FLIGHT
    ) -> dict[str, Any]:
        spec = {"url": server.url, "api_key": server.api_key, "requests": requests, "in_flight": in_flight}
        found: dict[str, Any] = run_module("tests.bench.raw_client", {"bodies": str(bodies or self.bodies), **spec})
        return found

    def keep_bodies(self, server: Server, name: str) -> Path:
        """Write the bodies the server has seen, one per line, so that the raw client can send the same."""
        seen = [
            request["body"] for request in server.ask("/_fake/requests") if request["path"].endswith("/completions")
        ]
        file = self.folder / f"{name}.jsonl"
        lines = (json.dumps(body, ensure_ascii=False, separators=(",", ":")) for body in seen)
        file.write_text("\n".join(lines), encoding="utf-8")
        return file

    def measure_ceiling(self) -> Line:
        """Learn what ours sends for one row, and how many of those a second the server answers."""
        with fake_api() as server:
            self.ours(server, rows=self.size(1000, 100), rows_per_request=1)
            self.bodies = self.keep_bodies(server, "single")
            requests, before = self.size(5000, 500), server.cpu_seconds()
            found = self.raw(server, requests=requests)
            share = (server.cpu_seconds() - before) / found["seconds"]
        self.ceiling = requests / found["seconds"]
        return Line(
            what="the server's own ceiling, no latency",
            ours="-",
            raw=f"{self.ceiling:,.0f} requests/s",
            notes=(f"server busy {share:.0%} of a core, raw client {found['cpu_seconds'] / found['seconds']:.0%}",),
        )


def single(bench: Bench) -> list[Line]:
    """Time 1 000 rows, one per request, in a fresh kernel and in one that has run before."""
    rows, times = bench.size(1000, 128), bench.size(3, 1)
    with fake_api(latency=LATENCY_SECONDS) as server:
        fresh, warm, raw = [], [], []
        for _ in range(times):
            fresh.append(bench.ours(server, rows=rows, rows_per_request=1))
            raw.append(bench.raw(server, requests=rows))
            warm.append(bench.ours(server, rows=rows, rows_per_request=1, warm_rows=bench.size(200, 20)))
        most = server.ask("/_fake/stats")["max_in_flight"]
    base = _median(raw, "seconds")
    return [
        Line(
            what=f"{rows:,} rows, one per request, {IN_FLIGHT} in flight, {LATENCY_SECONDS} s; {kernel}",
            ours=f"{_median(runs, 'seconds'):.2f} s",
            raw=f"{base:.2f} s",
            ratio=f"{_median(runs, 'seconds') / base:.2f}",
            goal="≤ 1.10 × raw",
            is_met=_all_right(runs) and _median(runs, "seconds") <= 1.10 * base,
            notes=(f"at most {most} in flight at the server", *_wrong(runs)),
        )
        for kernel, runs in (("fresh kernel", fresh), ("second run", warm))
    ]


def cpu(bench: Bench) -> list[Line]:
    """Weigh the processor time of a request, where imports and connections are paid for already."""
    rows, times = bench.size(2000, 200), bench.size(3, 1)
    with fake_api(latency=LATENCY_SECONDS) as server:
        ours, raw = [], []
        for _ in range(times):
            ours.append(bench.ours(server, rows=rows, rows_per_request=1, warm_rows=bench.size(200, 20)))
            raw.append(bench.raw(server, requests=rows))
    ours_ms, raw_ms = (1000 * _median(runs, "cpu_seconds") / rows for runs in (ours, raw))
    return [
        Line(
            what=f"CPU per request ({rows:,} rows, {LATENCY_SECONDS} s)",
            ours=f"{ours_ms:.2f} ms",
            raw=f"{raw_ms:.2f} ms",
            ratio=f"+{ours_ms - raw_ms:.2f} ms",
            goal="≤ raw + 0.5 ms",
            is_met=_all_right(ours) and ours_ms <= raw_ms + 0.5,
            notes=_wrong(ours),
        )
    ]


def packed(bench: Bench) -> list[Line]:
    """Time 1 000 rows that the engine packs as it likes, where the server charges for each row of a request."""
    rows, times = bench.size(1000, 200), bench.size(3, 1)
    with fake_api(latency=LATENCY_SECONDS, latency_per_row=LATENCY_PER_ROW_SECONDS) as server:
        fresh, warm, raw, sent = [], [], [], 0
        for _ in range(times):
            server.ask("/_fake/reset", {})
            fresh.append(bench.ours(server, rows=rows))
            bodies = bench.keep_bodies(server, "packed")
            sent = server.ask("/_fake/stats")["requests"]
            raw.append(bench.raw(server, requests=sent, bodies=bodies))
            warm.append(bench.ours(server, rows=rows, warm_rows=bench.size(200, 20)))
    base = _median(raw, "seconds")
    return [
        Line(
            what=f"{rows:,} rows packed, {LATENCY_SECONDS} s + {LATENCY_PER_ROW_SECONDS} s per row; {kernel}",
            ours=f"{_median(runs, 'seconds'):.2f} s",
            raw=f"{base:.2f} s",
            ratio=f"{_median(runs, 'seconds') / base:.2f}",
            goal="≤ 3.0 s",
            is_met=_all_right(runs) and _median(runs, "seconds") <= 3.0,
            notes=(f"{sent} requests in the fresh kernel, the same for the raw client", *_wrong(runs)),
        )
        for kernel, runs in (("fresh kernel", fresh), ("second run", warm))
    ]


def tokens(bench: Bench) -> list[Line]:
    """Count the prompts of short texts, packed, against the texts alone; the audit's requests weigh less in a longer column."""
    return [line for rows in (bench.size(1000, 200), bench.size(10_000, 400)) for line in _tokens(bench, rows)]


def _tokens(bench: Bench, rows: int) -> list[Line]:
    with fake_api() as server:
        ours = bench.ours(server, rows=rows)
        bodies = _bodies(bench.keep_bodies(server, "tokens"))
    alone = _bodies(bench.bodies)
    together = [body for body in bodies if rules.row_count(body) > 1]
    rows_together = sum(map(rules.row_count, together)) or 1
    lines = []
    for rule, of_text, of_prompt in _token_rules():
        own = sum(map(of_text, row_texts.texts(rows))) / rows
        per_row = sum(map(of_prompt, bodies)) / rows
        packs = sum(map(of_prompt, together)) / rows_together
        unschemed = sum(of_prompt({**body, "response_format": None}) for body in bodies) / rows
        lines.append(
            Line(
                what=f"prompt tokens per row, {rows:,} rows packed, 12 words; {rule}",
                ours=f"{per_row:.1f}",
                raw=f"{sum(map(of_prompt, alone)) / len(alone):.1f} one per request",
                ratio=f"{per_row / own:.2f} × text",
                goal="≤ 1.5 × text",
                is_met=_all_right([ours]) and per_row <= 1.5 * own,
                notes=(
                    f"text {own:.1f}; {unschemed / own:.2f} × if the schema is not billed, as in the recordings",
                    f"{len(together)} packs alone {packs / own:.2f} ×",
                    f"the rest is {len(bodies) - len(together)} requests for rows alone",
                    *_wrong([ours]),
                ),
            )
        )
    return lines


def _bodies(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _token_rules() -> list[tuple[str, Callable[[str], int], Callable[[dict[str, Any]], int]]]:
    """Return how tokens are counted, of a text and of a prompt with its schema: the server's rule, and Mistral's if installed."""
    found = [("4 characters a token", rules.count_tokens, rules.prompt_tokens)]
    try:
        from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
    except ImportError:
        return found
    tokenizer = MistralTokenizer.v3(is_tekken=True).instruct_tokenizer.tokenizer

    def of_text(text: str) -> int:
        return len(tokenizer.encode(text, bos=False, eos=False))

    def of_prompt(body: dict[str, Any]) -> int:
        schema = (body["response_format"] or {}).get("json_schema")
        shown = json.dumps(schema, separators=(",", ":")) if schema else ""
        return of_text(shown) + sum(of_text(message["content"]) for message in body["messages"])

    return [*found, ("Mistral's tokenizer", of_text, of_prompt)]


def limited(bench: Bench) -> list[Line]:
    """Run against 60 requests a minute; the raw client knows no limits, and shows what that costs."""
    rows = bench.size(100, 12)
    lines = []
    with fake_api(rpm=REQUESTS_PER_MINUTE, latency=LATENCY_SECONDS) as server:
        statuses = bench.raw(server, requests=rows)["statuses"]
    raw = f"{statuses.get('200', 0)} ok, {statuses.get('429', 0)} × 429"
    for name, rows_per_request in (("one per request", 1), ("packed", "auto")):
        with fake_api(rpm=REQUESTS_PER_MINUTE, latency=LATENCY_SECONDS) as server:
            ours = bench.ours(server, rows=rows, rows_per_request=rows_per_request)
            stats = server.ask("/_fake/stats")
        refused, sent = stats["statuses"].get("429", 0), stats["requests"]
        lines.append(
            Line(
                what=f"{rows} rows at {REQUESTS_PER_MINUTE} requests/min, {name}",
                ours=f"{ours['correct']} ok, {refused} × 429, {ours['seconds']:.1f} s",
                raw=raw,
                goal="all ok, ≤ 1 % 429s",
                is_met=_all_right([ours]) and refused <= 0.01 * sent,
                notes=(f"{sent} requests", *_wrong([ours])),
            )
        )
    return lines


def cached(bench: Bench) -> list[Line]:
    """Time and weigh a run whose every answer is kept, in a kernel that has not seen the answers."""
    rows = bench.size(100_000, 2000)
    home = Path(tempfile.mkdtemp(dir=bench.folder))
    with fake_api(log_limit=10) as server:
        filled = bench.ours(server, home=home, rows=rows)
        server.ask("/_fake/reset", {})
        runs = [bench.ours(server, home=home, rows=rows) for _ in range(bench.size(3, 1))]
        asked = server.ask("/_fake/stats")["requests"]
    seconds, megabytes = _median(runs, "seconds"), _median(runs, "over_frame_mb")
    return [
        Line(
            what=f"{rows:,} cached rows, all distinct; fresh kernel",
            ours=f"{seconds:.2f} s, {megabytes:.0f} MB",
            raw=f"~{rows / bench.ceiling:.0f} s to ask",
            ratio=f"{seconds * bench.ceiling / rows:.3f}",
            goal="≤ 2 s, ≤ 300 MB",
            is_met=_all_right([filled, *runs]) and seconds <= 2 and megabytes <= 300 and not asked,
            notes=(
                f"{asked} requests; filling the cache took {filled['seconds']:.1f} s and {filled['over_frame_mb']:.0f} MB",
                *_wrong(runs),
            ),
        )
    ]


def streaming(bench: Bench) -> list[Line]:
    """Time and weigh a parquet file of kept answers, in batches of two sizes."""
    rows = bench.size(100_000, 2000)
    home = Path(tempfile.mkdtemp(dir=bench.folder))
    lines = []
    with fake_api(log_limit=10) as server:
        filled = bench.ours(server, home=home, rows=rows)
        for batch_rows in (rows // 50, rows // 10):
            runs = [bench.ours(server, home=home, rows=rows, batch_rows=batch_rows) for _ in range(bench.size(3, 1))]
            seconds, megabytes = _median(runs, "seconds"), _median(runs, "over_frame_mb")
            lines.append(
                Line(
                    what=f"{rows:,} cached rows of a parquet file, {batch_rows:,} at a time",
                    ours=f"{rows / seconds:,.0f} rows/s, {megabytes:.0f} MB",
                    raw=f"~{bench.ceiling:,.0f} rows/s to ask",
                    ratio=f"{seconds * bench.ceiling / rows:.3f}",
                    is_met=None if _all_right([filled, *runs]) else False,
                    notes=_wrong(runs),
                )
            )
    return lines


def repeated(bench: Bench) -> list[Line]:
    """Weigh a long column of which one row in a hundred is new."""
    rows = bench.size(1_000_000, 20_000)
    with fake_api(log_limit=10) as server:
        ours = bench.ours(server, rows=rows, distinct=rows // 100)
        sent = server.ask("/_fake/stats")["requests"]
    return [
        Line(
            what=f"{rows:,} rows, 1 % distinct; fresh kernel",
            ours=f"{ours['over_frame_mb']:.0f} MB, {ours['seconds']:.1f} s",
            raw=f"~{rows / bench.ceiling:.0f} s to ask each",
            ratio=f"{ours['seconds'] * bench.ceiling / rows:.3f}",
            goal="≤ 500 MB",
            is_met=_all_right([ours]) and ours["over_frame_mb"] <= 500,
            notes=(f"{sent} requests; frame, pandas and package: {ours['base_mb']:.0f} MB", *_wrong([ours])),
        )
    ]


def growth(bench: Bench) -> list[Line]:
    """Compare rows a second in short and long columns, one row per request, as fast as both sides can."""
    sizes = ((200, 1), (400, 1)) if bench.is_quick else ((1_000, 5), (10_000, 3), (100_000, 1))
    lines, rates, right = [], [], True
    for rows, times in sizes:
        with fake_api(log_limit=10) as server:
            ours, raw, busy, elapsed = [], [], 0.0, 0.0
            for _ in range(times):
                before = server.cpu_seconds()
                ours.append(bench.ours(server, rows=rows, rows_per_request=1, warm_rows=bench.size(200, 20)))
                busy += server.cpu_seconds() - before
                elapsed += ours[-1]["seconds"]
                raw.append(bench.raw(server, requests=rows))
        rates.append(rows / _median(ours, "seconds"))
        right = right and _all_right(ours)
        ours_share, server_share = sum(run["cpu_seconds"] for run in ours) / elapsed, busy / elapsed
        by = "neither" if max(ours_share, server_share) < 0.8 else "us" if ours_share > server_share else "the server"
        raw_rate = rows / _median(raw, "seconds")
        lines.append(
            Line(
                what=f"rows/s, {rows:,} rows, one per request, no latency",
                ours=f"{rates[-1]:,.0f}",
                raw=f"{raw_rate:,.0f}",
                ratio=f"{rates[-1] / raw_rate:.2f}",
                notes=(
                    f"bound by {by}: ours {ours_share:.0%} of a core, server {server_share:.0%}",
                    f"CPU {1000 * _median(ours, 'cpu_seconds') / rows:.2f} ms a row",
                    *_wrong(ours),
                ),
            )
        )
    spread = max(rates) / min(rates)
    lines.append(
        Line(
            what="  fastest of these against the slowest",
            ours=f"{spread:.2f}",
            goal="≤ 1.10",
            is_met=right and spread <= 1.10,
        )
    )
    return lines


LINES: dict[str, Callable[[Bench], list[Line]]] = {
    line.__name__: line for line in (single, cpu, packed, tokens, limited, cached, streaming, repeated, growth)
}


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return median(run[name] for run in runs)


def _all_right(runs: list[dict[str, Any]]) -> bool:
    return all(run["correct"] == run["rows"] for run in runs)


def _wrong(runs: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return what to say of runs with wrong or missing labels."""
    wrong = [run for run in runs if run["correct"] != run["rows"]]
    return tuple(f"{run['rows'] - run['correct']} labels wrong, {run['missing']} of them missing" for run in wrong[:1])
