"""Executes labs, each in a kernel of its own, and keeps what came out in build/labs.

python labs/run.py [--unsolved] [NAME ...]

The solutions are put in. With ``--unsolved`` they are not, only exercises and their checks are run, and every check has
to fail.
"""

import argparse
import ast
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

LABS = Path(__file__).parent
CHECK = re.compile(r"^check\.(\w+)\(", re.MULTILINE)


def names() -> list[str]:
    """Return the labs' names, such as 3-vision."""
    return sorted(path.stem for path in LABS.glob("*.ipynb"))


def read(name: str) -> nbformat.NotebookNode:
    """Return a lab as it is given to students."""
    return nbformat.read(LABS / f"{name}.ipynb", as_version=4)


def solutions(name: str) -> dict[str, str]:
    """Return the solutions of a lab, source by exercise."""
    text = (LABS / "solutions" / f"{name.partition('-')[2]}.py").read_text(encoding="utf-8")
    parts = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return {node.name: ast.get_source_segment(text, node) or "" for node in parts}


def exercise(source: str) -> str | None:
    """Return the name of the exercise that a cell holds, if any."""
    found = re.search(r"^(?:def|class) (\w+)", source, re.MULTILINE)
    return found[1] if found and re.search(r"^ +raise NotImplementedError$", source, re.MULTILINE) else None


def execute(name: str, unsolved: bool) -> str:
    """Execute a lab and return what went wrong; empty where nothing did."""
    notebook, solved = read(name), solutions(name)
    started = time.perf_counter()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if unsolved:  # what comes between the checks would only take time
        kept = [cell for cell in code[1:] if exercise(cell.source) or CHECK.search(cell.source)]
        notebook.cells = code[:1] + kept
    else:
        for cell in code:
            cell.source = solved.get(exercise(cell.source) or "", cell.source)
    paths = [str(LABS), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # the kernel's
        client = NotebookClient(
            notebook,
            timeout=600,
            allow_errors=unsolved,
            resources={"metadata": {"path": folder}},
            kernel_name="python3",
        )
        wrong = ""
        try:
            client.execute()
        except CellExecutionError as error:
            wrong = f"{name}: {error}"
    built = LABS.parent / "build" / "labs"
    built.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, built / f"{name}{'-unsolved' if unsolved else ''}.ipynb")
    checks = [cell for cell in notebook.cells if CHECK.search(cell.source)]
    for cell in checks if unsolved else []:
        errors = [output.ename for output in cell.outputs if output.output_type == "error"]
        if errors != ["NotYet"]:
            wrong += f"{name}: unsolved, {cell.source} gives {errors or 'no error'}\n"
    if not wrong:
        print(f"{name}: {len(checks)} checks {'fail' if unsolved else 'pass'}, {time.perf_counter() - started:.0f} s")
    return wrong


def main() -> int:
    """Execute the labs asked for, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; all if none")
    parser.add_argument("--unsolved", action="store_true", help="without the solutions: every check has to fail")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names()):
        parser.error(f"there is no lab {', '.join(sorted(unknown))}: {', '.join(names())}")
    with ProcessPoolExecutor(2) as pool:
        wrong = [*filter(None, pool.map(partial(execute, unsolved=options.unsolved), options.names or names()))]
    print(*wrong, sep="\n", end="", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
