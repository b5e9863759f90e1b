"""Compares the GAN's default recipe with a Gaussian mixture: `python benchmarks/gan_quality.py RUN RUN RUN`.

Train the runs first, a seed each: `dlplug fit --model gan --seed_everything 0` (and 1, 2). The classifier that gives
the FID's features and everything else to compare with are made here, from the same training split.
"""

import argparse
import statistics
from pathlib import Path

import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from torch import Tensor

from dlplug_generative.gan import GAN
from dlplug_vision.data.digits import Digits
from dlplug_vision.data.mnist5k import MNIST5k
from dlplug_vision.evaluation.fid import FIDClassifier, near_copies

SAMPLES = 10_000


def mixture(train: Tensor) -> Tensor:
    """Return samples of 50 full Gaussians on 50 principal components."""
    pca = PCA(50, random_state=0).fit(train.flatten(1).numpy())
    gaussians = GaussianMixture(50, random_state=0).fit(pca.transform(train.flatten(1).numpy()))
    drawn = torch.from_numpy(pca.inverse_transform(gaussians.sample(SAMPLES)[0])).float()
    return drawn.view(-1, *train.shape[1:]).clamp(0, 1)


@torch.no_grad()
def draw(run: Path, raw: bool) -> Tensor:
    gan = GAN.load_from_checkpoint(run / "checkpoints" / "last.ckpt").eval()
    if raw:
        gan.generator_ema = gan.generator
    noise = torch.randn(SAMPLES, gan.latent_dim, generator=torch.Generator().manual_seed(0))
    return torch.cat([gan(part) for part in noise.split(500)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--data", choices=("mnist5k", "digits"), default="mnist5k")
    parser.add_argument("--raw", action="store_true", help="sample the generator itself, not its moving average")
    options = parser.parse_args()
    data = {"mnist5k": MNIST5k, "digits": Digits}[options.data]()
    data.setup()
    splits = {name: data.prepare_batch(tensors) for name, tensors in data.splits.items()}
    train, labels = splits["train"]
    held_out = splits["test"][0]
    classifier = FIDClassifier.fit(train, labels)
    accuracy = classifier.accuracy(*splits["test"])
    print(f"classifier: test accuracy {accuracy:.3f}; reference: {len(held_out)} held-out images")
    print(f"{'':28} {'FID':>7} {'rarest':>7} {'copies':>7}")

    def show(name: str, samples: Tensor) -> float:
        fid = classifier.fid(samples, held_out)
        copies = near_copies(samples, train, held_out)
        print(f"{name:28} {fid:7.1f} {min(classifier.class_shares(samples)):7.3f} {copies:7.3f}", flush=True)
        return fid

    show("real: validation images", splits["val"][0])
    limit = show("mixture of 50 Gaussians", mixture(train))
    show("noise", torch.rand(SAMPLES, *train.shape[1:]))
    fids = [show(str(run)[-28:], draw(run, options.raw)) for run in options.runs]
    if len(fids) > 1:
        mean, spread = statistics.mean(fids), statistics.stdev(fids)
        print(f"GAN: {mean:.1f} ± {spread:.1f} over {len(fids)} seeds = {mean / limit:.2f} × the mixture (target 0.6)")


if __name__ == "__main__":
    main()
