"""Writes into READMEs the tables of what `dlplug compare --json` measured: `python .ci/tables.py`.

They stand between `<!-- NAME.json -->` and `<!-- end -->`, and the numbers in benchmarks/NAME.json.
"""

import json
import re
from pathlib import Path

from dlplug_share.compare import table, tables

ROOT = Path(__file__).parents[1]
PLACE = re.compile(r"(<!-- ([\w-]+)\.json -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """Return a page with its tables."""
    return PLACE.sub(lambda found: f"{found[1]}\n{of_file(found[2])}\n\n{found[3]}", text)


def of_file(name: str) -> str:
    """Return the tables of one comparison."""
    compared = json.loads((ROOT / "benchmarks" / f"{name}.json").read_text())
    said = {
        judge: compared["judges"].get(judge, "What each costs; to sample is to generate 16.")
        for judge in tables(compared)
    }
    return "\n\n".join(f"{said[judge]}\n\n{table(cells)}" for judge, cells in tables(compared).items())


if __name__ == "__main__":
    for page in ROOT.glob("plugins/*/README.md"):
        page.write_text(filled(page.read_text()))
