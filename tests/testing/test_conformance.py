"""All our own plugins pass what `dlplug check` asks of strangers' ones."""

from pathlib import Path
from typing import Any

import pytest

from dlplug.registry import Registry
from dlplug.testing import Check, checks_of
from dlplug.testing.commands import run_apart

CHECKS = [check for plugin in Registry.discover().plugins if plugin.specs for check in checks_of(plugin.name)]
TRAINED_AGAIN = ("updates", "sizes", "reloads", "repeats", "bf16", "compiles", "processes", "space")  # or made twice
IMPORTS = ("processes", "compiles")  # torch once more, or its compiler: 6 s of processor time each
BY_DAY = ("cnn", "gan", "transformer", "dqn", "captioner", "install")
SLOW = pytest.mark.slow("minutes for all models; by day one of each plugin is trained again, each is trained once")


def at_its_time(check: Check) -> Any:
    """By day the lectures' own tests train on two processes where it matters, and test_check_command.py compiles."""
    by_day = check.name not in TRAINED_AGAIN or (check.spec.name in BY_DAY and check.name not in IMPORTS)
    by_day &= check.spec.kind != "command" or check.spec.name in BY_DAY
    by_day &= check.spec.kind != "claim" or check.name != "target"
    return check if by_day else pytest.param(check, marks=SLOW)


# A claim's control is a training of minutes: `dlplug verify` runs those.
@pytest.mark.parametrize("check", [at_its_time(c) for c in CHECKS if c.name != "control"], ids=str)
def test_conforms(check: Check) -> None:
    check()


def test_functions_of_claims_are_there(tmp_path: Path) -> None:
    """All in one process by day; at night each is loaded alone."""

    def load() -> int:
        for check in CHECKS:
            if check.spec.kind == "claim" and check.name == "target":
                check.run.__self__.load()  # type: ignore[attr-defined]
        return 0

    assert run_apart(load, tmp_path) == (0, "", "")
