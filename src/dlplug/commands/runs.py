"""``dlplug runs``: every run below a folder at a glance, without torch."""

import csv
import json
import re
import shutil
import statistics
import sys
from argparse import Namespace
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from dlplug.commands.parser import Parser
from dlplug.console import plain
from dlplug.errors import InputError, did_you_mean
from dlplug.runs import Run
from dlplug.runs_index import Entry, read_entries

SHOWN = ("name", "model", "data", "state", "epochs", "time", "monitored", "test", "study", "options")
WIDEST = 28  # characters of a cell that is no option
SPARED = ("study", "data", "time", "epochs", "state", "model")  # the first to go where a terminal is too narrow
Row = dict[str, Any]


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug runs``."""
    parser.usage = "dlplug runs [WORD] [options], dlplug runs note RUN TEXT, dlplug runs rm RUN [RUN ...]"
    add = parser.add_argument
    add("words", nargs="*", metavar="WORD", help="only runs whose name, model, data, options or note hold it")
    add("--folder", type=Path, default=Path("runs"), help="where they are (runs)")
    add("--sort", metavar="FIELD", help="by a field or metric, such as test/accuracy; the newest first if none")
    add("--reverse", action="store_true", help="the other way round")
    add("--best", action="store_true", help="of each model and data only the best by its monitored metric")
    add("--by", choices=["config", "study"], help="means and spreads over a config's seeds; a study's best")
    add("--columns", metavar="A,B", help=f"fields and metrics; of {', '.join(SHOWN)}, path, seed, note")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument("--csv", action="store_true", help="for spreadsheets")
    form.add_argument("--html", type=Path, metavar="FILE", help="a page that can be sorted and filtered, with pictures")
    add("--yes", action="store_true", help="rm asks nothing")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Print the runs that are asked for, note something of one, or remove some."""
    match options.words:
        case ["note", name, *text] if text:
            return note(name, " ".join(text))
        case ["rm", *names] if names:
            return remove(names, options.yes)
        case ["note" | "rm" as action, *_]:
            raise InputError(f"runs {action} needs a run" + (" and a text" if action == "note" else ""))
    if not options.folder.is_dir():
        raise InputError(f"{options.folder} is no folder: there are no runs yet, or --folder says where they are")
    found = [entry for entry in read_entries(options.folder) if all(entry.mentions(w) for w in options.words)]
    if options.best:
        found = _best(found)
    rows = {"config": by_config, "study": by_study, None: _each}[options.by](found)
    counted = {"config": ["seeds"], "study": ["runs"], None: []}[options.by]
    usual = [*SHOWN, *counted, *(["note"] if options.html else [])]
    wanted = options.columns.split(",") if options.columns else usual
    known = {name for row in rows for name in row} | {*SHOWN, "path", "seed", "note"}
    for name in [*wanted, *([options.sort] if options.sort else [])]:
        if rows and name not in known:
            raise InputError(f"no run has a {name!r}; " + did_you_mean(name, known))
    if options.sort:
        rows.sort(key=lambda row: _sortable(row.get(options.sort)))
    if options.reverse:
        rows.reverse()
    wanted = [name for name in wanted if options.columns or any(row.get(name) for row in rows)]
    if options.html:
        from dlplug.report.runs import write_runs  # jinja2 and Pillow

        print(write_runs(rows, [name for name in wanted if name != "name"], options.html))
    elif options.json:
        print(json.dumps([{name: _finite(value) for name, value in row.items()} for row in rows], indent=1))
    elif options.csv:
        _print_csv(rows)
    elif rows:
        _print_table(rows, wanted)
    else:
        print(
            f"no run in {options.folder}" + (f" mentions {' '.join(options.words)!r}" if options.words else ""),
            file=sys.stderr,
        )
    return 0


def note(name: str, text: str) -> int:
    """Write a note into a run's about.json."""
    Run.open(name).say_of_itself(note=text)
    return 0


