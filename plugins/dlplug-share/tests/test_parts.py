"""The README's table of what is exported, held against what happens."""

import re
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule

from dlplug.errors import InputError
from dlplug.registry import Registry
from dlplug.registry.source import load_class
from dlplug_share import formats
from dlplug_share.parts import parts_of

PLUGINS = ("vision", "generative", "sequence", "rl", "multimodal")
README = Path(__file__).parents[1] / "README.md"


def built(name, **more):
    """Return an untrained model, small as `dlplug check` has it, and its data."""
    registry = Registry.discover()
    spec = registry.find("model", name)
    source = registry.find("data", spec.data)
    given = {**spec.recipe_for(spec.data), **source.check_options, **spec.check_options, **more}
    options = {kind: {} for kind in ("model", "data")}
    for option, value in given.items():
        kind, _, key = option.partition(".")
        if kind in options:
            options[kind][key] = value
    data = load_class(source.class_path, object)(**options["data"])
    data.setup("test")
    torch.manual_seed(0)
    model = load_class(spec.class_path, object)(**options["model"])
    model._build(data.info)
    return model.eval(), data


ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in README.read_text().partition("| models |")[2].partition("\n\n")[0].splitlines()[2:]
]
TABLE = {}
for names, part, inputs, outputs in ROWS:
    for name in re.findall(r"`([a-z0-9-]+)`", names):
        TABLE.setdefault(name, {})[part] = (inputs, outputs)
REFUSED = [name for name, parts in TABLE.items() if any(part.startswith("none") for part in parts)]
QUICK = ("cnn", "rnn-classifier", "rnn-lm", "vae", "dqn")


def said(part, outputs):
    """Return a part's inputs and outputs as the table has them."""
    axes = {name: [axis for axis in part.axes[name].values() if axis != "batch"] for name in part.inputs}
    inputs = [f"{name} ({', '.join(named)})" if named else name for name, named in axes.items()]
    return ", ".join(inputs), ", ".join(outputs)


def check(name, kind):
    parts = parts_of(*built(name))
    exported = formats.export(parts, kind)  # which compares, at two sizes
    assert {part.name: said(part, exported[part.name].facts["outputs"]) for part in parts} == TABLE[name]


def test_the_table_has_all_models_of_the_notes():
    plugins = [plugin for plugin in Registry.discover().plugins if plugin.name in PLUGINS]
    assert sorted(TABLE) == sorted(spec.name for plugin in plugins for spec in plugin.specs if spec.kind == "model")


@pytest.mark.parametrize("name", QUICK)
def test_parts_are_exported_as_the_table_says(name):
    check(name, "pt2")


@pytest.mark.slow("a model each, in both formats: three minutes")
@pytest.mark.parametrize("kind", ["onnx", "pt2"])
@pytest.mark.parametrize("name", sorted(set(TABLE) - set(REFUSED)))
def test_all_parts_are_exported_as_the_table_says(name, kind):
    for needed in ("onnx", "onnxscript", "onnxruntime") if kind == "onnx" else ():
        pytest.importorskip(needed, reason="the extra onnx")
    check(name, kind)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_says_why_in_a_line(name):
    spec = Registry.discover().find("model", name)
    with pytest.raises(InputError, match=rf"^{name} has no network .*export") as refusal:
        load_class(spec.class_path, object).export_parts(None, None)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "options", [{"cell": "lstm", "num_layers": 2, "pool": "last"}, {"cell": "irnn", "pool": "mean"}]
)
def test_without_packing_a_text_is_read_to_its_own_end(options):
    parts = parts_of(*built("rnn-classifier", **{f"model.{name}": value for name, value in options.items()}))
    assert (parts[0].inputs["tokens"] == 0).any()
    formats.export(parts, "pt2")


def test_other_options_give_other_tensors():
    parts = parts_of(*built("seq2seq", **{"model.attention": "none", "model.cell": "lstm"}))
    exported = formats.export(parts, "pt2")
    assert exported["encoder"].facts["outputs"] == ["state_0", "state_1"]


class Pairs(LightningDataModule):
    def test_dataloader(self):
        return [(torch.ones(3, 2), ["a", "b", "c"])]


class Takes(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x)


class TakesNames(Takes):
    def forward(self, x, names):
        return self.layer(x)


class Looks(Takes):
    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else x


def test_a_plain_model_is_exported_by_its_forward():
    [part] = parts_of(Takes().eval(), Pairs())
    assert said(part, formats.export([part], "pt2")["network"].facts["outputs"]) == ("x", "output")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (TakesNames, "TakesNames.forward takes x, names, and its batches begin with something else"),
        (LightningModule, "LightningModule has neither a method export_parts nor a forward"),
        (Looks, "the part network cannot be exported to pt2: "),
    ],
)
def test_a_model_that_cannot_be_exported_says_why(model, why):
    with pytest.raises(InputError, match=f"^{re.escape(why)}") as refusal:
        formats.export(parts_of(model().eval(), Pairs()), "pt2")
    assert "\n" not in str(refusal.value)
