"""All our own plugins pass what `dlplug check` asks of strangers' ones."""

import pytest

from dlplug.registry import Registry
from dlplug.testing import Check, checks_of

CHECKS = [check for plugin in Registry.discover().plugins if plugin.specs for check in checks_of(plugin.name)]


# A claim's control is a training of minutes, and two processes for each model take minutes together: `dlplug verify`
# and `dlplug check PLUGIN` run those, and the lectures' own tests train on two processes where it matters.
@pytest.mark.parametrize("check", [c for c in CHECKS if c.name not in ("control", "processes")], ids=str)
def test_conforms(check: Check) -> None:
    check()
