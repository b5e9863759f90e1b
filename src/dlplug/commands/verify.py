"""``dlplug verify``: runs the course's claims and says which hold."""

import json
import multiprocessing
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dlplug.commands.parser import Parser, print_wrapped
from dlplug.errors import InputError, did_you_mean
from dlplug.files import write_atomically
from dlplug.processes import start
from dlplug.registry import Registry
from dlplug.specs import ClaimSpec

FOLDER = Path("runs") / "verify"


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug verify``."""
    parser.add_argument("words", nargs="*", help="names of claims or models, or sections; all claims if none")
    parser.add_argument("--list", action="store_true", help="only say which claims these are")
    parser.add_argument("--seeds", type=int, help="seeds each measurement is repeated over (each claim's own)")
    parser.add_argument("--jobs", type=int, default=1, help="claims at once, a process each (1)")
    parser.add_argument("--full", action="store_true", help="the quality tables too, which take much longer")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found as JSON too")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the claims asked for; the status is 1 if one does not hold."""
    claims = chosen(Registry.discover(), options.words, options.full)
    if options.list:
        for claim in claims:
            print_wrapped(f"{claim.lecture:5}  {claim.name:24}  ", claim.summary)
        return 0
    found: list[dict[str, Any]] = []
    try:
        for evidence in measure(claims, options.seeds, options.jobs):
            found.append(evidence)
            print(line(evidence), flush=True)
    except KeyboardInterrupt:
        print(f"stopped after {len(found)} of {len(claims)} claims", file=sys.stderr)
        return 130
    finally:
        if options.json:
            write_atomically(options.json, json.dumps(found, indent=1).encode())
        if found:
            print(write_page(found))
    failed = [evidence["name"] for evidence in found if not evidence["holds"]]
    print(f"{len(found) - len(failed)} of {len(found)} hold" + (f"; not {', '.join(failed)}" if failed else ""))
    return int(bool(failed))


def measure(claims: Sequence[ClaimSpec], seeds: int | None, jobs: int) -> Iterator[dict[str, Any]]:
    """Give what each claim found, in order.

    Args:
        claims: What to measure, each in a process of its own.
        seeds: How many seeds each measurement is repeated over, from 0; None for each claim's own.
        jobs: How many claims are measured at once.

    Raises:
        InputError: There are fewer than two seeds, which have no spread, or no job.
    """
    if seeds is not None and seeds < 2:
        raise InputError(f"--seeds must be at least 2, not {seeds}: a bound needs a spread")
    if jobs < 1:
        raise InputError(f"--jobs must be at least 1, not {jobs}")
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from pool.map(lambda claim: _run(claim, claim.seeds if seeds is None else range(seeds), jobs), claims)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise


def write_page(found: Sequence[dict[str, Any]]) -> Path:
    """Write the page of what was found, and return its file."""
    from dlplug.report.claims import write_claims  # numpy and Pillow: only where there is something to show

    path = FOLDER / "report.html"
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
    controls = ", ".join(_measure(control) for control in evidence["controls"])
    return f"{start}  [{measures}; control: {controls}; {seconds}]"


def _measure(measure: dict[str, Any]) -> str:
    spread = f" ± {measure['spread']:.2g}" if len(measure["values"]) > 1 else ""
    bar = f"{measure['sense']} {measure['threshold']:.4g}" + (f", {measure['baseline']}" if measure["baseline"] else "")
    return f"{measure['name']} {measure['mean']:.4g}{spread} ({bar})"


def _run(claim: ClaimSpec, seeds: Sequence[int], jobs: int) -> dict[str, Any]:
    """Run a claim in a process of its own, so that whatever happens to it happens to no other."""
    folder = FOLDER / claim.name
    shutil.rmtree(folder, ignore_errors=True)  # what it found last time, and the runs that were for that
    process = start(_in_child, claim.name, folder, seeds, jobs)
    process.join()
    try:
        found = json.loads((folder / "evidence.json").read_text())
    except FileNotFoundError:
        found = {"holds": False, "error": f"its process ended with status {process.exitcode}", "seconds": 0.0}
    about = {"name": claim.name, "lecture": claim.lecture, "sentence": claim.summary, "folder": str(folder)}
    return {**about, "seeds": list(seeds), **found}


def _in_child(name: str, folder: Path, seeds: Sequence[int], jobs: int) -> None:
    from dlplug.claims import run_claim  # torch: only where something is measured

    run_claim(name, folder, seeds, jobs)
