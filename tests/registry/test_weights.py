"""Installed weights stand where a run folder does."""

import json
import os
import re

import pytest
import torch
from distributions import lay_out

from dlplug import InputError
from dlplug.__main__ import main
from dlplug.runs import Run, digest_of
from dlplug.testing import checks_of
from dlplug.trained import flatten, load_trained, read_weights, unflatten

PLUGIN = """
from dlplug import WeightsSpec, hookimpl

@hookimpl
def dlplug_specs():
    return [WeightsSpec("small", "packed:small", "A small one.", model="cnn", digest={digest!r})]
"""
ABOUT = {"model": {"name": "cnn", "class_path": "dlplug_vision.models.cnn.CNN"}, "data": {"name": "digits"}}


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """Install a package of weights; returns its folder of them."""
    torch_file = pytest.importorskip("safetensors.torch", reason="what packages of weights require")
    site = tmp_path / "site"
    folder = site / "packed" / "small"
    (folder / "checkpoints").mkdir(parents=True)
    tensors = {}
    checkpoint = {"state_dict": {"net.weight": torch.tensor([1.5, 2.5])}, "pytorch-lightning_version": "2.6.0"}
    text = json.dumps(flatten(checkpoint, tensors, dtype=torch.float16))
    file = folder / "checkpoints" / "best.safetensors"
    torch_file.save_file(tensors, file, {"dlplug_checkpoint": text})
    (folder / "config.yaml").write_text("model:\n  class_path: dlplug_vision.models.cnn.CNN\n  init_args: {}\n")
    (folder / "about.json").write_text(json.dumps({**ABOUT, "digest": digest_of(file)}))
    (folder / "README.md").write_text("# small")
    os.utime(folder / "config.yaml", (0, 0))  # as installers leave what is in a wheel
    (site / "packed" / "plugin.py").write_text(PLUGIN.format(digest=digest_of(file)))
    lay_out(site, "dlplug-small", "1.0", "small = packed.plugin")
    monkeypatch.syspath_prepend(site)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


def test_a_name_is_a_run_folder_made_when_it_is_asked_for(packed, tmp_path):
    run = Run.open("small")
    assert str(run.path) == f"runs/cnn/small-{digest_of(packed / 'checkpoints/best.safetensors')[:8]}"
    (run.path / "mine").touch()
    assert Run.open("small").path == Run.open("small:small").path == Run.open("smal").path == run.path
    assert (run.path / "mine").exists()
    Run.create(tmp_path / "work" / "runs" / "cnn", "", {}, "newer")
    assert Run.open("last").path.name == "newer"
    Run.create(tmp_path / "work" / "runs" / "cnn", "", {}, "small")
    assert Run.open("small").path.name == "small"  # of this folder, rather than of the environment
    (tmp_path / "work" / "small").mkdir()
    with pytest.raises(InputError, match="small is not a run folder: it holds no config.yaml"):
        Run.open("small")


def test_halved_weights_are_read_in_single_precision(packed):
    [value] = read_weights("small").values()
    assert value.dtype == torch.float32
    assert value.tolist() == [1.5, 2.5]


@pytest.mark.parametrize("where", ["package", "copy"])
def test_damage_is_one_line(packed, where, capsys):
    copy = Run.open("small").path if where == "copy" else packed
    file = copy / "checkpoints" / "best.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    for line in (("validate", "small"), ("test", "small")):
        assert main([*line]) == 2
        said = capsys.readouterr().err
        assert "damaged" in said
        assert len(said.splitlines()) == 1
    with pytest.raises(InputError, match="damaged"):
        load_trained("small")


def test_weights_are_listed_and_checked_and_not_resumed(packed, capsys):
    assert main(["list", "small"]) == 0
    assert re.search(r"weights +small +A small one\.", capsys.readouterr().out)
    assert main(["info", "small"]) == 0
    assert "card: " in capsys.readouterr().out
    assert main(["completion", "fish", "generate", "sm"]) == 0
    assert capsys.readouterr().out == "small\tA small one.\n"
    assert main(["fit", "small"]) == 2
    assert "--model.init_from small starts another run from them" in capsys.readouterr().err
    for check in checks_of("small"):
        check()
    (packed / "README.md").unlink()
    with pytest.raises(AssertionError, match="lacks README.md"):
        checks_of("small")[1]()


def test_a_package_of_a_newer_version_says_what_to_install(packed):
    [info] = packed.parents[1].glob("*.dist-info")
    (info / "METADATA").write_text("Name: dlplug-small\nVersion: 1.0\nRequires-Dist: dlplug>=9\n")
    with pytest.raises(InputError, match=r"requires dlplug>=9, but dlplug is .*; pip install 'dlplug>=9'$"):
        Run.open("small")


def test_plain_data_with_tensors_is_json_and_back():
    value = {"a": (1, [None, True, float("inf")]), 3: {"b": torch.arange(3)}, "c": torch.rand(2)}
    tensors = {}
    back = unflatten(json.loads(json.dumps(flatten(value, tensors))), tensors)
    assert back["a"] == value["a"]
    assert back[3]["b"].tolist() == [0, 1, 2]
    assert torch.equal(back["c"], value["c"])
    with pytest.raises(InputError, match=r"checkpoint.a is a object, which is neither"):
        flatten({"a": object()}, {})
