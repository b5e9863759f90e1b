"""How long the commands that do not train take, with our own plugins alone and with 100 more.

    python benchmarks/startup.py [--rounds N]

Rounds are interleaved, so that whatever else the machine does falls on every row alike.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MORE = 100
# Seconds, without and with the 100, on a machine where `python -c pass` takes PASS.
TARGETS = (0.15, 0.25)
PASS = 0.02
COMMANDS = (
    "--help",
    "--version",
    "list",
    "info gan",
    "plugins",
    "fit --model gan --help",
    "completion fish fit --model gan --",
    "fit --model gna",
    "fit --model gan --data.nope 1",
)
README = "## A heading\n\nA paragraph of a README as long as those that packages have, with `code` and words.\n\n" * 80
PLUGIN = """
from dlplug import DataSpec, ModelSpec, hookimpl


@hookimpl
def dlplug_specs():
    return [
        ModelSpec(
            "model-{n}", "bench_{n}.model:Net", "A network.", takes="images", data="data-{n}",
            recipe={{"trainer.max_epochs": 3}},
        ),
        DataSpec("data-{n}", "bench_{n}.data:Data", "Its pictures.", gives="images"),
    ]
"""


def install(site_packages: Path) -> None:
    """Lay out what an installer writes: a package and a dist-info folder for each plugin."""
    for n in range(MORE):
        package, info = site_packages / f"bench_{n}", site_packages / f"bench_{n}-1.0.dist-info"
        package.mkdir()
        info.mkdir()
        (package / "__init__.py").write_text("")
        (package / "plugin.py").write_text(PLUGIN.format(n=n))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: bench-{n}\nVersion: 1.0\nSummary: One of many.\nLicense-Expression: MIT\n"
            "Requires-Python: >=3.11\nRequires-Dist: dlplug\nRequires-Dist: torch>=2.4\n"
            f"Description-Content-Type: text/markdown\n\n{README}"
        )
        (info / "entry_points.txt").write_text(f"[dlplug]\nbench-{n} = bench_{n}.plugin\n")
        (info / "RECORD").write_text(
            "".join(f"{path.relative_to(site_packages)},,\n" for path in [*package.iterdir(), *info.iterdir()])
        )


def seconds(arguments: list[str], path: str) -> float:
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # whoever installs has bytecode
    start = time.perf_counter()
    result = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True)
    took = time.perf_counter() - start
    if result.returncode not in (0, 2):
        sys.exit(f"{arguments} failed:\n{result.stderr.decode()}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description="How long the commands that do not train take.")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    lines = {"python -c pass": ["-c", "pass"], **{f"dlplug {c}": ["-m", "dlplug", *c.split()] for c in COMMANDS}}
    with tempfile.TemporaryDirectory() as many:
        install(Path(many))
        cases = [(line, path) for line in lines for path in ("", many)]
        times: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
        for n in range(rounds + 1):
            for line, path in cases:
                took = seconds(lines[line], path)
                if n:  # the first round compiles the plugins and fills the disk's cache
                    times[line, path].append(took)
        medians = {case: statistics.median(times[case]) for case in cases}
        empty = medians["python -c pass", ""]
        print(f"median (least-most) seconds of {rounds} rounds, and as multiples of `python -c pass`\n")
        print(f"{'':37}{'our plugins':33}and {MORE} more")
        for line in lines:
            print(f"{line:37}", end="")
            for path in ("", many):
                figures = times[line, path]
                ratio = medians[line, path] / empty
                print(f"{medians[line, path]:.3f} ({min(figures):.3f}-{max(figures):.3f}) {ratio:5.1f}x     ", end="")
            print()
        print(f"{f'target where `pass` takes {PASS}':37}", end="")
        print("".join(f"{target:.3f} {'':13} {target / PASS:5.1f}x     " for target in TARGETS))


if __name__ == "__main__":
    main()
