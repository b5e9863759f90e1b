"""All our own plugins pass what `dlplug check` asks of strangers' ones."""

import pytest

from dlplug.registry import Registry
from dlplug.testing import Check, checks_of

pytestmark = pytest.mark.slow

CHECKS = [check for plugin in Registry.discover().plugins if plugin.specs for check in checks_of(plugin.name)]


# A claim's control is a training of minutes: `dlplug verify` runs those.
@pytest.mark.parametrize("check", [check for check in CHECKS if check.name != "control"], ids=str)
def test_conforms(check: Check) -> None:
    check()
