"""``dlplug grade``: a student's class, measured by the checks and the claims of the model that it stands for."""

import argparse
import ast
import difflib
import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from dlplug import ClaimSpec, InputError, Spec
from dlplug.console import say
from dlplug.errors import did_you_mean
from dlplug.files import write_atomically
from dlplug.registry import Registry
from dlplug_classroom.exercise import class_of, planted, read_source

POINTS = 10  # of a claim, and of a fault found
FEW = 3  # lines that may be changed besides the one with the fault
NO_WALLS = (
    "not a sandbox: without bubblewrap (`bwrap`) a student's file may read what you may, and only what Python hears of "
    "is refused; grade files that you have read, or in a container"
)


@dataclass(frozen=True)
class Item:
    """A line of a grade.

    Attributes:
        name: What was measured.
        passed: Whether it held.
        text: What was found, and what to look at.
        score: Points; None for what gives none.
    """

    name: str
    passed: bool
    text: str
    score: float | None = None

    @property
    def line(self) -> str:
        """The item as it is printed."""
        points = " " * 10 if self.score is None else f"{self.score:4.1f} of {POINTS}"
        return f"{'ok   ' if self.passed else 'FAILS'}  {points}  {self.name}" + (f": {self.text}" if self.text else "")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("submission", metavar="FILE.Class", help="the student's class, such as ada/my_cnn.CNN")
    parser.add_argument("--as", dest="model", required=True, metavar="MODEL", help="the model that it stands for")
    parser.add_argument("--claims", nargs="+", default=[], metavar="CLAIM", help="these alone, not all and the checks")
    parser.add_argument("--full", action="store_true", help="the claims too that take much longer")
    parser.add_argument("--broken", type=int, metavar="N", help="whether the N-th fault of that model was found")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the grade in Gradescope's layout")
    parser.add_argument("--page", type=Path, metavar="FILE", help="the grade as a page; in runs/grade unless given")
    parser.add_argument("--minutes", type=float, default=10, help="processor time that a claim may take (10)")
    parser.add_argument("--memory", type=float, default=8, help="GiB that the student's process may take (8)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Grade, print a line an item, and write the page; the status is 1 if something fails."""
    stem, _, kind = options.submission.rpartition(".")
    file = Path(f"{stem}.py")
    if not file.is_file() or not kind.isidentifier():
        raise InputError(f"{options.submission}: there is no file {file}; give FILE.Class, such as my_cnn.CNN")
    if min(options.minutes, options.memory) <= 0:
        raise InputError("--minutes and --memory must be above 0")
    registry, started, items = Registry.discover(), time.monotonic(), []
    spec = registry.find("model", options.model)
    if options.broken is not None:
        graded = iter([find_fault(registry, spec, options.broken, file)])
    else:
        graded = measure(registry, spec, file, kind, options)
    for item in graded:
        items.append(item)
        print(item.line, flush=True)
    page = options.page or folder_of(options.submission).with_suffix(f".{kind}.html")
    results = json.dumps(as_gradescope(items, time.monotonic() - started), indent=1)
    written = {page: as_page(options.submission, spec.name, items), **({options.json: results} if options.json else {})}
    scores = [item.score for item in items if item.score is not None]
    print(f"{sum(scores):.1f} of {POINTS * len(scores)} points; {page}")
    for path, text in written.items():
        try:
            write_atomically(path, text.encode())
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from error
    return int(not all(item.passed for item in items))


def folder_of(submission: str) -> Path:
    """Return where a submission's runs are: of files of one name in several folders each has its own."""
    return Path("runs") / "grade" / "-".join(part for part in Path(submission).parts if part.strip("./"))


def find_fault(registry: Iterable[Spec], spec: Any, number: int, file: Path) -> Item:
    """Return whether a file differs from the one that was given out where its fault is; nothing of it is run."""
    text, fault = planted(registry, spec, number)
    source, handed_in = read_source(class_of(spec)), file.read_text(encoding="utf-8", errors="replace")
    at = source[: source.index(fault.old)].count("\n")
    blocks = difflib.SequenceMatcher(None, text.splitlines(), handed_in.splitlines(), autojunk=False).get_opcodes()
    changed = {n for tag, first, last, *_ in blocks if tag != "equal" for n in range(first, max(last, first + 1))}
    name = f"The fault {number} of {spec.name}"
    if at not in changed or len(changed) > FEW + 1:
        return Item(name, False, f"not found: {len(changed)} lines are changed", 0.0)
    same = "".join(handed_in.split()) == "".join(source.split())
    how = "repaired as the course has it" if same else "changed in another way: without --broken it is measured"
    return Item(name, True, f"found in line {at + 1}, {how}. {fault.summary}", float(POINTS))


def measure(registry: Registry, spec: Any, file: Path, kind: str, options: argparse.Namespace) -> Iterator[Item]:
    """Yield the items of a student's class, in processes that end with each."""
    claims = [s for s in registry if isinstance(s, ClaimSpec) and spec.name in s.models]
    names = {claim.name for claim in claims}
    for name in options.claims:
        if name not in names:
            raise InputError(f"no claim about {spec.name} is named {name!r}; " + did_you_mean(name, names))
    try:
        classes = [node.name for node in ast.parse(file.read_bytes()).body if isinstance(node, ast.ClassDef)]
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{file}: {error}") from error
    if kind not in classes:
        raise InputError(f"{file} has no class {kind}; " + did_you_mean(kind, classes))

    from dlplug_classroom.sandbox import Limits, Student, Ungraded, bubblewrap  # torch: seconds

    if not bubblewrap():
        say(NO_WALLS)
    limits = Limits(options.minutes, options.memory)
    folder = folder_of(options.submission).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not options.claims:
        student = Student(file, kind, spec.name, limits, folder / "student.txt", (), folder)
        try:
            for name, result, text in student.ask("check", spec.name):
                yield Item(f"check {name}", result != "failed", f"{result}: {text}" if text else "")
        except (Ungraded, ValueError, TypeError) as error:
            yield Item("checks", False, f"{error}; see {folder / 'student.txt'}")
        finally:
            student.close()
    for claim in claims:
        if claim.name in options.claims or (not options.claims and (options.full or not claim.full)):
            yield _measured(registry, claim, folder / claim.name, (spec.name, file, kind, limits))


def _measured(registry: Registry, claim: ClaimSpec, folder: Path, student: Any) -> Item:
    from dlplug.claims import Evidence
    from dlplug_classroom.lab import GradingLab

    folder.mkdir()
    lab = GradingLab(registry, folder, claim.seeds, *student)
    name = f"claim {claim.lecture} {claim.name}"
    module, _, function = claim.target.partition(":")
    with open(folder / "log.txt", "w") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            evidence = getattr(import_module(module), function)(lab)
            assert isinstance(evidence, Evidence)
        except Exception as error:
            reason = " ".join(str(error).split())
            return Item(name, False, f"not measured: {reason}; see {folder}", 0.0)
        finally:
            lab.close()
    if not lab.asked:
        return Item(name, True, "left out: it measures none but the course's own classes")
    wrong = [f"{m.name} {m.mean:.4g} should be {m.sense} {m.threshold:.4g}" for m in evidence.measures if not m.holds]
    wrong += [
        f"{c.name} {c.mean:.4g} should not be {c.sense} {c.threshold:.4g}" for c in evidence.controls if not c.fails
    ]
    controlled = all(control.fails for control in evidence.controls)
    held = sum(measure.holds for measure in evidence.measures) / len(evidence.measures)
    looked_at = f"{'; '.join(wrong)}; look at {claim.why or f'dlplug info {claim.name}'}" if wrong else claim.summary
    return Item(name, not wrong, looked_at, POINTS * held * controlled)


def as_gradescope(items: list[Item], seconds: float) -> dict[str, Any]:
    """Return a grade in the layout of Gradescope's autograder."""
    tests: list[dict[str, Any]] = []
    for number, item in enumerate(items, start=1):
        points = {} if item.score is None else {"score": item.score, "max_score": POINTS}
        status = "passed" if item.passed else "failed"
        tests.append({"number": str(number), "name": item.name, **points, "status": status, "output": item.text})
    score = sum(item.score or 0.0 for item in items)
    return {"score": score, "execution_time": round(seconds), "visibility": "visible", "tests": tests}


def as_page(submission: str, model: str, items: list[Item]) -> str:
    """Return a grade as a page, which loads nothing."""
    from jinja2 import Environment

    scores = [item.score for item in items if item.score is not None]
    values = {"submission": submission, "model": model, "items": items, "points": POINTS}
    template = Environment(autoescape=True).from_string((Path(__file__).parent / "page.html").read_text())
    return template.render(**values, total=sum(scores), most=POINTS * len(scores))
