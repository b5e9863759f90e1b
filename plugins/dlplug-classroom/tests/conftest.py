"""The plugin is found also where it is on the path alone."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from distributions import lay_out_project


@pytest.fixture(autouse=True)
def _plugin(tmp_path_factory, monkeypatch):
    try:
        distribution("dlplug-classroom")
    except PackageNotFoundError:
        folder = tmp_path_factory.mktemp("plugin")
        lay_out_project(folder, Path(__file__).parents[1])
        monkeypatch.syspath_prepend(folder)
