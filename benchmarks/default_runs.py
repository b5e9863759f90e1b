"""Thins the metrics of runs of the default recipes for the test of the panels' notes (tests/report/test_notes.py).

    dlplug fit --model vae --seed_everything 0
    python benchmarks/default_runs.py runs/vae/*

writes plugins/dlplug-generative/tests/default_runs/vae.csv: each metric's means over 20 stretches, with the command
and how far it came in the first line.
"""

import sys
from pathlib import Path

import numpy as np

from dlplug.registry import Registry
from dlplug.report.views import View
from dlplug.runs import Run

STRETCHES = 20
ROOT = Path(__file__).parent.parent


def main() -> None:
    registry = Registry.discover()
    for folder in sys.argv[1:]:
        view = View.of(Run.open(folder))
        curves = [curve for curve in view.curves if curve.stage and len(curve.values) and curve.name != "env_steps"]
        rows: list[list[str]] = [[""] * len(curves) for _ in range(STRETCHES)]
        for column, curve in enumerate(curves):
            means = [part.mean() for part in np.array_split(curve.values, min(STRETCHES, len(curve.values)))]
            for row, mean in zip(rows[-len(means) :], means, strict=True):
                row[column] = f"{mean:.4g}"
        plugin = registry.find("model", view.model).class_path.split(".")[0].replace("_", "-")
        path = ROOT / "plugins" / plugin / "tests" / "default_runs" / f"{view.model}.csv"
        path.parent.mkdir(exist_ok=True)
        head = f"# {view.about['commands'][0]}: {view.epochs} epochs; the means of {STRETCHES} stretches\n"
        lines = [
            ["epoch", "step", *(curve.column for curve in curves)],
            *([str(n)] * 2 + row for n, row in enumerate(rows)),
        ]
        path.write_text(head + "".join(",".join(line) + "\n" for line in lines))
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
