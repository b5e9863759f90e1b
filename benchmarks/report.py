"""How long the report of a large run takes, and how large it is.

    python benchmarks/report.py [--panels 200] [--rows 100000]

Each panel draws a metric that is logged in every row while training, and in every hundredth row in validation; ten
media have a hundred pictures each.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from dlplug.__main__ import main as dlplug

TARGETS = (10, 20)  # seconds, MB
BLOCK = 1000


def make_run(run: Path, panels: int, rows: int) -> None:
    run.mkdir()
    (run / "config.yaml").write_text("trainer:\n  max_epochs: 100\n")
    plain = [
        {"section": f"Section {n // 20}", "title": f"Metric {n}", "note": "Healthy: noise.", "curves": [f"m{n}"]}
        for n in range(panels)
    ]
    (run / "about.json").write_text(json.dumps({"panels": plain}))
    stages = [",".join(f"{stage}/m{n}" for n in range(panels)) for stage in ("train", "val")]
    numbers = [",".join(repr(random.random()) for _ in range(panels)) for _ in range(BLOCK)]
    nothing = "," * (panels - 1)
    with open(run / "metrics.csv", "w") as file:
        file.write(f"epoch,step,{','.join(stages)}\n")
        for step in range(rows):
            val = numbers[step % BLOCK - 1] if step % 100 == 99 else nothing
            file.write(f"{step // 1000},{step},{numbers[step % BLOCK]},{val}\n")
    for key in range(10):
        folder = run / "media" / f"pictures {key}"
        folder.mkdir(parents=True)
        for step in range(100):
            Image.frombytes("L", (200, 200), os.urandom(200 * 200)).save(folder / f"{step:08d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description="How long the report of a large run takes, and how large it is.")
    parser.add_argument("--panels", type=int, default=200)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        make_run(run, options.panels, options.rows)
        size = (run / "metrics.csv").stat().st_size / 1e6
        start, before = time.perf_counter(), sum(os.times()[:4])
        if dlplug(["report", str(run)]):
            sys.exit("no report")
        took, used = time.perf_counter() - start, sum(os.times()[:4]) - before
        page = (run / "report.html").stat().st_size / 1e6
    print(f"{options.panels} panels, {options.rows:,} rows, metrics.csv {size:.0f} MB")
    print(f"{took:.1f} s ({used:.1f} s of {os.cpu_count()} cores), target {TARGETS[0]} s")
    print(f"{page:.1f} MB, target {TARGETS[1]} MB")


if __name__ == "__main__":
    main()
