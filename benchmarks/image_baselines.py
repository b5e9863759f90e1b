"""What simple models of images have on the rulers of `dlplug compare`: `python benchmarks/image_baselines.py [DATA]`.

Likelihoods of images made black and white in nats a dimension; FID, rarest class and near copies as the judge `samples`
measures them.
"""

import math
import sys
from types import SimpleNamespace

import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor

from dlplug.media import Image
from dlplug_vision.data.digits import Digits
from dlplug_vision.data.mnist5k import MNIST5k
from dlplug_vision.evaluation.judges import AT_ONCE, DRAWN, samples


def independent(train: Tensor, test: Tensor) -> float:
    """Return the nats a pixel of each pixel's own frequency, one image added of each kind."""
    on = ((train > 0.5).sum(0) + 1) / (len(train) + 2)
    return float(-torch.where(test > 0.5, on.log(), (1 - on).log()).mean())


def mixture(train: Tensor) -> Tensor:
    """Return samples of 50 full Gaussians on 50 principal components."""
    pca = PCA(50, random_state=0).fit(train.flatten(1).numpy())
    gaussians = GaussianMixture(50, random_state=0).fit(pca.transform(train.flatten(1).numpy()))
    drawn = torch.from_numpy(pca.inverse_transform(gaussians.sample(DRAWN)[0])).float()
    return drawn.view(-1, *train.shape[1:]).clamp(0, 1)


def main() -> None:
    data = {"mnist5k": MNIST5k, "digits": Digits}[sys.argv[1] if len(sys.argv) > 1 else "mnist5k"]()
    data.setup()
    train, val, test = (data.prepare_batch(data.splits[name])[0] for name in ("train", "val", "test"))
    print(f"independent pixels: {independent(train, test):.4f} nats a dimension")
    real = val.repeat(math.ceil(DRAWN / len(val)), 1, 1, 1)
    noise = torch.rand(DRAWN, *train.shape[1:])
    sets = {"real: validation images": real, "the same, black and white": (real > 0.5).float()}
    for name, images in {**sets, "mixture of 50 Gaussians": mixture(train), "noise": noise}.items():
        drawn = images[:DRAWN].split(AT_ONCE)
        run = SimpleNamespace(data=data, generate=lambda seed, n, drawn=drawn: Image(drawn[seed]))
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in samples(run).items()))


if __name__ == "__main__":
    main()
