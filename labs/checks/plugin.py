"""Checks of the lab that goes from nothing to a plugin."""

import tomllib
from types import SimpleNamespace

import torch
from torch.nn.functional import cross_entropy

from checks import check, equal, expect, learns
from dlplug import ModelSpec
from dlplug.data import ImageInfo
from dlplug.media import Image


@check
def build_network(answer):
    """Build networks for several kinds of data."""
    for info in (ImageInfo(1, 8, 8, 10), ImageInfo(3, 12, 20, 4)):
        network = answer(info, 32)
        expect(isinstance(network, torch.nn.Module), f"give a torch.nn.Module, not {type(network).__name__}")
        images = torch.rand(5, info.channels, info.height, info.width)
        try:
            logits = network(images)
        except RuntimeError as error:
            expect(False, f"{info} do not go through: {error}. Take all sizes from info, and flatten first")
        expect(
            logits.shape == (5, info.classes),
            f"5 images of {info.classes} classes give shape {tuple(logits.shape)}: it should be (5, {info.classes})",
        )
        widths = {layer.out_features for layer in network.modules() if isinstance(layer, torch.nn.Linear)}
        expect(32 in widths, "the hidden layer should have as many units as `hidden_size` says")
        small = network(images / 100) * 100 - network(images * 0) * 99
        expect(
            not torch.allclose(small, network(images), atol=1e-4),
            "this is a linear function of the image: put a ReLU between the layers",
        )
    return "its sizes come from the data's description, so it fits all images with classes."


@check
def training_step(answer):
    """Take a step of a stand-in, and look at what was recorded."""
    recorded = {}
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    model = SimpleNamespace(net=net, record=recorded.update)
    images, labels = torch.rand(6, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1, 2])
    loss = answer(model, (images, labels), 0)
    expect(loss is not None, "it returns None: return the loss, which Lightning takes the gradient of")
    learns(loss)
    logits = net(images)
    known = {"the softmax is taken twice: cross_entropy takes logits": cross_entropy(logits.softmax(1), labels)}
    equal(loss, cross_entropy(logits, labels), "the loss of six images", "It is cross_entropy(logits, labels).", known)
    missing = {"loss", "accuracy"} - set(recorded)
    expect(not missing, f"{' and '.join(sorted(missing))} not recorded: self.record(loss=…, accuracy=…)")
    share = (logits.argmax(1) == labels).float().mean()
    equal(recorded["accuracy"], share, "the accuracy", "It is the share of images whose largest logit is the label's.")
    return "Lightning calls it for each batch; `record` logs train/loss, val/loss or test/loss."


@check
def showcase(answer):
    """Ask a stand-in what it shows."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))
    model = SimpleNamespace(net=net, shape=(3, 2, 2))
    shown = answer(model, (torch.rand(6, 3, 2, 2), torch.arange(6)))
    expect(isinstance(shown, dict) and "weights" in shown, 'give a dict with the picture under "weights"')
    picture = shown["weights"]
    expect(isinstance(picture, Image), f"give a dlplug.media.Image, not {type(picture).__name__}")
    pixels = torch.as_tensor(picture.pixels).detach()
    expect(
        pixels.shape == (7, 1, 2, 2),
        f"seven units' weights have shape {tuple(pixels.shape)}: it should be (7, 1, 2, 2)",
    )
    wanted = net[1].weight.detach().view(7, 3, 2, 2)[:, :1]
    equal(
        pixels, wanted, "the pictures", "A row of weights, viewed as self.shape, is an image; show its first channel."
    )
    size = float(wanted.abs().max())
    around = "weights are around 0: low=-size, high=size with the largest size of one makes 0 grey"
    expect(abs(picture.low + picture.high) < 1e-6 and picture.high >= size - 1e-6, around)
    return "after each validation the weights are a picture in the run's folder, its report, and on W&B."


@check
def dlplug_specs(answer):
    """Read the specs, and what they promise."""
    specs = answer()
    expect(isinstance(specs, list) and len(specs) == 1, "give a list of one ModelSpec")
    [spec] = specs
    expect(isinstance(spec, ModelSpec), f"give a ModelSpec, not {type(spec).__name__}")
    expect(spec.name == "mlp", f"its name should be mlp, not {spec.name}")
    target = f"it leads to {spec.target}: module and class are dlplug_mlp.mlp:MLP"
    expect(spec.target == "dlplug_mlp.mlp:MLP", target)
    expect(spec.takes == "images", f'it takes {spec.takes or "nothing"}: "images", so that it is offered data that fit')
    expect(spec.data == "digits", 'say what it trains on unless told otherwise: data="digits"')
    expect("trainer.max_epochs" in spec.recipe, 'the recipe should say how long: {"trainer.max_epochs": 10}')
    return "plain data: `dlplug list` shows it without importing your model, or torch."


@check
def pyproject(answer):
    """Read the file as an installer does."""
    text = answer()
    expect(isinstance(text, str), "give the text of the file")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        expect(False, f"it is no TOML: {error}")
    project = table.get("project", {})
    expect(project.get("name") == "dlplug-mlp", f"the distribution should be dlplug-mlp, not {project.get('name')}")
    expect("version" in project, "it needs a version")
    depends = any(each.startswith("dlplug") for each in project.get("dependencies", []))
    expect(depends, 'dependencies should say which dlplug it works with: ["dlplug>=0.2,<0.4"]')
    entry = project.get("entry-points", {}).get("dlplug", {})
    expect(bool(entry), "the table [project.entry-points.dlplug] is missing: it is how dlplug finds the plugin")
    wrong = f"the entry point leads to {[*entry.values()]}: the module with the hooks is dlplug_mlp.plugin"
    expect([*entry.values()] == ["dlplug_mlp.plugin"], wrong)
    expect("build-system" in table, "[build-system] says what builds it: leave it as it is given")
    return "whoever installs it has the model in `dlplug list`."
