"""Deep Q-learning: what its two additions are for."""

import statistics

from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Figure, Media
from dlplug.plots import plot_curves
from dlplug_rl.claims import QUIET
from dlplug_rl.models.dqn import DQN

RATES = (5e-4, 1e-3, 2.3e-3)  # learning rates that a variant which loses may choose from; the last is the default
BAR = 150  # of the most that an episode of 200 steps returns
SETTLED = 2  # validations before those that count: what is learned by then must not be lost again


class DQNWithoutShowcase(DQN):
    """Deep Q-learning without videos and figures, which would take most of the time of short runs."""

    def showcase(self, batch: Tensor) -> dict[str, Media]:
        """Show nothing."""
        return {}


def target_and_replay(lab: Lab) -> Evidence:
    """Take the target network or replay out of deep Q-learning, each with the best of three learning rates."""
    data = ("--data=gym", "--data.max_episode_steps=200", "--trainer.gradient_clip_val=10.0")  # as in the recipe
    base = (*data, "--model.hidden_sizes=[64,64]", "--trainer.max_epochs=8", *QUIET)
    # Without replay a batch's 64 steps are all that the buffer holds, hence four times as many batches of a quarter.
    shorter = ("--model.gradient_steps=16", "--model.train_freq=16", "--data.batches=40")
    variants = {
        "as it is": ("--model.gradient_steps=64",),
        "without a target network": ("--model.gradient_steps=64", "--model.target_update_interval=1"),
        "without replay": (*shorter, "--model.buffer_size=64", "--model.learning_starts=64"),
    }

    def returns(name: str, rate: float, seed: int) -> list[float]:
        options = (*base, *variants[name], f"--model.lr={rate}")
        return lab.fit(f"{__name__}.DQNWithoutShowcase", *options, seed=seed).history("val/episode_return")

    found: dict[str, list[list[float]]] = {}  # a curve a seed
    rates: dict[str, float] = {}
    first, *others = lab.seeds
    for name in variants:
        tried = {rate: returns(name, rate, first) for rate in (RATES[-1:] if name == "as it is" else RATES)}
        rates[name] = max(tried, key=lambda rate: statistics.fmean(tried[rate]))
        found[name] = [tried[rates[name]], *(returns(name, rates[name], seed) for seed in others)]
    lowest = {name: [min(curve[SETTLED:]) for curve in curves] for name, curves in found.items()}
    worst = {name: min(curves, key=lambda curve: min(curve[SETTLED:])) for name, curves in found.items()}
    thousands = [2.56 * (k + 1) for k in range(len(worst["as it is"]))]
    drawing = plot_curves(thousands, worst, "thousands of steps", "validation return, of the worst seed")
    what = "lowest mean return of the last six validations"
    return Evidence(
        [Measure(f"{what}: as it is", lowest["as it is"], ">=", BAR, "of 200; acting at random has about 22")],
        [Measure(f"{what}: {name}", lowest[name], ">=", BAR) for name in list(variants)[1:]],
        {"Returns": Figure(drawing)},
        note="All make as many steps, and as many updates of as many transitions; what is taken out has its best of "
        f"three learning rates by the first seed ({' and '.join(f'{rates[name]:g}' for name in list(variants)[1:])}). "
        "Without replay updates see the last 64 transitions, and none ever again: each is used as often as with "
        "replay, but at once.",
    )
