"""``dlplug verify``: runs the course's claims and says which hold."""

import json
import math
import multiprocessing
import os
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dlplug.commands.mutants import run_mutants
from dlplug.commands.parser import Parser, print_wrapped
from dlplug.console import say
from dlplug.errors import InputError, did_you_mean
from dlplug.files import write_atomically
from dlplug.processes import start
from dlplug.registry import Registry
from dlplug.registry.provenance import code_digest
from dlplug.registry.source import UNREAD, read_class
from dlplug.specs import ClaimSpec

WITH = "DLPLUG_WITH"  # what puts classes in models' places
TOLD = ("notes", "since", "history", "corrects", "equation", "predict", "seen", "why")  # of a claim's spec


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug verify``."""
    parser.add_argument("words", nargs="*", help="names of claims or models, or sections; all claims if none")
    parser.add_argument("--list", action="store_true", help="only say which claims these are")
    parser.add_argument("--seeds", type=int, help="seeds each measurement is repeated over (each claim's own)")
    parser.add_argument("--jobs", type=int, default=1, help="claims at once, a process each (1)")
    parser.add_argument("--full", action="store_true", help="the quality tables too, which take much longer")
    parser.add_argument("--resume", action="store_true", help="keep what was found with the same code and seeds")
    parser.add_argument(
        "--with", dest="put", metavar="MODEL=CLASS", help="a class in a model's place, such as cnn=my_file.Net"
    )
    parser.add_argument("--mutants", action="store_true", help="plant faults in the models, and see what notices them")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="put the claims' figures there, as SVG and PNG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found as JSON too")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the claims asked for; the status is 1 if one does not hold."""
    if options.mutants:
        return run_mutants(Registry.discover(), options.words, options.full, options.json)
    if options.put:
        _put(options.put)
    claims = chosen(Registry.discover(), options.words, options.full)
    if options.list:
        for claim in claims:
            print_wrapped(f"{claim.lecture:5}  {claim.name:24}  ", claim.summary)
        return 0
    order = [claim.name for claim in claims]
    found: list[dict[str, Any]] = []
    page = None
    try:
        for evidence in measure(claims, options.seeds, options.jobs, options.resume):
            print(line(evidence), flush=True)
            found = sorted([*found, evidence], key=lambda each: order.index(each["name"]))
            page = write_page(found)
            if options.figures:
                _copy_figures(evidence, options.figures)
            if options.json:
                write_atomically(options.json, json.dumps(found, indent=1).encode())
    except KeyboardInterrupt:
        say(f"stopped after {len(found)} of {len(claims)} claims; the same with --resume goes on")
        return 130
    print(page)
    failed = [evidence["name"] for evidence in found if not evidence["holds"]]
    print(f"{len(found) - len(failed)} of {len(found)} hold" + (f"; not {', '.join(failed)}" if failed else ""))
    return int(bool(failed))


def _copy_figures(evidence: dict[str, Any], target: Path) -> None:
    """Copy a claim's pictures into a folder, under names that begin with the claim's."""
    target.mkdir(parents=True, exist_ok=True)
    for name in evidence.get("figures", {}).values():
        picture = Path(evidence["folder"], name)
        for file in filter(Path.is_file, {picture, picture.with_suffix(".svg")}):
            if file.suffix in (".png", ".svg"):
                shutil.copy(file, target / f"{evidence['name']}-{unquote(file.name)}".replace("/", "-"))


def _put(pair: str) -> None:
    class_path = pair.partition("=")[2]
    sys.path.append(os.getcwd())
    if read_class(class_path) is UNREAD:
        raise InputError(f"--with {pair}: there is no class {class_path!r}; give MODEL=CLASS, such as cnn=my_file.Net")
    os.environ[WITH] = pair


def folder() -> Path:
    """Return where it all lands, apart where another class is in a model's place."""
    return Path("runs") / ("verify-with" if os.environ.get(WITH) else "verify")


