"""``dlplug check``: whether a plugin keeps what it promises, and what to change where it does not."""

import os
import sys
import tomllib
from argparse import Namespace
from pathlib import Path
from unittest import SkipTest

from dlplug.commands.parser import Parser, print_wrapped
from dlplug.errors import InputError, did_you_mean
from dlplug.registry import Registry
from dlplug.testing import Check, checks_of


def configure(parser: Parser) -> None:
    """Add the arguments of ``dlplug check``."""
    parser.add_argument("name", help="as in `dlplug list`, a plugin, a distribution, or the folder of one")
    parser.add_argument("--data", metavar="NAME", default="", help="data to check a model with instead of its own")
    parser.add_argument("--only", metavar="CHECK", default="", help="this check alone, such as reloads")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the checks; the status is 1 if one fails."""
    name = options.name
    registry = Registry.discover()
    project = Path(name) / "pyproject.toml"
    if "." in options.data:  # of a file here, which commands that run elsewhere import too
        sys.path.append(os.getcwd())
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), os.getcwd())))
    checks = checks_of(_distribution(project) if project.exists() else name, registry, options.data)
    if options.only:
        names = {check.name for check in checks}
        if options.only not in names:
            raise InputError(f"no check of {name} is {options.only!r}; " + did_you_mean(options.only, names))
        checks = [check for check in checks if check.name == options.only]
    failed, shown = 0, None
    for check in checks:
        if check.spec is not shown:
            shown = check.spec
            print(f"{shown.kind} {shown.name}, {shown.target}")
        verdict, why = _verdict(check)
        failed += verdict == "FAILED"
        print_wrapped(f"  {verdict:7}  {check.name:10}  ", why or "-")
        sys.stdout.flush()
    held = f"{len(checks) - failed} of {len(checks)}" if failed else f"all {len(checks)}"
    print(f"{held} hold or do not apply")
    return int(bool(failed))


def _verdict(check: Check) -> tuple[str, str]:
    try:
        check()
    except AssertionError as error:
        return "FAILED", str(error)
    except SkipTest as reason:
        return "skipped", str(reason)
    return "ok", (check.run.__doc__ or "").partition("\n")[0].removeprefix("Check that ").rstrip(".")


def _distribution(project: Path) -> str:
    """Return the name in a pyproject.toml."""
    try:
        name: str = tomllib.loads(project.read_text())["project"]["name"]
    except (OSError, KeyError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{project} does not say a project's name") from error
    return name