def remove(names: Sequence[str], sure: bool) -> int:
    """Remove runs, each named in full, once a person has agreed.

    Raises:
        InputError: One is not named in full, is a link, or is being trained; none is removed then.
    """
    runs = {Run.open(name): name for name in names}
    for found, name in runs.items():
        if name not in (found.path.name, str(found.path)) and Path(name).resolve() != found.path.resolve():
            raise InputError(f"rm {name}: name the run in full, {found.path}")
        if found.path.is_symlink():
            raise InputError(f"{found.path} is a link, which is not followed")
        with found.lock():
            pass
    size = sum(path.lstat().st_size for found in runs for path in found.path.rglob("*"))
    question = f"remove {', '.join(str(found.path) for found in runs)} ({size / 1e6:.1f} MB)? [y/N] "
    if not sure:
        if not sys.stdin.isatty():
            raise InputError("rm asks before it removes: say --yes where nobody can answer")
        if input(plain(question) + " ").strip().lower() not in ("y", "yes"):
            return 1
    for found in runs:
        with found.lock():
            shutil.rmtree(found.path)
    return 0


def _best(entries: Sequence[Entry]) -> list[Entry]:
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.best is not None:
            groups.setdefault((entry.model, entry.data), []).append(entry)
    return [(max if group[0].mode == "max" else min)(group, key=lambda e: e.best or 0.0) for group in groups.values()]


def _each(entries: Sequence[Entry]) -> list[Row]:
    return [entry.row() for entry in entries]


def by_study(entries: Sequence[Entry]) -> list[Row]:
    """Return a row for each study: its best run by its monitored metric, and how many runs it has."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.study, []).append(entry)
    best = {study: (_best(group) or group)[0] for study, group in groups.items() if study}
    return [entry.row() | {"runs": len(groups[study])} for study, entry in best.items()]


def by_config(entries: Sequence[Entry]) -> list[Row]:
    """Return a row for each config: of each number the mean, and the spread over its seeds."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.model, entry.data, entry.options), []).append(entry)
    rows = []
    for (model, data, options), group in groups.items():
        row: Row = {"model": model, "data": data, "options": options, "seeds": len(group)}
        row |= {"name": group[0].name, "path": group[0].path}
        of_each = [entry.row() for entry in group]
        for name in {name: None for each in of_each for name in each}:
            values = [each[name] for each in of_each if isinstance(each.get(name), float)]
            if values:
                row[name] = statistics.fmean(values)
                row[f"{name} ±"] = statistics.stdev(values) if len(values) > 1 and all(map(isfinite, values)) else None
        for name, column in (("monitored", group[0].monitor), ("test", group[0].tested)):
            if column and row.get(column) is not None:
                spread = row.get(f"{column} ±")
                row[name] = f"{column} {row[column]:.4g}" + (f" ± {spread:.2g}" if spread is not None else "")
        rows.append(row)
    return rows


def _sortable(value: Any) -> tuple[bool, list[Any]]:
    """Return what orders numbers by size, also those within a text such as 10/20; what is no number comes last."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", value) if isinstance(value, str) else ["", value]
    parts[1::2] = map(float, parts[1::2]) if value is not None else [0]
    return value is None or value != value, parts


def _print_csv(rows: Sequence[Row]) -> None:
    writer = csv.DictWriter(sys.stdout, list({name: None for row in rows for name in row}), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _print_table(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Print a line a run; where somebody looks, it fits the terminal: without what says least, and cut."""
    columns = {name: [name, *(_cut(plain(_text(row.get(name))), WIDEST) for row in rows)] for name in names[:-1]}
    widths = {name: max(map(len, cells)) for name, cells in columns.items()}
    full = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else sys.maxsize
    last = [names[-1], *(plain(_text(row.get(names[-1]))) for row in rows)]
    room = full - (0 if names[-1] == "options" else max(map(len, last)))  # of options a beginning says something too
    for name in SPARED:
        if sum(widths.values()) + 2 * len(widths) > room:
            widths.pop(name, None)
    for number, text in enumerate(last):
        cells = [columns[name][number].ljust(width) for name, width in widths.items()]
        print(_cut("  ".join([*cells, text]).rstrip(), full))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