def measure(
    claims: Sequence[ClaimSpec], seeds: int | None, jobs: int, resume: bool = False
) -> Iterator[dict[str, Any]]:
    """Give what each claim found, as soon as it is there, and say what runs.

    Args:
        claims: What to measure, each in a process of its own.
        seeds: How many seeds each measurement is repeated over, from 0; None for each claim's own.
        jobs: How many claims are measured at once.
        resume: Whether what was found before, with the same seeds and the same code, is kept.

    Raises:
        InputError: There are fewer than two seeds, which have no spread, or no job.
    """
    if seeds is not None and seeds < 2:
        raise InputError(f"--seeds must be at least 2, not {seeds}: a bound needs a spread")
    if jobs < 1:
        raise InputError(f"--jobs must be at least 1, not {jobs}")
    repeats = {claim.name: list(claim.seeds if seeds is None else range(seeds)) for claim in claims}
    code = code_digest(Registry.discover())
    found = {claim.name: _kept(claim, repeats[claim.name], code) if resume else None for claim in claims}
    yield from filter(None, found.values())
    left = [claim for claim in claims if not found[claim.name]]
    progress = _Progress(left, jobs)
    if jobs > 1:  # the longest first, or one of them would run alone in the end
        left.sort(key=lambda claim: -progress.expected.get(claim.name, math.inf))
    runs = _cache(code)

    def one(claim: ClaimSpec) -> dict[str, Any]:
        progress.begin(claim)
        return _run(claim, repeats[claim.name], jobs, code, runs)

    pool = ThreadPoolExecutor(jobs)
    try:
        for done in as_completed([pool.submit(one, claim) for claim in left]):
            progress.end(evidence := done.result())
            yield evidence
    except BaseException:  # Ctrl-C, or whoever asks wants no more
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()  # half a run is made anew, and half a file is never there
        raise


def _cache(code: str) -> Path | None:
    """Return where claims share the runs that they train, emptied of other code's; nowhere with another class."""
    if os.environ.get(WITH):
        return None
    runs = folder() / ".runs"
    for other in runs.glob("*"):
        if other.name != code:
            shutil.rmtree(other, ignore_errors=True)
    return runs / code


class _Progress:
    """Says which claim runs, how long it all has taken, and how long it will, by what each took the last time."""

    def __init__(self, claims: Sequence[ClaimSpec], jobs: int) -> None:
        self.file = folder() / "seconds.json"
        try:
            self.expected: dict[str, float] = json.loads(self.file.read_text())
        except (OSError, ValueError):
            self.expected = {}
        self.left = [claim.name for claim in claims]
        self.total, self.jobs, self.started, self.begun = len(claims), jobs, time.monotonic(), 0

    def begin(self, claim: ClaimSpec) -> None:
        """Say that a claim begins."""
        self.begun += 1
        unknown = [name for name in self.left if name not in self.expected]
        about = f", about {_time(self.expected[claim.name])}" if claim.name in self.expected else ""
        rest = sum(self.expected.get(name, 0.0) for name in self.left) / self.jobs
        still = f"{'at least ' * bool(unknown)}{_time(rest)} to go" if rest else "how long is not known yet"
        so_far = f"{_time(time.monotonic() - self.started)} so far, " if self.begun > 1 else ""
        say(f"{self.begun} of {self.total}: {claim.name}{about} ({so_far}{still})")

    def end(self, evidence: dict[str, Any]) -> None:
        """Keep how long a claim took."""
        self.left.remove(evidence["name"])
        self.expected[evidence["name"]] = round(evidence["seconds"], 1)
        write_atomically(self.file, json.dumps(self.expected, indent=1).encode())


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def write_page(found: Sequence[dict[str, Any]]) -> Path:
    """Write the page of what was found, and return its file."""
    from dlplug.report.claims import write_claims  # numpy and Pillow: only where there is something to show

    path = folder() / "report.html"
    write_claims(found, path)
    return path


