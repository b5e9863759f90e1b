"""``dlplug tune``: search the options that are best on validation data."""

import json
import math
import os
import re
import shlex
import signal
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from typing import Any

from dlplug import ModelSpec
from dlplug.commands.parser import seeds
from dlplug.console import say
from dlplug.errors import InputError
from dlplug.processes import PRELOAD, interrupt_children, sigterm_interrupts, start
from dlplug.registry import Registry
from dlplug.registry.job import Job, expand
from dlplug_tune.space import Search, asked_objectives, asked_space, parse, text

OWN = ("--run", "--resume", "--open", "--seed_everything")  # a trial's, not a person's
TRIALS = 20  # unless trials or minutes are given


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of ``dlplug tune``; all others are those of ``dlplug fit``."""
    add = parser.add_argument
    add("--space", nargs="+", default=[], metavar="RANGE", help="OPTION=RANGE or a file of them; else the model's own")
    add("--trials", type=int, metavar="N", help=f"how many in all ({TRIALS}, or any number in --minutes; a grid's all)")
    add("--minutes", type=float, metavar="M", help="begin no trial after these")
    add("--jobs", type=int, default=1, metavar="N", help="how many at once (1)")
    add("--seeds", type=seeds, default=[0], metavar="A-B,C", help="of each trial, which counts by their mean (0)")
    add("--objective", nargs="+", default=[], metavar="NAME[:min|max]", help="metrics, seconds; else the monitor")
    add("--sampler", choices=("tpe", "random", "grid"), default="tpe", help="how trials are drawn (tpe)")
    add("--prune", choices=("median", "none"), default="none", help="end trials that fall behind (none)")
    add("--study", metavar="NAME", help="its folder's name; the same command goes on with it (MODEL-DATA)")
    add("--storage", metavar="URL", help="such as postgresql://…, for many machines; else a journal in the folder")
    add("--trainer.default_root_dir", dest="root", type=Path, default=Path("runs"), help="where the folder is (runs)")
    parser.epilog = "All other options are those of `dlplug fit`, and hold for each trial."
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Search, and say what was found.

    Returns:
        0, 130 after Ctrl-C, 143 after SIGTERM, 1 where no trial was completed.

    Raises:
        InputError: Something given cannot be used.
    """
    registry = Registry.discover()
    job = _job(options, registry)
    space = _space(options, job, registry)
    ranges = parse(space)
    if options.sampler == "grid" and not all(range.choices for range in ranges.values()):
        raise InputError("--sampler grid takes choices alone, such as --space model.lr=[0.001,0.01]")
    if options.prune != "none":
        PRELOAD.append("dlplug_tune.pruning")
    monitor, recipe = _probe(options.rest, {option: range.ends for option, range in ranges.items()})
    data = registry.spec_of("data", job.chosen["data"])
    objectives = asked_objectives(options.objective, monitor, job.model)
    if options.prune != "none" and len(objectives) > 1:
        raise InputError("--prune compares trials by one objective, not by several")
    by = objectives, monitor or objectives[0], options.prune, options.sampler
    search = Search(job.model, data.name if data else job.chosen["data"], options.rest, space, options.seeds, *by)
    name = options.study or f"{search.model}-{search.data.rpartition('.')[2]}"
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(f"--study {name!r} is not a name: letters, digits, hyphens, underscores and points are")
    folder = options.root / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / "study.json").exists():
            raise InputError(f"{folder} is no study's folder: give another --study NAME")
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {error.strerror}") from error
    return _search(options, search, recipe, name, folder)


def _job(options: Namespace, registry: Registry) -> Job:
    """Return the fit that each trial is, without what is searched."""
    least = {"trials": options.trials, "minutes": options.minutes, "jobs": options.jobs}
    for name, value in least.items():
        if value is not None and value <= 0:
            raise InputError(f"--{name} must be above 0, not {value:g}")
    typed = _typed(options.rest)
    if own := typed & {word.removeprefix("--") for word in OWN}:
        raise InputError(f"--{own.pop()} is for `dlplug fit`: each trial has its own, by --study and --seeds")
    if not typed & {"model", "config", "-c"}:
        raise InputError("tune needs --model NAME; `dlplug list` shows the models")
    job = expand("fit", options.rest, registry)
    if job.run:
        raise InputError(f"{job.run.path} is a run: tune makes new ones, of --model NAME")
    return job


