"""Checks for the tests of plugins, third parties' too; `dlplug check` runs the same. Importing this is torch-free.

In a test file of a plugin, each check a test of its own::

    import pytest
    from dlplug.testing import Check, checks_of

    @pytest.mark.parametrize("check", checks_of("sketch"), ids=str)
    def test_conforms(check: Check) -> None:
        check()
"""

from dlplug.testing.checks import Check, checks_of
from dlplug.testing.commands import run_command
from dlplug.testing.panels import check_panels

__all__ = ["Check", "check_panels", "checks_of", "run_command"]
