"""Other libraries for rows, each in its own environment, beside ours against the same mock server.

Keeps to itself: which environment belongs to which runner, what they would download if they could, and how a library that raises is
shown.
Promises: nothing of theirs is copied here; an absent folder, environment or runner is said and skipped. They and ours talk to
the mock server that comes with their runners. It does not know our packed form, so ours sends it one row per request; the same
rows packed are sent to `tests.fake_api`, and the tokens of both are counted by the mock server's rule.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.processes import ROOT, ChildFailed, Server, fake_api, run_command, run_module, script_server

RUNNERS = ROOT.parent / "shared" / "bench" / "peers"
ENVIRONMENTS = {
    "openaivec": "v_openaivec",
    "mall": "v_mlverse-mall",
    "semlib": "v_semlib312",
    "lotus": "v_lotus-ai",
    "fenic": "v_fenic",
    "curator": "v_bespokelabs-curator",
    "docetl": "v_docetl",
    "daft": "v_daft",
    "dataframeit": "v_dataframeit",
}
# What they would otherwise download at import or at the first call.
_OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
_TOKENIZERS = "lib/python*/site-packages/litellm/litellm_core_utils/tokenizers"
_LIMIT_SECONDS = 200.0

_VARIANTS = {"openaivec": {", packed": (), ", single": ("--batch-size", "1")}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One run that each library has to go through."""

    title: str
    rows: int = 100
    in_flight: int = 16
    poisoned: int = 0
    missing: int = 0
    requests_per_minute: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {"BENCH_POISON": str(self.poisoned), "BENCH_NULLS": str(self.missing)}


PROBES = (
    Probe(title="100 rows, 16 in flight, 0.3 s"),
    Probe(title="1 000 rows, 64 in flight, 0.3 s", rows=1000, in_flight=64),
    Probe(title="100 rows, one of them answered HTTP 400 (99 can be right)", poisoned=1),
    Probe(title="100 rows, one of them missing (right: missing, and 99 requests)", missing=1),
    Probe(title="100 rows at 60 requests/min", requests_per_minute=60),
)
QUICK_PROBES = (Probe(title="20 rows, 16 in flight, 0.3 s", rows=20),)


def print_peers(environments: Path, *, runners: Path, folder: Path, is_quick: bool) -> None:
    """Print one table for each probe: ours first, then each library whose environment is there."""
    if not (runners / "mock_server.py").is_file():
        print(f"\nNo peers: {runners} holds no mock_server.py and no runners.")
        return
    pythons = {peer: environments / name / "bin" / "python" for peer, name in ENVIRONMENTS.items()}
    there = [peer for peer in pythons if pythons[peer].exists() and (runners / f"run_{peer}.py").is_file()]
    absent = [f"{peer} ({ENVIRONMENTS[peer]})" for peer in pythons if peer not in there]
    if absent:
        print(f"\nNot in {environments}: {', '.join(absent)}")
    print("\n* against tests.fake_api, which knows our packed form; all others against the runners' mock server")
    laid_out = _laid_out(runners, environments, folder)
    commands = {
        f"{peer}{name}": (str(pythons[peer]), str(laid_out / f"run_{peer}.py"), *more)
        for peer in there
        for name, more in _VARIANTS.get(peer, {"": ()}).items()
    }
    for probe in QUICK_PROBES if is_quick else PROBES:
        print(f"\n{probe.title}", flush=True)
        print(f"  {'':<20}{'seconds':>9}{'right':>11}{'requests':>10}{'429s':>6}{'tokens/row':>12}")
        for name, found in _runs(probe, commands, laid_out, folder):
            print(f"  {name:<20}{_shown(found, probe)}", flush=True)


def _laid_out(runners: Path, environments: Path, folder: Path) -> Path:
    """Return a folder with links to the runners, and to the tokenizers that some of them would otherwise download."""
    laid_out = Path(tempfile.mkdtemp(dir=folder))
    for file in runners.glob("*.py"):
        (laid_out / file.name).symlink_to(file.resolve())
    tokenizers = next(environments.glob(f"*/{_TOKENIZERS}"), None)
    if tokenizers is not None:
        (laid_out / "tiktoken_cache").symlink_to(tokenizers.resolve(), target_is_directory=True)
    return laid_out


def _runs(
    probe: Probe, commands: dict[str, tuple[str, ...]], runners: Path, folder: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the figures of each run: ours, then theirs."""
    yield "mistral_nb, single", _probed(probe, lambda server: _ours(probe, server, runners, folder, 1), runners)
    yield "mistral_nb, packed*", _packed(probe, runners, folder)
    for name, command in commands.items():
        yield name, _probed(probe, partial(_theirs, probe, command, folder), runners)


def _theirs(probe: Probe, command: tuple[str, ...], folder: Path, server: Server) -> dict[str, Any]:
    sizes = ("--n", str(probe.rows), "--concurrency", str(probe.in_flight), "--base", f"{server.url}/v1")
    found = run_command(
        [*command, *sizes],
        environment={**_OFFLINE, **probe.environment},
        folder=Path(tempfile.mkdtemp(dir=folder)),
        timeout_seconds=_LIMIT_SECONDS,
    )
    return {"seconds": found["wall_s"], "correct": found["correct"]}


def _ours(
    probe: Probe, server: Server, runners: Path, folder: Path, rows_per_request: int | str, **more: Any
) -> dict[str, Any]:
    spec = {
        "url": server.url,
        "api_key": server.api_key,
        "home": tempfile.mkdtemp(dir=folder),
        "common": str(runners),
        "rows": probe.rows,
        "rows_per_request": rows_per_request,
        "max_concurrency": probe.in_flight,
        **more,
    }
    found: dict[str, Any] = run_module("tests.bench.our_run", spec, environment=probe.environment)
    return found


def _packed(probe: Probe, runners: Path, folder: Path) -> dict[str, Any]:
    """Run ours as it packs by itself, against the server that knows how; it finds labels in texts, so these are its labels."""
    limit = {"rpm": probe.requests_per_minute} if probe.requests_per_minute else {}
    with fake_api(latency=0.3, **limit) as server:
        server.ask("/_fake/faults", {"status": 400, "when": "POISON", "times": None})
        try:
            found = _ours(probe, server, runners, folder, "auto", words=True)
        except ChildFailed as failure:
            found = {"raised": str(failure)}
        seen = [request["body"]["messages"] for request in server.ask("/_fake/requests") if request["body"]]
        tokens = sum(max(1, len(message["content"]) // 4) for messages in seen for message in messages)
        refused = server.ask("/_fake/stats")["statuses"].get("429", 0)
        return {"requests": len(seen), "s429": refused, "prompt_tokens": tokens, **found}


def _probed(probe: Probe, run: Callable[[Server], dict[str, Any]], runners: Path) -> dict[str, Any]:
    """Run against a mock server of its own; return what was measured, what the server counted, and what was raised."""
    settings = {"latency": 0.3, "rpm": probe.requests_per_minute}
    with script_server(runners / "mock_server.py", answers_at="/stats", **settings) as server:
        try:
            found = run(server)
        except ChildFailed as failure:
            found = {"raised": str(failure)}
        return {**server.ask("/stats"), **found}


def _shown(found: dict[str, Any], probe: Probe) -> str:
    counted = f"{found['requests']:>10}{found['s429']:>6}"
    if "raised" in found:
        return f"{'failed':>9}{'none':>11}{counted}  {found['raised'][:80]}"
    right = f"{found['correct']}/{probe.rows}"
    return f"{found['seconds']:>9.2f}{right:>11}{counted}{found['prompt_tokens'] / probe.rows:>12.1f}"
