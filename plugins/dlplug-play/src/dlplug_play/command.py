"""``dlplug play``: a page to play with trained models."""

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path

from dlplug import InputError, WeightsSpec
from dlplug.console import plain
from dlplug.registry import Registry
from dlplug.runs import Run
from dlplug.runs_index import read_entries

SHOWN = 20  # runs to choose from


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of ``dlplug play``."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a run; several are set side by side; none lists them")
    parser.add_argument("--host", default="127.0.0.1", help="the address to serve at; other machines need a token")
    parser.add_argument("--port", type=int, help="the port; default the first that is free from 7860 on")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Serve the page, or list the runs that there are."""
    if not options.runs:
        return list_runs(Path("runs"))
    runs = [Run.open(name) for name in options.runs]
    for run in runs:
        _ = run.trained  # refuses one without a checkpoint

    from dlplug.api import TrainedRun  # torch follows
    from dlplug_play.server import serve

    serve([TrainedRun(run.path) for run in dict.fromkeys(runs)], options.host, options.port, options.open)
    return 0


def list_runs(folder: Path) -> int:
    """Print how to play with installed weights, and with each run below a folder."""
    weights = [spec for spec in Registry.discover() if isinstance(spec, WeightsSpec)]
    entries = read_entries(folder) if folder.is_dir() else []
    playable = [entry for entry in entries if Run(Path(entry.path)).best]
    if not playable and not weights:
        raise InputError(f"there are no trained runs in {folder}: `dlplug fit --model cnn` makes one")
    for spec in weights:
        print(f"dlplug play {spec.name:45} {plain(spec.summary)}")
    for entry in playable[:SHOWN]:
        row = entry.row()
        reached = row["test"] or row["monitored"] or ""
        print(f"dlplug play {shlex.quote(entry.path):45} {plain(f'{entry.model} on {entry.data}  {reached}')}")
    if len(playable) > SHOWN:
        print(f"… and {len(playable) - SHOWN} older ones: `dlplug runs`")
    return 0
