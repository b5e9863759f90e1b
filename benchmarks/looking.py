"""What it costs that a run can be looked at: pictures at every validation, and the report at the end.

    python benchmarks/looking.py [OPTIONS OF dlplug fit]

Times both within one run of the GAN's recipe, so that nothing else differs: with them the run took so many times as
long as it would have without.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

from dlplug.__main__ import main as dlplug
from dlplug.training import cli
from dlplug.training.callbacks import Showcase

TARGET = 1.05
spent = {"pictures": 0.0, "report": 0.0}


def timed(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[what] += time.perf_counter() - start

    return call


def main() -> None:
    Showcase.on_validation_end = timed("pictures", Showcase.on_validation_end)  # type: ignore[method-assign]
    cli.write_report = timed("report", cli.write_report)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        start = time.perf_counter()
        status = dlplug(["fit", "--model", "gan", *sys.argv[1:]])
        total = time.perf_counter() - start
    if status:
        sys.exit(status)
    without = total - sum(spent.values())
    print(f"{total:.1f} s, of which pictures {spent['pictures']:.2f} s and report {spent['report']:.2f} s: ", end="")
    print(f"{total / without:.3f} × the time without (target {TARGET})")


if __name__ == "__main__":
    main()
