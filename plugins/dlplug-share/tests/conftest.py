"""The plugin is found also where it is on the path alone."""

from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
from distributions import lay_out_project
from packaging.version import Version

from dlplug_share.export import OLDEST


@pytest.fixture(autouse=True)
def _plugin(tmp_path_factory, monkeypatch):
    if Version(version("torch")) < OLDEST:
        pytest.skip(f"exports need torch {OLDEST}")
    try:
        distribution("dlplug-share")
    except PackageNotFoundError:
        folder = tmp_path_factory.mktemp("plugin")
        lay_out_project(folder, Path(__file__).parents[1])
        monkeypatch.syspath_prepend(folder)
