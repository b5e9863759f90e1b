"""Where plugins come from, and what is run of them by a command that only looks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from distributions import lay_out

from dlplug.errors import InputError
from dlplug.registry import Plugin, Registry
from dlplug.registry.installed import Distribution
from dlplug.registry.provenance import HEAD, recorded_versions, source_of, version_drift, versions_to_record
from dlplug.trained import read_checkpoint

URL = "https://example.org/odd"


def plugin_from(folder: Path, direct_url: object) -> Plugin:
    lay_out(folder, "odd", "1.2", "odd = odd")
    info = folder / "odd-1.2.dist-info"
    if direct_url is not None:
        (info / "direct_url.json").write_text(direct_url if isinstance(direct_url, str) else json.dumps(direct_url))
    return Plugin("odd", "odd 1.2", dist=Distribution(str(info)))


@pytest.mark.parametrize(
    ("direct_url", "source", "install"),
    [
        (None, "a package index", "odd==1.2"),
        ("{not JSON", "a package index", "odd==1.2"),
        ("[]", "a package index", "odd==1.2"),
        ({"url": 5, "vcs_info": "git"}, "a package index", "odd==1.2"),
        ({"url": f"https://me:secret@{URL[8:]}"}, URL, f"'odd @ {URL}'"),
        ({"url": "file:///a%20b", "dir_info": {"editable": True}}, "/a b (editable)", "-e '/a b'"),
        ({"url": "file:///a", "dir_info": {}}, "/a", "/a"),
        ({"url": "file:///a/odd-1.2.whl", "archive_info": {}}, "/a/odd-1.2.whl", "/a/odd-1.2.whl"),
        ({"url": f"{URL}.whl", "archive_info": {}}, f"{URL}.whl", f"'odd @ {URL}.whl'"),
        (
            {"url": URL, "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "main"}},
            f"git+{URL}@abc",
            f"'odd @ git+{URL}@abc'",
        ),
    ],
)
def test_source_and_the_way_back(tmp_path: Path, direct_url: object, source: str, install: str) -> None:
    assert source_of(plugin_from(tmp_path, direct_url)) == (source, f"pip install {install}")


def test_versions_travel_in_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLPLUG_ONLY", "generative")  # others may hook into every run
    registry = Registry.discover()
    registry.plugins.append(Plugin("hooking", "gone 2.0", hooks=("dlplug_callbacks",)))
    recorded = versions_to_record("model: {class_path: dlplug_generative.gan.GAN}", registry)
    assert [line.partition(" ")[0] for line in recorded] == ["dlplug", "dlplug-generative", "gone"]
    config = tmp_path / "config.yaml"
    config.write_text("".join(f"{HEAD}{line}\n" for line in recorded) + "model: gan\n")
    assert recorded_versions(config) == recorded
    assert version_drift(config, recorded) == (
        f"{config} was made with gone 2.0, which is not installed; back with: pip install gone==2.0"
    )
    assert version_drift(config, ["pytest 0.1 (pip install pytest==0.1)", "not one"]).startswith(
        f"{config} was made with pytest 0.1, but {pytest.__version__} is installed; back with: pip install"
    )


def test_what_is_recorded_names_no_folder(tmp_path: Path) -> None:
    registry = Registry.discover()
    plugin = plugin_from(tmp_path, {"url": "file:///home/me/odd", "dir_info": {"editable": True}})
    registry.plugins = [Plugin("odd", "odd 1.2", hooks=("dlplug_callbacks",), dist=plugin.dist)]
    assert versions_to_record("", registry) == ["odd 1.2 (from a local folder)"]


def test_commands_that_look_run_no_model(tmp_path: Path) -> None:
    """Its source is read; what stands in it stays undone."""
    lay_out(tmp_path, "odd", "1.2", "odd = odd_plugin")
    (tmp_path / "odd_plugin.py").write_text(
        "from dlplug import DataSpec, ModelSpec, hookimpl\n"
        "@hookimpl\n"
        "def dlplug_specs():\n"
        "    return [ModelSpec('odd', 'odd_model.net:Odd', 'Odd.', data='odds'),\n"
        "            DataSpec('odds', 'odd_model.net:Odds', 'Odds.')]\n"
    )
    (tmp_path / "odd_model").mkdir()
    for name in ("__init__", "net"):
        (tmp_path / "odd_model" / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'w')\n"
            "class Odd:\n    '''Odd.'''\n    def __init__(self, width: int = 1): pass\nclass Odds(Odd): pass\n"
        )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}

    def dlplug(line: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "dlplug", *line.split()]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    lines = ["list", "list --json", "info odd", "info odds", "plugins", "fit --model odd --help", "fit --help"]
    for line in [*lines, "new another"]:
        result = dlplug(line)
        assert (result.returncode, result.stderr) == (0, ""), line
        assert "odd" in result.stdout or line == "new another"
    assert "did you mean 'width'" in dlplug("fit --model odd --model.widht 3").stderr
    assert not (tmp_path / "ran").exists()


class Evil:
    def __init__(self, function: object, *args: object) -> None:
        self.reduced = function, args

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.reduced  # type: ignore[return-value]


@pytest.mark.parametrize("function", [os.system, eval, open, print, Path], ids=lambda function: function.__name__)
def test_checkpoint_that_holds_code_is_refused(tmp_path: Path, function: object) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "x": Evil(function, str(tmp_path / "ran"))}, path)
    with pytest.raises(InputError, match=r"evil\.ckpt holds code, which is never run"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore")  # scripting itself is on its way out
def test_scripted_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scripted.ckpt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)
    with pytest.raises(InputError, match="holds code, which is never run"):
        read_checkpoint(path)
