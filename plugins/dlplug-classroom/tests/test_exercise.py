"""What a student is given: the source without the marked bodies, or with a fault."""

import importlib.util
import re
import sys

import pytest

from dlplug import ModelSpec, MutantSpec
from dlplug.registry import Registry
from dlplug.testing import checks_of
from dlplug_classroom.exercise import class_of, find_bodies, planted, read_source, source_of, strip

REGISTRY = Registry.discover()
LESSONS = ("vision", "generative", "sequence", "rl", "multimodal")
MODELS = [s for p in REGISTRY.plugins if p.name in LESSONS for s in p.specs if isinstance(s, ModelSpec)]
LOSSES = re.compile(
    r"loss|nats|nll|likelihood|_step|divergence|targets|_update|pretrain|learn|_weights|validation_epoch_end"
)


def load(text, folder, name):
    """Import a text as a module."""
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_a_models_bodies_and_what_is_left_are_its_source(spec, tmp_path, monkeypatch):
    kind = class_of(spec)
    full, source = source_of(kind), read_source(kind)
    bodies = find_bodies(full)
    assert len({body.name for body in bodies}) >= 2
    assert any(LOSSES.search(body.name) for body in bodies)
    lines = full.splitlines(keepends=True)
    filled = strip(full)
    for body in bodies:
        gap = f'{body.indent}raise NotImplementedError("{body.name}")\n'
        assert filled.count(gap) >= 1
        filled = filled.replace(gap, "".join(lines[body.first : body.last]), 1)
    assert filled == full
    rest = iter(lines)
    assert all(line in rest for line in source.splitlines(keepends=True))  # what it inherits is added, nothing else
    if len(full) == len(source):
        assert full == source

    module = load(strip(full), tmp_path, "stripped")  # it can be imported, and has the same options
    monkeypatch.delitem(sys.modules, "stripped")
    assert getattr(module, kind.__name__).__init__.__annotations__ == kind.__init__.__annotations__


def check_training(name, file, monkeypatch):
    """Run the check that trains two batches with the class of a file in the place of a model."""
    kind = class_of(REGISTRY.find("model", name)).__name__
    monkeypatch.setenv("DLPLUG_WITH", f"{name}={file.stem}.{kind}")
    monkeypatch.setenv("PYTHONPATH", str(file.parent))
    monkeypatch.syspath_prepend(file.parent)
    [check] = [check for check in checks_of(name, Registry.discover()) if check.name == "trains"]
    check()


def fails_until_it_is_filled_in(name, folder, monkeypatch):
    full = source_of(class_of(REGISTRY.find("model", name)))
    file = folder / f"my_{name.replace('-', '_')}.py"
    file.write_text(strip(full), encoding="utf-8")
    with pytest.raises(AssertionError, match="|".join(body.name for body in find_bodies(full))):
        check_training(name, file, monkeypatch)
    whole = file.with_name(f"{file.stem}_whole.py")
    whole.write_text(full, encoding="utf-8")
    check_training(name, whole, monkeypatch)


@pytest.mark.parametrize("name", ["cnn", "transformer-lm"])
def test_the_check_fails_until_it_is_filled_in(name, tmp_path, monkeypatch):
    fails_until_it_is_filled_in(name, tmp_path, monkeypatch)


@pytest.mark.slow("a minute; two models stay")
@pytest.mark.parametrize("name", [spec.name for spec in MODELS if spec.data])
def test_every_models_check_fails_until_it_is_filled_in(name, tmp_path, monkeypatch):
    fails_until_it_is_filled_in(name, tmp_path, monkeypatch)


def test_faults_of_models_can_be_planted_in_their_files():
    faults = [spec for spec in REGISTRY if isinstance(spec, MutantSpec)]
    found = 0
    for spec in MODELS:
        source = read_source(class_of(spec))
        own = [
            f for f in faults if spec.name in f.models and f.target.partition(":")[0] == spec.target.partition(":")[0]
        ]
        for number, fault in enumerate(own, start=1):
            text, _ = planted(REGISTRY, spec, number)
            compile(text, spec.name, "exec")
            assert text.replace(fault.new, fault.old, 1) == source or fault.new in source
            found += 1
    assert found >= 15
