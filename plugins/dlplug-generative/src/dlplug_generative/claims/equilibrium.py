"""Section 4.6: the equilibrium of a GAN whose generator is strong enough to win, or is not."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import softplus

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure
from dlplug.optim import set_lr

STEPS = 1500
BATCH_SIZE = 128
LR = 5e-3
MEAN = torch.tensor([2.0, -1.0])
Points = Callable[[int], Tensor]  # real ones, so many


@dataclass
class Result:
    """What a trained GAN came to.

    Attributes:
        distance: Mean distance from 1/2 of the discriminator's probability of new real and fake points.
        accuracy: Held-out accuracy of a new discriminator on real and fake points.
        samples: Points of the generator, shape (n, 2).
    """

    distance: float
    accuracy: float
    samples: Tensor


def normal_points(n: int) -> Tensor:
    """Return n points of a correlated normal distribution, shape (n, 2), which a linear generator can give exactly."""
    return torch.randn(n, 2) @ torch.tensor([[1.0, 0.6], [0.0, 0.5]]) + MEAN


def curved_points(n: int) -> Tensor:
    """Return n points about a parabola, shape (n, 2), which no linear generator can give."""
    x, noise = torch.randn(2, n)
    return torch.stack([x, 0.5 * x.square() - 1 + 0.3 * noise], 1)


def make_discriminator() -> nn.Sequential:
    """Return a discriminator of points in the plane."""
    return nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))


def train_discriminator(
    discriminator: nn.Module, optimizer: torch.optim.Optimizer, fake: Tensor, points: Points
) -> None:
    """Take one step of a discriminator, with a penalty on its gradient at real points, so that training converges.

    The penalty is R1 of Mescheder et al., "Which Training Methods for GANs do actually Converge?" (2018).
    """
    real = points(len(fake)).requires_grad_()
    logits = discriminator(real)
    [gradient] = torch.autograd.grad(logits.sum(), real, create_graph=True)
    loss = softplus(-logits).mean() + softplus(discriminator(fake)).mean() + 0.5 * gradient.square().sum(1).mean()
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()


def train(
    seed: int, generator_learns: bool = True, discriminator_learns: bool = True, points: Points = normal_points
) -> Result:
    """Train a GAN with a linear generator, in which either network may not learn."""
    torch.manual_seed(seed)
    generator, discriminator = nn.Linear(2, 2), make_discriminator()
    optimizer_g, optimizer_d = (
        torch.optim.Adam(net.parameters(), LR, betas=(0.5, 0.99)) for net in (generator, discriminator)
    )
    for step in range(STEPS):
        for optimizer in (optimizer_g, optimizer_d):
            set_lr(optimizer, LR * (1 - step / STEPS))
        if discriminator_learns:
            train_discriminator(discriminator, optimizer_d, generator(torch.randn(BATCH_SIZE, 2)).detach(), points)
        if generator_learns:
            loss = softplus(-discriminator(generator(torch.randn(BATCH_SIZE, 2)))).mean()
            optimizer_g.zero_grad()
            torch.autograd.backward(loss)
            optimizer_g.step()
    with torch.no_grad():
        samples = generator(torch.randn(2000, 2))
        probabilities = torch.cat([discriminator(points(2000)), discriminator(samples)]).sigmoid()
    return Result(float(probabilities.sub(0.5).abs().mean()), new_discriminator_accuracy(generator, points), samples)


def new_discriminator_accuracy(generator: nn.Module, points: Points, steps: int = 300) -> float:
    """Return the held-out accuracy of a new discriminator, trained against a generator that no longer learns."""
    discriminator = make_discriminator()
    optimizer = torch.optim.Adam(discriminator.parameters(), LR)
    for _ in range(steps):
        train_discriminator(discriminator, optimizer, generator(torch.randn(BATCH_SIZE, 2)).detach(), points)
    with torch.no_grad():
        real, fake = discriminator(points(5000)), discriminator(generator(torch.randn(5000, 2)))
    return float(torch.cat([real > 0, fake <= 0]).float().mean())


def tie(lab: Lab) -> Evidence:
    """Train a GAN in the plane to its end, with one network alone learning, and on data that it cannot give."""
    both = [train(seed) for seed in lab.seeds]
    alone_d = [train(seed, generator_learns=False) for seed in lab.seeds]
    alone_g = [train(seed, discriminator_learns=False) for seed in lab.seeds]
    curved = [train(seed, points=curved_points) for seed in lab.seeds]
    distance, accuracy = "mean distance of the discriminator's probability from 1/2", "accuracy of a new discriminator"
    shown = {"real": normal_points(500), "both learn": both[0].samples, "generator alone": alone_g[0].samples}
    too_weak = {"real": curved_points(500), "both learn": curved[0].samples}
    return Evidence(
        [
            Measure(distance, [result.distance for result in both], "<=", 0.05, "0 at the equilibrium"),
            Measure(accuracy, [result.accuracy for result in both], "<=", 0.56, "0.5 is guessing"),
        ],
        [
            Measure(f"{distance}, the discriminator learning alone", [r.distance for r in alone_d], "<=", 0.05),
            Measure(f"{accuracy}, the discriminator learning alone", [r.accuracy for r in alone_d], "<=", 0.56),
            Measure(f"{accuracy}, the generator learning alone", [r.accuracy for r in alone_g], "<=", 0.56),
            Measure(
                f"{accuracy}, curved data, which a linear generator cannot give",
                [r.accuracy for r in curved],
                "<=",
                0.56,
            ),
        ],
        {"Points": Figure(plot_points(shown)), "Curved points": Figure(plot_points(too_weak))},
        note=f"{STEPS:,} steps; a linear generator, which can win exactly on normal points; the discriminator's "
        "gradient at real points is penalised, without which the two circle the equilibrium.",
    )


def plot_points(samples: dict[str, Tensor]) -> Drawing:
    """Plot points by name."""
    drawing = Drawing(figsize=(5, 4), layout="constrained")
    axes = drawing.add_subplot()
    for name, points in samples.items():
        axes.scatter(points[:500, 0], points[:500, 1], s=4, label=name)
    axes.legend()
    return drawing
