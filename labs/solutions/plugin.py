"""Solutions of the lab that goes from nothing to a plugin."""

from torch import nn
from torch.nn.functional import cross_entropy

from dlplug import ModelSpec
from dlplug.media import Image


def build_network(info, hidden_size):
    """Return a network with one hidden layer."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(info.channels * info.height * info.width, hidden_size),
        nn.ReLU(),
        nn.Linear(hidden_size, info.classes),
    )


def training_step(self, batch, batch_idx):
    """Return the loss of a batch."""
    images, labels = batch
    logits = self.net(images)
    loss = cross_entropy(logits, labels)
    self.record(loss=loss, accuracy=(logits.argmax(1) == labels).float().mean())
    return loss


def showcase(self, batch):
    """Show the hidden units' weights."""
    weights = self.net[1].weight.detach().view(-1, *self.shape)[:, :1]
    size = float(weights.abs().max())
    return {"weights": Image(weights, low=-size, high=size)}


def dlplug_specs():
    """Return what the plugin offers."""
    return [
        ModelSpec(
            "mlp",
            "dlplug_mlp.mlp:MLP",
            "A multilayer perceptron: one hidden layer.",
            takes="images",
            data="digits",
            recipe={"trainer.max_epochs": 10},
        )
    ]


def pyproject():
    """Return the text of pyproject.toml."""
    return (
        BUILD
        + """
[project]
name = "dlplug-mlp"
version = "0.1.0"
dependencies = ["dlplug>=0.2,<0.4"]

[project.entry-points.dlplug]
mlp = "dlplug_mlp.plugin"
"""
    )


BUILD = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'  # as in the notebook
