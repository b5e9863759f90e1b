"""Whatever the model, what a student's class learned is measured in the course's own."""

import pytest
import torch

from dlplug import ModelSpec
from dlplug.registry import Registry
from dlplug_classroom.exercise import class_of, source_of
from dlplug_classroom.lab import GradingLab
from dlplug_classroom.sandbox import Limits

REGISTRY = Registry.discover()
LESSONS = ("vision", "generative", "sequence", "rl", "multimodal")
MODELS = [s for p in REGISTRY.plugins if p.name in LESSONS for s in p.specs if isinstance(s, ModelSpec)]
NEEDS_RUNS = ("mixture",)  # of two other models
SHORT = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1")


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def trained_there_and_here(spec, folder):
    """Train a copy of a model's own source in its place, and the model itself."""
    kind = class_of(spec)
    file = folder / f"my_{spec.name.replace('-', '_')}.py"
    file.write_text(source_of(kind), encoding="utf-8")
    options = [f"--{k}={v}" for k, v in spec.check_options.items() if k.split(".")[0] in ("model", "data")]
    lab = GradingLab(REGISTRY, folder / "lab", [0], spec.name, file, kind.__name__, Limits())
    lab.folder.mkdir()
    try:
        graded = lab.fit(spec.name, *options, *SHORT, seed=1)
        own = super(GradingLab, lab).fit(spec.name, *options, *SHORT, seed=1)
        untrained = lab.model(spec.name, own.model.info, 1) if spec.name == "cnn" else None
        return kind, graded, own, untrained
    finally:
        lab.close()


def is_the_same(spec, folder):
    kind, graded, own, _ = trained_there_and_here(spec, folder)
    assert type(graded.model) is kind
    assert graded.run.path != own.run.path
    for name, value in weights(own.model).items():
        assert torch.equal(graded.model.state_dict()[name], value), name
    for name in ("best", "last"):
        assert (getattr(graded.run, name) is None) == (getattr(own.run, name) is None)


def test_a_copy_of_cnn_learns_there_what_cnn_learns_here(tmp_path):
    spec = REGISTRY.find("model", "cnn")
    kind, graded, own, untrained = trained_there_and_here(spec, tmp_path)
    assert type(graded.model) is type(untrained) is kind
    for name, value in weights(own.model).items():
        assert torch.equal(graded.model.state_dict()[name], value), name
    assert graded.history("val/loss") == pytest.approx(own.history("val/loss")[-1:], rel=0.5)
    assert not torch.equal(weights(untrained)["net.conv1.weight"], weights(own.model)["net.conv1.weight"])


@pytest.mark.filterwarnings("ignore:nothing is shown")  # which is not what this is about
@pytest.mark.slow("minutes, a process a model; cnn stays")
@pytest.mark.parametrize("spec", [s for s in MODELS if s.name not in NEEDS_RUNS], ids=lambda spec: spec.name)
def test_a_copy_of_any_model_learns_there_what_the_model_learns_here(spec, tmp_path):
    is_the_same(spec, tmp_path)
