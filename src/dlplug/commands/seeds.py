"""``dlplug fit … --seeds 0-4``: one run a seed, and what they reached together."""

import shlex
import signal
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from dlplug.commands.parser import Parser, seeds
from dlplug.commands.runs import by_config
from dlplug.console import say
from dlplug.errors import InputError
from dlplug.processes import interrupt_children, sigterm_interrupts, start_fit
from dlplug.registry import Registry
from dlplug.registry.job import expand
from dlplug.runs import Run
from dlplug.runs_index import Entry, read_entries, typed_options

ROOT = "--trainer.default_root_dir"
EPOCHS = "trainer.max_epochs"  # more of them are a resumed run's


def parser() -> Parser:
    """Return the parser of what ``fit`` takes for several seeds."""
    parser = Parser(prog="dlplug fit", allow_abbrev=False, add_help=False)
    parser.add_argument("--seeds", type=seeds, metavar="A-B,C", help="a run for each of these seeds")
    parser.add_argument("--jobs", type=int, default=1, help="how many of them at once, with --seeds (1)")
    return parser


def fit_seeds(args: Sequence[str], seeds: Sequence[int], jobs: int, registry: Registry) -> int:
    """Fit once a seed, each in a process of its own; a run that is done is left, one that was stopped is resumed.

    Args:
        args: What was typed besides; ``--run NAME`` names the runs, ``NAME-seed0`` and so on, to go on with them.
        seeds: The seeds.
        jobs: How many at once.
        registry: The installed plugins.

    Returns:
        0 where all are done, 130 after Ctrl-C, 143 after SIGTERM, else 1.

    Raises:
        InputError: A name or an option cannot be used.
    """
    own = Parser(prog="dlplug fit", allow_abbrev=False, add_help=False)
    own.add_argument("--run", default=datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))
    own.add_argument("--resume")
    own.add_argument(ROOT, dest="root", default="runs")
    own.add_argument("--seed_everything")
    options, rest = own.parse_known_args(args)
    if jobs < 1 or options.seed_everything is not None:
        raise InputError("--jobs must be at least 1" if jobs < 1 else "give either --seeds or --seed_everything")
    job = expand("fit", rest, registry)
    if job.run:
        raise InputError(f"{job.run.path} has its seed: --seeds makes new runs")
    folder = Path(options.root) / job.model
    names = {f"{options.run}-seed{seed}": seed for seed in seeds}
    asked = typed_options([shlex.join(["dlplug", "fit", *rest])])
    done = []
    for entry in _entries(folder, names):
        about = Run(Path(entry.path)).about
        before = typed_options(about.get("commands", []))
        data = about.get("data", {}).get("class_path", "")
        if (data, before | {EPOCHS: ""}) != (job.chosen["data"], asked | {EPOCHS: ""}):
            raise InputError(f"{entry.path} is of {entry.data} {entry.options}: other options need another --run NAME")
        done += [entry.name] if entry.state == "done" and before == asked else []
    missing = [name for name in names if name not in done]
    say(
        f"{len(missing)} of {len(names)} runs of {job.model}, {min(jobs, len(missing))} at once"
        f" -> {folder}/{options.run}-seed*"
    )

    def fit(name: str) -> None:
        line = [*rest, "--run", name, "--resume", "auto", "--seed_everything", str(names[name]), ROOT, options.root]
        log = folder / f"{name}.log"
        start_fit(line, log).join()
        [entry] = _entries(folder, [name]) or [Entry(str(folder / name), state="failed")]
        best = entry.row()["monitored"]
        say(
            f"seed {names[name]}: {entry.state}{f', {best}' if best else ''} ({entry.seconds:.0f} s)"
            + ("" if entry.state == "done" else f"; see {log}")
        )

    with ThreadPoolExecutor(jobs) as pool, sigterm_interrupts():
        try:
            list(pool.map(fit, missing))
        except KeyboardInterrupt as error:
            pool.shutdown(wait=False, cancel_futures=True)
            interrupt_children()
            pool.shutdown(wait=True)
            say(f"stopped; go on with the same command and --run {options.run}")
            return 128 + next(iter(error.args), signal.SIGINT)
    ended = _entries(folder, names)
    finished = [entry for entry in ended if entry.state == "done"]
    for row in by_config(finished):
        print(f"{len(finished)} seeds: {row.get('monitored') or 'nothing is monitored'}")
    if len(finished) > 1:
        from dlplug.report.page import write  # numpy and Pillow

        print(write([Run(Path(entry.path)) for entry in finished], folder / f"{options.run}.html"))
    return int(len(finished) < len(names))


def _entries(folder: Path, names: Collection[str]) -> list[Entry]:
    found = read_entries(folder) if folder.is_dir() else []
    return sorted(
        (entry for entry in found if entry.name in names), key=lambda entry: int(entry.name.rpartition("seed")[2])
    )
