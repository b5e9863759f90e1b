"""Builds every distribution of this repository twice and keeps what came out the same: `make dist`.

A file that differs between the two builds, that `twine check` refuses, or that holds what no user needs ends it with
status 1.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
PROJECTS = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
# Time of the last commit, which is then that of the files in the archives.
TIME = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, text=True, capture_output=True, check=True).stdout
UNWANTED = (".ckpt", ".pyc", ".env")
LARGEST = 3_000_000  # bytes of a distribution: data sets belong into packages of their own


def main() -> int:
    """Build, compare, check and list."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as again:
        for target in (folder, Path(again)):
            for project in PROJECTS:
                line = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(project)]
                subprocess.run(
                    line, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": TIME}
                )
        files = sorted(folder.glob("*"))
        made = {file.name: digest(file) for file in Path(again).iterdir()}
        problems = [f"{f.name}: another build differs, or lacks it" for f in files if digest(f) != made.get(f.name)]
    for file in files:
        names = contents(file)
        problems += [f"{file.name}: holds {name}" for name in names if name.endswith(UNWANTED)]
        problems += [f"{file.name}: {file.stat().st_size:,} bytes"] if file.stat().st_size > LARGEST else []
        print(f"{digest(file)[:16]}  {file.stat().st_size:9,} bytes  {len(names):4} files  {file.name}")
    checked = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *map(str, files)])
    print(*problems, sep="\n")
    return int(bool(problems or checked.returncode))


def digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def contents(file: Path) -> list[str]:
    """Return the names in an archive."""
    if file.suffix == ".whl":
        return ZipFile(file).namelist()
    with tarfile.open(file) as archive:
        return archive.getnames()


if __name__ == "__main__":
    sys.exit(main())
