"""``dlplug verify --mutants``: whether claims and checks notice faults that are planted in the models."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dlplug.console import say
from dlplug.errors import InputError, did_you_mean
from dlplug.registry import Registry
from dlplug.registry.provenance import code_digest
from dlplug.registry.source import file_of
from dlplug.specs import ClaimSpec, MutantSpec

FOLDER = Path("runs") / "mutants"
# One seed is enough to see what a fault breaks, where it holds with that seed without the fault.
CLAIM = (
    "import sys, pathlib; from dlplug.claims import run_claim; run_claim(sys.argv[1], pathlib.Path('found'), [0], 1)"
)


def run_mutants(registry: Registry, words: Sequence[str], full: bool, file: Path | None) -> int:
    """Plant each fault that is asked for, and say what notices it; the status is 1 where nothing does.

    Args:
        registry: The installed plugins.
        words: Names of faults or models, or sections; all if none.
        full: Whether all claims about a fault's models, and all checks of them, are tried after those it names.
        file: Where to write what was found as JSON, if anywhere.
    """
    mutants = _chosen(registry, words)
    found: list[dict[str, Any]] = []
    for number, mutant in enumerate(mutants, start=1):
        say(f"{number} of {len(mutants)}: {mutant.name}")
        by, how = next(_noticed(mutant, registry, full), ("", ""))
        found.append({"name": mutant.name, "summary": mutant.summary, "models": mutant.models, "by": by, "how": how})
        print(f"{f'found by {by}' if by else 'MISSED'}  {mutant.name}: {mutant.summary}  [{how}]", flush=True)
        if file:
            file.write_text(json.dumps(found, indent=1))
    caught = sum(bool(each["by"]) for each in found)
    print(f"{caught} of {len(found)} faults are noticed")
    return int(caught < len(found))


def _chosen(registry: Registry, words: Sequence[str]) -> list[MutantSpec]:
    mutants = [spec for spec in registry if isinstance(spec, MutantSpec)]
    known = {word for mutant in mutants for word in (mutant.name, *mutant.models)}
    sections = {word for word in words if any(f"{m.lecture}.".startswith(f"{word}.") for m in mutants)}
    for word in words:
        if word not in known | sections:
            raise InputError(f"no fault is of {word!r}; " + did_you_mean(word, known))
    return [
        m
        for m in mutants
        if not words
        or {m.name, *m.models}.intersection(words)
        or any(f"{m.lecture}.".startswith(f"{s}.") for s in sections)
    ]


def _noticed(mutant: MutantSpec, registry: Registry, full: bool) -> Iterator[tuple[str, str]]:
    """Give what notices a fault, a claim or a check of a model, and what it says."""
    claims = {spec.name: spec for spec in registry if isinstance(spec, ClaimSpec)}
    clean = FOLDER / ".clean" / code_digest(registry)
    tried = [*mutant.caught_by]
    if full:
        tried += [name for name, claim in claims.items() if {*claim.models} & {*mutant.models} and not claim.full]
        tried += ["all"]
    planted = _planted(mutant)
    for name in dict.fromkeys(tried):
        for model in ("",) if name in claims else mutant.models:
            if broken := _broken(name, model, planted, faulty=True):
                if before := _broken(name, model, clean):
                    say(f"{name} does not hold without the fault either: {before}")
                else:
                    yield (f"the claim {name}" if name in claims else f"the check {name} of {model}"), broken


def _planted(mutant: MutantSpec) -> Path:
    """Return a folder with the package of the model, the fault in it: on the path, it hides the installed one."""
    module = mutant.target.partition(":")[0]
    package, file = file_of(module.partition(".")[0]), file_of(module)
    if package is None or file is None:
        raise InputError(f"the source of {mutant.target} cannot be read")
    place = (FOLDER / mutant.name).absolute()
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    root = package.parent.parent if package.name == "__init__.py" else package.parent
    if root != package.parent:
        shutil.copytree(package.parent, place / package.parent.name, ignore=shutil.ignore_patterns("__pycache__"))
    (place / file.relative_to(root)).write_text(mutant.planted(file.read_text()))
    return place


def _broken(name: str, model: str, path: Path, faulty: bool = False) -> str:
    """Return what does not hold of a claim, or of a check of a model; empty where it holds.

    Args:
        name: Of the claim or the check.
        model: What is checked; empty for a claim.
        path: Where it all lands.
        faulty: Whether a package with a fault is there, too.
    """
    place = path / f"{name}-{model}"
    answer = place / "answer.json"
    if answer.exists():  # asked before
        return str(json.loads(answer.read_text()))
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    line = (
        ["-m", "dlplug", "check", model, *(["--only", name] if name != "all" else [])] if model else ["-c", CLAIM, name]
    )
    paths = os.pathsep.join(filter(None, (str(path.absolute()) * faulty, os.environ.get("PYTHONPATH", ""))))
    env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *line], cwd=place, env=env, capture_output=True, text=True)
    said = _failure(done) if model else _unmet(json.loads((place / "found" / "evidence.json").read_text()))
    answer.write_text(json.dumps(said))
    return said


def _failure(done: "subprocess.CompletedProcess[str]") -> str:
    failed = [line.strip() for line in done.stdout.splitlines() if line.startswith("  FAILED")]
    return "; ".join(failed) or (f"status {done.returncode}: {done.stderr[-200:]}" if done.returncode else "")


def _unmet(evidence: dict[str, Any]) -> str:
    if error := evidence.get("error"):
        return str(error)
    unmet = [m for m in evidence["measures"] if not m["reached"]] + [c for c in evidence["controls"] if c["reached"]]
    return "; ".join(f"{m['name']} {m['mean']:.4g} ({m['sense']} {m['threshold']:.4g})" for m in unmet)
