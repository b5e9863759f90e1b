"""Writes the site's pages, with what they take from elsewhere filled in: ``{{ claims 3 }}`` and the like.

``make docs`` calls it before Zensical, which reads mkdocs.yml and has no hooks. A picture that is missing ends it with
status 1; of pages and anchors Zensical says so.
"""

import base64
import contextlib
import csv
import io
import itertools
import os
import re
import shutil
import sys
import textwrap
from pathlib import Path

from dlplug import commands
from dlplug.__main__ import main as command
from dlplug.commands import COMMANDS, OWN_PARSER
from dlplug.media import Figure
from dlplug.plots import plot_bars
from dlplug.registry import Registry
from dlplug.registry.source import read_class
from dlplug.specs import ClaimSpec, Spec

ROOT = Path(__file__).parents[1]
PICTURE = re.compile(r"!\[[^]]*\]\(([^)\s]+)")
STEPS = "| | model | figure | CPU time | weights | command |"
PLAIN = str.maketrans("−", "-", ",")  # of numbers as they are written
FILLED = re.compile(r"^\{\{ (\w+) ?(.*?) \}\}$", re.MULTILINE)


def main(target: Path) -> int:
    """Write the pages and pictures into a folder."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "docs", target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    missing = []
    for page in target.rglob("*.md"):
        text = filled(page.read_text())
        page.write_text(text)
        pictures = [name for name in PICTURE.findall(text) if "://" not in name]
        missing += [f"{page.relative_to(target)}: no picture {n}" for n in pictures if not (page.parent / n).is_file()]
    print(*missing, sep="\n", end="\n" * bool(missing))
    return int(bool(missing))


def filled(markdown: str) -> str:
    """Replace each ``{{ name argument }}`` that has a line of its own."""
    return FILLED.sub(lambda found: FILLERS[found[1]](found[2]), markdown)


def offers(lecture: str) -> str:
    """Return what the plugins offer for a lecture, as tables."""
    specs = [s for s in Registry.discover() if _is_of(s.lecture, lecture)]
    tables = [_table(kind, [s for s in specs if s.kind == kind]) for kind in ("model", "data")]
    return "\n\n".join(filter(None, tables)) or "Its models are not built yet."


def claims(lecture: str) -> str:
    """Return the sentences that claims measure; for a lecture, those without a claim too."""
    measured: dict[str, list[str]] = {}
    for spec in _claims():
        for note in spec.notes:
            measured.setdefault(note, []).append(f"`{spec.name}`" + " (with `--full`)" * spec.full)
    rows = [(*note.split(" ", 1), ", ".join(names)) for note, names in measured.items()]
    if lecture:
        rows += [(section, sentence, why) for section, sentence, why in unmeasured()]
    rows = [row for row in rows if not lecture or _is_of(row[0], lecture)]
    lines = [f"| {' | '.join(row)} |" for row in sorted(rows, key=lambda row: row[0].split("."))]
    return "\n".join(["| section | the notes | claim |", "|---|---|---|", *lines]) if lines else "None is measured yet."


def unmeasured() -> list[list[str]]:
    """Return the sentences of the notes without a claim, which claims.md lists: section, sentence, reason."""
    lines = (ROOT / "docs" / "claims.md").read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d", line)]


def ladder(lecture: str) -> str:
    """Return what is reached from a lecture's simplest baseline to what is used today: a table and bars a ruler."""
    with open(ROOT / "docs" / "ladders.csv", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["lecture"] == lecture]
    parts = []
    for ruler, steps in itertools.groupby(rows, key=lambda row: row["ruler"]):
        found = [[*step.values()][2:] for step in steps]  # what it is, model, figure, time, weights, command
        lines = [STEPS, "|---|---|---|---|---|---|", *(f"| {' | '.join(cells)} |" for cells in found)]
        figures = {cells[1]: [float(cells[2].split()[0].translate(PLAIN))] for cells in found}
        bars = Figure(plot_bars(figures, "")).svg() or b""
        image = f'<img alt="The same as bars" src="data:image/svg+xml;base64,{base64.b64encode(bars).decode()}">'
        parts += [f"**{ruler}**", "\n".join(lines), image]
    return "\n\n".join(parts) or "None is measured yet."


def corrections(_: str) -> str:
    """Return the sentences of the notes that claims correct, each with what is true instead."""
    parts = []
    for spec in sorted(_claims(), key=lambda spec: spec.lecture.split(".")):
        if spec.corrects:
            said = f"## {spec.lecture}: {spec.corrects}\n\nWhat is true: {spec.summary} (`{spec.name}`)"
            sentences = " ".join(filter(None, (spec.seen, spec.why)))
            parts += [said, *([sentences] if sentences else []), *([f"`{spec.equation}`"] if spec.equation else [])]
    return "\n\n".join(parts) or "None was found yet."


def _claims() -> list[ClaimSpec]:
    return [spec for spec in Registry.discover() if isinstance(spec, ClaimSpec)]


def readme(plugin: str) -> str:
    """Return what a plugin's README says below its title, its sections one level down."""
    path = ROOT / "plugins" / plugin / "README.md"
    text = path.read_text().partition("\n")[2].strip() if path.exists() else ""
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)


def guide(_: str) -> str:
    """Return the guide to plugins that CONTRIBUTING.md holds."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return text.partition("## A plugin in thirty lines")[2].partition("\n## ")[0].strip()


def layout(kind: str) -> str:
    """Return the layout that data of a kind draw."""
    doc = read_class(Registry.discover().find("data", kind).class_path).doc
    drawn = [part for part in doc.split("\n\n") if part.startswith("    ")]
    return f"```text\n{textwrap.dedent(drawn[0])}\n```"


def usage(_: str) -> str:
    """Return what every command says of itself."""
    parts = [f"```text\n{commands.usage()}\n```"]
    shown = "fit --model gan --help"
    parts.append(f"## fit, test, validate, predict\n\nWhat `dlplug {shown}` prints:\n\n```text\n{_said(shown)}\n```")
    for spec in COMMANDS.values():
        if spec.target not in OWN_PARSER:
            help_text = commands.parser_of(spec).format_help().rstrip()
            parts.append(f"## {spec.name}\n\n```text\n{help_text}\n```")
    return "\n\n".join(parts)


FILLERS = {
    "layout": layout,
    "offers": offers,
    "claims": claims,
    "ladder": ladder,
    "corrections": corrections,
    "readme": readme,
    "guide": guide,
    "usage": usage,
}


def _is_of(section: str, lecture: str) -> bool:
    return f"{section}.".startswith(f"{lecture}.")


def _table(kind: str, specs: list[Spec]) -> str:
    if not specs:
        return ""
    rows = [f"| `{s.name}` | {s.summary} | {s.lecture} |" for s in sorted(specs, key=lambda s: (s.lecture, s.name))]
    return "\n".join([f"| {kind} | what it is | section |", "|---|---|---|", *rows])


def _said(line: str) -> str:
    os.environ["COLUMNS"] = "100"  # as wide as the page
    with contextlib.redirect_stdout(io.StringIO()) as said:
        command(line.split())
    return said.getvalue().rstrip()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
