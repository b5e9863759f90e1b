"""A model to search, and the plugin, which is found also where it is on the path alone."""

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from distributions import lay_out_project

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _plugin(tmp_path_factory, monkeypatch):
    pytest.importorskip("optuna", reason="what the distribution requires")
    try:
        distribution("dlplug-tune")
    except PackageNotFoundError:
        folder = tmp_path_factory.mktemp("plugin")
        lay_out_project(folder, HERE.parent)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the model in it, to work in."""
    shutil.copy(HERE / "bowl.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path
