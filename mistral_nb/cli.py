"""``mistral-nb``: the demo, the embedded model's weights and server, the key, batch jobs, the notebooks, in a terminal.

Keeps to itself: arguments and exit codes.
Promises: an error is one message on stderr with its remedy, and exit code 1; nothing is downloaded without a yes.
"""

import argparse
import io
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import mistral_nb
from mistral_nb.backends.embedded.weights import LOCAL_MODELS, weights_path
from mistral_nb.counted import counted
from mistral_nb.errors import InvalidOption, MistralNotebookError
from mistral_nb.settings import DEFAULT_EMBEDDED_MODEL, configure, current_settings
from mistral_nb.shipped_notebooks import DEFAULT_FOLDER, copy_notebooks, open_notebooks

if TYPE_CHECKING:
    import pandas as pd

    from mistral_nb.backends.embedded.download import DownloadPlan

_INTERRUPTED = 130  # as shells report a process that ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # The tickets hold characters that some terminals' encodings don't have.
        sys.stdout.reconfigure(errors="replace")
    try:
        return int(options.command(options))
    except MistralNotebookError as error:
        print(f"mistral-nb: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    chat_models = [name for name, model in LOCAL_MODELS.items() if model.role == "chat"]
    parser = argparse.ArgumentParser(prog="mistral-nb", description="Mistral's models for data analysts in Jupyter.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, purpose: str) -> argparse.ArgumentParser:
        """Add a command whose own ``--help`` says its purpose too."""
        return commands.add_parser(name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.")

    demo = command("demo", "classify and summarize sample tickets on the embedded model")
    demo.add_argument(
        "--model",
        default=DEFAULT_EMBEDDED_MODEL,
        choices=chat_models,
        help=f"embedded model that answers (default {DEFAULT_EMBEDDED_MODEL})",
    )
    demo.add_argument("--tickets", type=_positive, metavar="N", help="tickets to classify, of 300 (default 160)")
    demo.add_argument("--summaries", type=_positive, default=8, metavar="N", help="tickets to summarize (default 8)")
    demo.add_argument("--yes", action="store_true", help="download missing weights without asking")
    demo.set_defaults(command=_demo)

    serve = command("serve", "serve the embedded model to any client of Mistral's API")
    serve.add_argument(
        "--port", type=_port, default=8177, help="port on this machine (default 8177); 0 takes any that is free"
    )
    serve.add_argument("--api-key", help="key that clients must send; default: a random one, which is printed")
    serve.set_defaults(command=_serve)

    download = command("download-model", "download the weights of an embedded model")
    download.add_argument(
        "name",
        nargs="?",
        default=DEFAULT_EMBEDDED_MODEL,
        choices=list(LOCAL_MODELS),
        help=f"default {DEFAULT_EMBEDDED_MODEL}; local-embed comes with each of the others",
    )
    download.add_argument("--yes", action="store_true", help="do not ask")
    download.set_defaults(command=_download_model)

    doctor = command("doctor", "look at key, endpoint, clock, models, files and packages; exit code 1 where one fails")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(command=_doctor)

    login = command("login", "store an API key in the system's keyring; asks for it without an echo")
    login.set_defaults(command=_login)
    logout = command("logout", "remove the key from the system's keyring")
    logout.set_defaults(command=_logout)
    jobs = command("jobs", "list batch jobs, and fetch the answers of those that have ended")
    jobs.add_argument("--watch", action="store_true", help="go on until all have ended")
    jobs.add_argument(
        "--every", type=_positive, default=30, metavar="SECONDS", help="with --watch, look so often (default 30)"
    )
    jobs.set_defaults(command=_jobs)

    usage = command("usage", "what was used and what it cost, by every door and every kernel")
    usage.add_argument(
        "--since", default="7d", help='a span ("30d", "12h") or a date (default 7d); "all" for everything'
    )
    usage.add_argument(
        "--by", nargs="*", default=["model", "day"], metavar="GROUP", help="model, day, door, … (default: model day)"
    )
    usage.add_argument("--csv", metavar="FILE", help="write the table there")
    usage.set_defaults(command=_usage)

    notebooks = command("notebooks", "copy the package's notebooks, without writing over one that was run or edited")
    notebooks.add_argument(
        "folder", nargs="?", default=DEFAULT_FOLDER, metavar="DIR", help=f"where to (default {DEFAULT_FOLDER})"
    )
    notebooks.add_argument("--open", action="store_true", help="start JupyterLab there")
    notebooks.set_defaults(command=_notebooks)

    version = command("version", "print the version")
    version.set_defaults(command=_version)
    return parser


def _demo(options: argparse.Namespace) -> int:
    from mistral_nb.backends.embedded.download import plan_download
    from mistral_nb.demo import TICKETS, run_demo

    home = configure(model=options.model).home
    plan = plan_download([options.model], home=home)
    for model in plan.models:
        if not (options.yes or sys.stdin.isatty()):
            weights_path(model.name, home=home)  # raises the error with the line to paste
    if not _download(plan, is_agreed=options.yes):
        return 1
    run_demo(model=options.model, summaries=options.summaries, tickets=options.tickets or TICKETS)
    return 0


def _serve(options: argparse.Namespace) -> int:
    from mistral_nb.backends.embedded.server import serve

    def announce(url: str, api_key: str) -> None:
        print(f"The embedded models answer at {url} (key {api_key}); Ctrl-C ends.", flush=True)

    serve(current_settings().home, port=options.port, api_key=options.api_key, on_ready=announce)
    return 0


def _download_model(options: argparse.Namespace) -> int:
    from mistral_nb.backends.embedded.download import plan_download

    plan = plan_download([options.name], home=current_settings().home)
    return 0 if _download(plan, is_agreed=options.yes) else 1


def _download(plan: "DownloadPlan", *, is_agreed: bool) -> bool:
    """Say what would be downloaded, ask unless agreed, and download; False when the answer was no."""
    from tqdm.auto import tqdm

    from mistral_nb.backends.embedded.download import download

    print(plan.describe())
    if not plan.models:
        return True
    if not is_agreed and not _agrees("Download now? [y/N] "):
        print("Nothing was downloaded. With --yes nothing is asked.")
        return False
    with tqdm(total=plan.download_bytes, unit="B", unit_scale=True, desc="weights") as line:

        def show(done_bytes: int, total_bytes: int) -> None:
            line.total = total_bytes
            line.update(done_bytes - line.n)

        download(plan, on_progress=show)
    return True


def _jobs(options: argparse.Namespace) -> int:
    """Print the jobs; with --watch, again whenever something has changed, until all answers are fetched that can be."""
    from mistral_nb.engine.current import looked_at_jobs

    shown, problem_shown = None, ""
    while True:
        try:
            frame, under_way = looked_at_jobs()
        except MistralNotebookError as error:
            if shown is None or not error.is_worth_retrying:
                raise
            # The jobs go on while this machine sleeps or is offline.
            if error.problem != problem_shown:
                print(f"{error.problem} Asking again every {options.every:g} s.", flush=True)
                problem_shown = error.problem
        else:
            problem_shown = ""
            if shown is None or not frame.equals(shown):
                print(_jobs_text(frame), flush=True)
                shown = frame
            if not options.watch or not under_way:
                return 0
        time.sleep(options.every)


def _jobs_text(frame: "pd.DataFrame") -> str:
    if frame.empty:
        return "No batch jobs were made with this file of kept answers."
    columns = ["verb", "status", "rows", "requests", "failed_requests", "cost_usd", "created", "is_fetched"]
    if frame["problem"].notna().any():
        columns.append("problem")
    short = frame[columns].assign(created=frame["created"].dt.strftime("%Y-%m-%d %H:%M"))
    return str(short.to_string(na_rep="", float_format=lambda dollars: f"{dollars:.4f}"))


def _agrees(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _doctor(options: argparse.Namespace) -> int:
    from mistral_nb.doctor.examination import examine

    report = examine()
    print(report.to_json() if options.json else report)
    return report.exit_code


def _login(options: argparse.Namespace) -> int:
    from mistral_nb.login import login

    print(login())
    return 0


def _logout(options: argparse.Namespace) -> int:
    from mistral_nb.login import logout

    print(logout())
    return 0


def _usage(options: argparse.Namespace) -> int:
    from mistral_nb.notebook.usage import usage, usage_text

    table = usage(since=None if options.since == "all" else options.since, by=options.by)
    if options.csv is not None:
        try:
            table.to_csv(options.csv)
        except OSError as error:
            raise InvalidOption(f"{options.csv!r} can't be written: {error}.", "Give another file.") from None
        print(f"{counted(len(table), 'row')} written to {options.csv}.")
    else:
        print(usage_text(table, width=shutil.get_terminal_size().columns))
    return 0


def _notebooks(options: argparse.Namespace) -> int:
    copies = copy_notebooks(Path(options.folder))
    print(copies, flush=True)
    return open_notebooks(copies.first) if options.open else 0


def _version(options: argparse.Namespace) -> int:
    print(f"mistral_nb {mistral_nb.__version__}")
    return 0


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port; ports are 0 (any that is free) to 65535")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a whole number from 1 up")
    return number


if __name__ == "__main__":
    sys.exit(main())
