"""Prints pip constraints for the oldest of everything that the core and its plugins say they work with.

python .ci/oldest.py > constraints.txt
"""

import re
import tomllib
from pathlib import Path

BOUND = re.compile(r"([\w.-]+)(?:\[[^]]*\])?(?:>=|==)([\w.]+)")


def constraints(root: Path) -> dict[str, str]:
    """Return the lower bound of each dependency by name, the highest where several files give one."""
    found: dict[str, str] = {}
    for file in [root / "pyproject.toml", *sorted(root.glob("plugins/*/pyproject.toml"))]:
        project = tomllib.loads(file.read_text())["project"]
        extras = project.get("optional-dependencies", {}).values()
        for requirement in [*project["dependencies"], *(line for extra in extras for line in extra)]:
            match = BOUND.match(requirement.replace(" ", ""))
            if match and not match[1].startswith("dlplug"):
                found[match[1]] = max(found.get(match[1], "0"), match[2], key=_release)
    return found


def _release(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


if __name__ == "__main__":
    for name, version in sorted(constraints(Path(__file__).parents[1]).items()):
        print(f"{name}=={version}")