def chosen(registry: Registry, words: Sequence[str], full: bool) -> list[ClaimSpec]:
    """Return the claims that words ask for, by section: claims and models by name, sections by number.

    Raises:
        InputError: A word asks for nothing.
    """
    claims = [spec for spec in registry if isinstance(spec, ClaimSpec)]
    known = {claim.name for claim in claims} | {model for claim in claims for model in claim.models}
    asked: set[ClaimSpec] = set()
    for word in words:
        matching = {c for c in claims if word in (c.name, *c.models) or f"{c.lecture}.".startswith(f"{word}.")}
        if not matching:
            raise InputError(f"no claim is about {word!r}; " + did_you_mean(word, known))
        asked |= {c for c in matching if full or not c.full or c.name == word}
    if not words:
        asked = {c for c in claims if full or not c.full}
    return sorted(asked, key=lambda c: ([int(n) if n.isdigit() else 0 for n in c.lecture.split(".")], c.name))


def line(evidence: dict[str, Any]) -> str:
    """Return what was found in one line."""
    start = (
        f"{'holds' if evidence['holds'] else 'FAILS'}  {evidence['lecture']} {evidence['name']}: {evidence['sentence']}"
    )
    seconds = f"{evidence['seconds']:.1f} s"
    if error := evidence.get("error"):
        return f"{start}  [{error}; {seconds}; see {evidence['folder']}/log.txt]"
    measures = ", ".join(_measure(measure) for measure in evidence["measures"])
    controls = ", ".join(_measure(control, control=True) for control in evidence["controls"])
    return f"{start}  [{measures}; control: {controls}; {seconds}]"


def _measure(measure: dict[str, Any], control: bool = False) -> str:
    spread = f" ± {measure['spread']:.2g}" if len(measure["values"]) > 1 else ""
    below, above = measure["interval"]
    bound = below if (measure["sense"] == ">=") != control else above  # the one that has to be beyond the bar
    said = "" if measure["exact"] else ", no bound" if bound is None else f", bound {bound:.4g}"
    bar = f"{measure['sense']} {measure['threshold']:.4g}" + (f", {measure['baseline']}" if measure["baseline"] else "")
    return f"{measure['name']} {measure['mean']:.4g}{spread}{said} ({bar})"


def _kept(claim: ClaimSpec, seeds: Sequence[int], code: str) -> dict[str, Any] | None:
    """Return what was found before, if the code and the seeds were the same and nothing went wrong."""
    try:
        found: dict[str, Any] = json.loads((folder() / claim.name / "evidence.json").read_text())
    except (OSError, ValueError):
        return None
    same = found.get("code") == code and found.get("seeds") == list(seeds) and "error" not in found
    return {**_about(claim), **found} if same else None


def _about(claim: ClaimSpec) -> dict[str, Any]:
    about = {"name": claim.name, "lecture": claim.lecture, "sentence": claim.summary}
    return about | {name: getattr(claim, name) for name in TOLD}


def _run(claim: ClaimSpec, seeds: list[int], jobs: int, code: str, runs: Path | None) -> dict[str, Any]:
    """Run a claim in a process of its own, so that whatever happens to it happens to no other."""
    place = folder() / claim.name
    shutil.rmtree(place, ignore_errors=True)  # what it found last time, and the runs that were for that
    process = start(_in_child, os.environ.get(WITH, ""), claim.name, place, seeds, jobs, runs)
    process.join()
    try:
        found = json.loads((place / "evidence.json").read_text())
    except FileNotFoundError:
        found = {"holds": False, "error": f"its process ended with status {process.exitcode}", "seconds": 0.0}
    found = {**_about(claim), "folder": str(place), "seeds": seeds, "code": code, **found}
    if process.exitcode == 0:
        write_atomically(place / "evidence.json", json.dumps(found, indent=1).encode())
    return found


def _in_child(put: str, *args: Any) -> None:
    from dlplug.claims import run_claim  # torch: only where something is measured

    if put:  # the process that this is a fork of may be older
        os.environ[WITH] = put
    run_claim(*args)
