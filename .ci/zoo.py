"""Builds the zoo: trained weights as a wheel a lecture, of the runs that are named: `make zoo RUNS="RUN RUN …"`.

The runs are trained before, by the default recipes, and tested. What is too large together ends it with status 1.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from dlplug import load
from dlplug.api import TrainedRun
from dlplug_share.facts import spec_of
from dlplug_share.pack import name_of, write

LARGEST = 25_000_000  # bytes of all wheels together


def main() -> int:
    """Pack the runs by lecture, build the wheels and list them."""
    folder, *runs = sys.argv[1:]
    lectures: dict[str, dict[str, TrainedRun]] = {}
    for trained in map(load, runs):
        spec = spec_of("model", trained.model)
        lecture = spec.lecture.partition(".")[0] if spec else ""
        lectures.setdefault(f"zoo-{lecture or 'other'}", {})[name_of(trained)] = trained
    with tempfile.TemporaryDirectory() as made:
        for name, group in lectures.items():
            write(Path(made, name), name, group)
        line = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        line += ["--no-build-isolation", "--wheel-dir", folder]
        subprocess.run([*line, *(str(Path(made, name)) for name in lectures)], check=True)
    wheels = sorted(Path(folder).glob("dlplug_zoo_*.whl"))
    for wheel in wheels:
        print(f"{wheel.stat().st_size:9,} bytes  {wheel.name}")
    return int(sum(wheel.stat().st_size for wheel in wheels) > LARGEST)


if __name__ == "__main__":
    sys.exit(main())
