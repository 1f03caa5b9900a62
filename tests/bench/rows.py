"""How fast, how light and how frugal a column is classified, beside a raw client and, where they are installed, beside peers.

Keeps to itself: how the tables look.
Promises: one command prints everything; it always ends with 0, because it reports and does not judge; it leaves no process, port or
file behind. The figures depend on what else the machine does, so that is printed with them.

    python -m tests.bench.rows [--only single packed …] [--quick] [--peers DIR [--runners DIR]]

Three goals are missed on two idle cores (November 2026), and this is why:

- 1,000 rows packed in a fresh kernel: 3.10 s where 3.0 are wanted, 2.23 s when it has run before. What lies between is imports, and
  the first round trip, in which the account's limits are learnt.
- Prompt tokens in 1,000 packed rows: 1.87 times the text where 1.5 are wanted (10,000 rows: 1.35 to 1.40). Of 101 requests 45
  are rows asked alone, the first ones and those of the audit; the packs take 1.56 times the text. Without the schema, which
  recorded bills leave out, all together take 1.42 to 1.46.
- Rows a second in columns of 1,000, 10,000 and 100,000: 2,350, 3,078 and 2,619 where they are to be within 10 %; the raw client
  beside them has 2,208, 2,688 and 3,038. In the short one the bench's server is the limit (1.06 times the raw client). From
  10,000 to 100,000 rows the CPU of a row grows from 0.31 to 0.36 ms. 0.01 of that is the file of kept answers, whose keys are
  random, so that ever more of its pages change; the rest is presumably the processor's cache, which what a run holds outgrows.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.bench.lines import LINES, Bench, Line
from tests.bench.peers import RUNNERS, print_peers
from tests.bench.processes import ChildFailed, MachineUse, end_on_sigterm

_TITLES = ("what", "ours", "raw client", "ratio", "goal", "met")


def table(lines: Sequence[Line]) -> str:
    """Return the lines aligned, with their notes below."""
    rows = [_TITLES, *((line.what, line.ours, line.raw, line.ratio, line.goal, _met(line)) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def _met(line: Line) -> str:
    return "-" if line.is_met is None else "yes" if line.is_met else "NO"


def _measured(bench: Bench, names: Sequence[str]) -> list[Line]:
    """Measure the lines, saying on standard error how far it is."""
    print("the server's ceiling", file=sys.stderr, flush=True)
    try:
        lines = [bench.measure_ceiling()]
    except ChildFailed as failure:
        return [Line(what="classify", ours="failed", is_met=False, notes=(str(failure),))]
    for name in names:
        print(f"{name}: {(LINES[name].__doc__ or '').partition(chr(10))[0]}", file=sys.stderr, flush=True)
        use = MachineUse()
        try:
            found = LINES[name](bench)
        except ChildFailed as failure:
            found = [Line(what=name, ours="failed", is_met=False, notes=(str(failure),))]
        beside = f"others used {use.others_cores():.1f} of {os.cpu_count()} cores meanwhile"
        lines += [*found[:-1], replace(found[-1], notes=(*found[-1].notes, beside))]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rows", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=LINES, help=f"of: {', '.join(LINES)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, once each: to see that it runs")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="folder of the peers' environments (v_semlib312, …)")
    parser.add_argument("--runners", type=Path, default=RUNNERS, metavar="DIR", help="their run_*.py (%(default)s)")
    parser.add_argument("--no-lines", action="store_true", help="only the peers")
    options = parser.parse_args(arguments)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, load before {load}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if not options.no_lines:
            bench = Bench(folder=Path(folder), is_quick=options.quick)
            lines = _measured(bench, options.only or list(LINES))
            print(table(lines))
            print("\n".join(f"  {line.what.strip()}: {'; '.join(line.notes)}" for line in lines if line.notes))
        if options.peers is not None:
            print_peers(options.peers, runners=options.runners, folder=Path(folder), is_quick=options.quick)
    return 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
