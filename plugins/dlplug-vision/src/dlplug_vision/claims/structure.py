"""Section 3.1: a CNN uses the structure of images, which a fully connected network does not."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from dlplug.claims import Evidence, Lab, Measure, Trained
from dlplug.data import ImageInfo
from dlplug.media import Figure
from dlplug.plots import plot_curves
from dlplug_vision.data.mnist5k import MNIST5k
from dlplug_vision.models.classifier import Classifier

LEARNING_RATES = (1e-3, 3e-3, 1e-2)  # what the network that loses may choose from
SHORT = ("--trainer.max_epochs=8", "--data.fold=0", "--data.augment=0")


class FullyConnected(Classifier):
    """A network of two fully connected layers with as many weights as ``cnn``, its baseline.

    Args:
        hidden: Units of its hidden layer.
    """

    def __init__(self, hidden: int = 148, lr: float = 3e-3) -> None:  # 148: about as many weights as cnn's default
        super().__init__(lr)
        self.save_hyperparameters()
        self.hidden = hidden

    def network(self, info: ImageInfo) -> nn.Module:
        """Return the layers."""
        pixels = info.channels * info.height * info.width
        first, last = nn.Linear(pixels, self.hidden, bias=False), nn.Linear(self.hidden, info.classes)
        return nn.Sequential(nn.Flatten(), first, nn.BatchNorm1d(self.hidden), nn.ReLU(), last)

    def showcase(self, batch: Any) -> dict[str, Any]:
        """Show nothing: there are no filters."""
        return {}


class PermutedPixels(MNIST5k):
    """mnist5k with its pixels in another order, the same for all images: only which pixels are neighbours is lost."""

    def read(self) -> tuple[Tensor, Tensor]:
        """Return the images, permuted, and labels."""
        images, labels = super().read()
        return permute(images), labels


def permute(images: Tensor) -> Tensor:
    """Return images (n, channels, height, width) with their pixels in another, fixed order."""
    order = torch.randperm(images[0, 0].numel(), generator=torch.Generator().manual_seed(0))
    return images.flatten(2)[:, :, order].view_as(images)


def unpermute(images: Tensor) -> Tensor:
    """Undo ``permute``."""
    order = permute(torch.arange(images[0, 0].numel()).view(1, 1, *images.shape[2:])).flatten()
    restored = torch.empty_like(images.flatten(2))
    restored[:, :, order] = images.flatten(2)
    return restored.view_as(images)


def structure(lab: Lab) -> Evidence:
    """Compare ``cnn`` with a fully connected network of as many weights, on images as they are and permuted."""
    module = "dlplug_vision.claims.structure"
    found: dict[str, list[tuple[float, float]]] = {"mnist5k": [], f"{module}.PermutedPixels": []}

    def fit_baseline(data: str, lr: float, seed: int = 0) -> Trained:
        return lab.fit(f"{module}.FullyConnected", f"--data={data}", *SHORT, f"--model.lr={lr}", seed=seed)

    def best_lr(data: str) -> float:
        return min(LEARNING_RATES, key=lambda lr: min(fit_baseline(data, lr).history("val/loss")))

    rates = {data: best_lr(data) for data in found}
    sizes, curves = "", {}
    for data, seed in itertools.product(found, lab.seeds):
        cnn = lab.fit("cnn", f"--data={data}", *SHORT, seed=seed)
        dense = fit_baseline(data, rates[data], seed)
        unshifted, dense_unshifted = accuracy(cnn), accuracy(dense)
        cost, dense_cost = unshifted - accuracy(cnn, shift=3), dense_unshifted - accuracy(dense, shift=3)
        found[data].append((100 * (unshifted - dense_unshifted), cost / dense_cost))
        sizes = " and ".join(f"{sum(p.numel() for p in t.model.parameters()):,}" for t in (cnn, dense))
        if data == "mnist5k":
            curves = {
                name: [accuracy(t, shift) for shift in range(6)]
                for name, t in (("cnn", cnn), ("fully connected", dense))
            }
    (gains, shares), (permuted_gains, permuted_shares) = (zip(*pairs, strict=True) for pairs in found.values())
    gain = "points of test accuracy above the fully connected network's"
    share = "accuracy lost to a shift of 3 pixels over that network's"
    return Evidence(
        [Measure(gain, gains, ">=", 2), Measure(share, shares, "<=", 0.5)],
        [
            Measure(f"{gain}, pixels permuted", permuted_gains, ">=", 2),
            Measure(f"{share}, pixels permuted", permuted_shares, "<=", 0.5),
        ],
        {"Shifted images": Figure(plot_curves(range(6), curves, "shift in pixels", "test accuracy"))},
        note=f"{sizes} weights, 8 epochs each without augmentation, 1,000 test images. The fully connected network has "
        f"the best of learning rates {LEARNING_RATES} on validation images: {' and '.join(map(str, rates.values()))}.",
    )


@torch.no_grad()
def accuracy(trained: Trained, shift: int = 0) -> float:
    """Return the mean test accuracy on images shifted by that many pixels left, right, up and down."""
    images, labels = trained.data.prepare_batch(trained.data.splits["test"])  # type: ignore[attr-defined]
    parts = [images]
    if shift:
        permuted, side = isinstance(trained.data, PermutedPixels), images.shape[-1]
        padded = pad(unpermute(images) if permuted else images, [shift] * 4)
        corners = ((0, shift), (2 * shift, shift), (shift, 0), (shift, 2 * shift))
        parts = [padded[:, :, top : top + side, left : left + side] for top, left in corners]
        parts = [permute(part) for part in parts] if permuted else parts
    return sum(float((trained.model(part).argmax(1) == labels).float().mean()) for part in parts) / len(parts)