def _typed(line: Sequence[str]) -> set[str]:
    return {word.partition("=")[0].removeprefix("--") for word in line if word.startswith("-")}


def _space(options: Namespace, job: Job, registry: Registry) -> dict[str, Any]:
    """Return what is searched: what is asked for, or what the model names, less what is typed."""
    spec, typed = registry.spec_of("model", job.chosen["model"]), _typed(options.rest)
    space = asked_space(options.space)
    parse(space)
    if twice := (typed | {"trainer.default_root_dir"}) & space.keys():
        raise InputError(f"--{twice.pop()} is given, and so is a range of it")
    if not space and isinstance(spec, ModelSpec):
        space = {option: given for option, given in spec.space.items() if option not in typed}
    if not space:
        raise InputError(f"{job.model} names no options to search: --space model.lr=log:1e-4:1e-1 does")
    ends = [f"--{option}={text(range.ends[0])}" for option, range in parse(space).items()]
    expand("fit", [*options.rest, *ends], registry)  # refuses an option that there is not
    return space


def _probe(line: Sequence[str], ends: dict[str, tuple[Any, Any]]) -> tuple[tuple[str, str] | None, dict[str, Any]]:
    """Make the model in a fork, as the recipe has it and at both ends of what is searched.

    Returns:
        Its monitor, and the recipe's values of what is searched.

    Raises:
        InputError: It cannot be made.
    """
    at = [[f"--{option}={text(both[end])}" for option, both in ends.items()] for end in (0, 1)]
    receive, send = Pipe(duplex=False)
    process = start(_make, [[*line], *([*line, *options] for options in at)], [*ends], send)
    send.close()
    try:
        made = receive.recv()
    except EOFError:
        made = "the process that makes the model ended without a word"
    process.join()
    if isinstance(made, str):
        raise InputError(made)
    return made  # type: ignore[no-any-return]


def _make(lines: list[list[str]], options: list[str], send: Connection) -> None:
    from dlplug.training.cli import prepare

    registry = Registry.discover()
    with open(os.devnull, "w") as null, redirect_stdout(null), redirect_stderr(null):
        try:
            made, *_ = [prepare(expand("validate", line, registry), registry) for line in lines]
        except InputError as error:
            return send.send(str(error))
    keys = {option: option.partition(".") for option in options}
    values = {o: made.config.get(f"{kind}.init_args.{key}", made.config.get(o)) for o, (kind, _, key) in keys.items()}
    send.send((getattr(made.model, "monitor", None), json.loads(json.dumps(values, default=str))))


def _search(options: Namespace, search: Search, recipe: dict[str, Any], name: str, folder: Path) -> int:
    """Work on the study in as many threads as are asked for, whose trials are processes."""
    from dlplug_tune.page import completed, summary, write_best, write_page
    from dlplug_tune.study import Study
    from dlplug_tune.worker import Worker

    grid = math.prod(len(range.choices) for range in parse(search.space).values())
    usual = grid if search.sampler == "grid" else math.inf if options.minutes else TRIALS
    most, stopped, status = options.trials or usual, Event(), 0
    until = time.monotonic() + options.minutes * 60 if options.minutes else math.inf
    place = options.storage or str(folder / "journal.log")
    studies = [Study(name, folder, place, search, recipe) for _ in range(options.jobs)]
    say(f"{f'{most} trials' if most < math.inf else 'trials'} of {search.model}, {options.jobs} at once -> {folder}")
    with ThreadPoolExecutor(options.jobs) as pool, sigterm_interrupts():
        workers = [pool.submit(Worker(study, most, until, stopped)) for study in studies]
        try:
            for worker in as_completed(workers):
                worker.result()
        except BaseException as error:
            stopped.set()
            interrupt_children()
            if not isinstance(error, KeyboardInterrupt):
                raise
            status = 128 + next(iter(error.args), signal.SIGINT)
    if status or stopped.is_set():
        say("stopped; the same command goes on")
    found = completed(studies[0])
    if found:
        best = shlex.quote(str(write_best(studies[0])))
        print(summary(studies[0]), f"dlplug fit -c {best}", write_page(studies[0]), sep="\n")
    return status or (130 if stopped.is_set() else int(not found))
