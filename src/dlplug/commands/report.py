"""``dlplug report``: run folders as one HTML page that needs no network."""

import webbrowser
from argparse import Namespace
from itertools import count
from pathlib import Path

from dlplug.commands.parser import Parser
from dlplug.runs import Run, run_folders


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug report``."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run, or a folder of runs")
    default = "RUN/report.html; of several runs the first of report.html, report-2.html, … that is free"
    parser.add_argument("--out", metavar="FILE", help=f"default {default}")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Write the report of one run, or of several side by side, and print where it is."""
    runs = [run for name in options.runs for run in _runs(name)]

    from dlplug.report.page import write  # numpy and Pillow, which a misspelt folder does without

    # A run's own page is made anew; that of several may be of others.
    names = (Path(f"report-{n}.html" if n > 1 else "report.html") for n in count(1))
    default = runs[0].path / "report.html" if len(runs) == 1 else next(name for name in names if not name.exists())
    path = write(runs, Path(options.out) if options.out else default)
    print(path)
    if options.open:
        webbrowser.open(path.resolve().as_uri())
    return 0


def _runs(name: str) -> list[Run]:
    """Return the run of that name, or all below a folder that is none."""
    folder = Path(name)
    below = [Run(path) for path in run_folders(folder)] if folder.is_dir() else []
    return below if below and not (folder / "config.yaml").exists() else [Run.open(name)]
