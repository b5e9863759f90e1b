"""Section 4.6: the game of two networks."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure as Drawing
from torch import Tensor, nn
from torch.nn.functional import softplus

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure

ROUNDS = 1500
BATCH = 128
CENTRE = torch.tensor([2.0, -1.0])


@dataclass
class Played:
    """What a game left.

    Attributes:
        undecided: Mean distance from 1/2 of what the discriminator gives to new real and drawn points.
        fresh: Held-out accuracy of a discriminator trained anew on real and drawn points.
        drawn: Points of the generator, shape (n, 2).
    """

    undecided: float
    fresh: float
    drawn: Tensor


def real_points(n: int) -> Tensor:
    """Return n points of a slanted normal distribution, shape (n, 2)."""
    return torch.randn(n, 2) @ torch.tensor([[1.0, 0.6], [0.0, 0.5]]) + CENTRE


def judge() -> nn.Sequential:
    """Return a discriminator of points in the plane."""
    return nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))


def teach(discriminator: nn.Module, optimizer: torch.optim.Optimizer, drawn: Tensor) -> None:
    """Take one step of a discriminator, whose slope at real points is kept small so that the game comes to rest.

    The penalty is that of Mescheder et al., "Which Training Methods for GANs do actually Converge?" (2018).
    """
    real = real_points(len(drawn)).requires_grad_()
    logits = discriminator(real)
    [slope] = torch.autograd.grad(logits.sum(), real, create_graph=True)
    loss = softplus(-logits).mean() + softplus(discriminator(drawn)).mean() + 0.5 * slope.square().sum(1).mean()
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()


def play(seed: int, generator_learns: bool = True, discriminator_learns: bool = True) -> Played:
    """Play a game whose equilibrium is known: a linear generator can give the normal distribution exactly."""
    torch.manual_seed(seed)
    generator, discriminator = nn.Linear(2, 2), judge()
    players = [torch.optim.Adam(net.parameters(), 5e-3, betas=(0.5, 0.99)) for net in (generator, discriminator)]
    for done in range(ROUNDS):
        for player in players:
            player.param_groups[0]["lr"] = 5e-3 * (1 - done / ROUNDS)
        if discriminator_learns:
            teach(discriminator, players[1], generator(torch.randn(BATCH, 2)).detach())
        if generator_learns:
            loss = softplus(-discriminator(generator(torch.randn(BATCH, 2)))).mean()
            players[0].zero_grad()
            torch.autograd.backward(loss)
            players[0].step()
    with torch.no_grad():
        drawn = generator(torch.randn(2000, 2))
        undecided = torch.cat([discriminator(real_points(2000)), discriminator(drawn)]).sigmoid().sub(0.5).abs()
    return Played(float(undecided.mean()), told_apart(generator), drawn)


def told_apart(generator: nn.Module, steps: int = 300) -> float:
    """Return the held-out accuracy of a discriminator trained anew against a generator that no longer learns."""
    discriminator = judge()
    optimizer = torch.optim.Adam(discriminator.parameters(), 5e-3)
    for _ in range(steps):
        teach(discriminator, optimizer, generator(torch.randn(BATCH, 2)).detach())
    with torch.no_grad():
        real, drawn = discriminator(real_points(5000)), discriminator(generator(torch.randn(5000, 2)))
    return float(torch.cat([real > 0, drawn <= 0]).float().mean())


def tie(lab: Lab) -> Evidence:
    """Play the game in the plane to its end, in turns, and with one player alone."""
    both = [play(seed) for seed in lab.seeds]
    alone_d = [play(seed, generator_learns=False) for seed in lab.seeds]
    alone_g = [play(seed, discriminator_learns=False) for seed in lab.seeds]
    distance, accuracy = "mean distance of the discriminator's probability from 1/2", "accuracy of a fresh one"
    return Evidence(
        [
            Measure(distance, [game.undecided for game in both], "<=", 0.05, "0 at the equilibrium"),
            Measure(accuracy, [game.fresh for game in both], "<=", 0.56, "0.5 is guessing"),
        ],
        [
            Measure(f"{distance}, the discriminator learning alone", [g.undecided for g in alone_d], "<=", 0.05),
            Measure(f"{accuracy}, the discriminator learning alone", [g.fresh for g in alone_d], "<=", 0.56),
            Measure(f"{accuracy}, the generator learning alone", [g.fresh for g in alone_g], "<=", 0.56),
        ],
        {"Points": Figure(draw({"in turns": both[0].drawn, "generator alone": alone_g[0].drawn}))},
        note=f"{ROUNDS:,} rounds; a linear generator, so that it can win exactly; the discriminator's slope at real "
        "points is penalised, without which the players circle.",
    )


def draw(drawn: dict[str, Tensor]) -> Drawing:
    """Draw real points and generators'."""
    drawing = Drawing(figsize=(5, 4), layout="constrained")
    axes = drawing.add_subplot()
    for name, points in {"real": real_points(500), **drawn}.items():
        axes.scatter(points[:500, 0], points[:500, 1], s=4, label=name)
    axes.legend()
    return drawing
