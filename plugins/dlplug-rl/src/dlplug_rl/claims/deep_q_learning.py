"""Deep Q-learning: what its two additions are for."""

import statistics

from torch import Tensor

from dlplug.claims import Evidence, Lab, Measure
from dlplug.media import Media, Table
from dlplug_rl.claims import QUIET
from dlplug_rl.models.dqn import DQN

RATES = (1e-3, 2.3e-3)  # learning rates that a variant which loses may choose from; the last is the default
BAR = 180  # nine tenths of the most that an episode of 200 steps returns


class DQNWithoutShowcase(DQN):
    """Deep Q-learning without videos and figures, which would take most of the time of short runs."""

    def showcase(self, batch: Tensor) -> dict[str, Media]:
        """Show nothing."""
        return {}


def target_and_replay(lab: Lab) -> Evidence:
    """Take the target network or replay out of deep Q-learning, each with the better of two learning rates."""
    data = ("--data=gym", "--data.max_episode_steps=200", "--trainer.gradient_clip_val=10.0")  # as in the recipe
    base = (*data, "--model.hidden_sizes=[64,64]", "--trainer.max_epochs=8", *QUIET)
    # Without replay a batch's 64 steps are all that the buffer holds, hence four times as many batches of a quarter.
    shorter = ("--model.gradient_steps=16", "--model.train_freq=16", "--data.batches=40")
    variants = {
        "as it is": ("--model.gradient_steps=64",),
        "without a target network": ("--model.gradient_steps=64", "--model.target_update_interval=1"),
        "without replay": (*shorter, "--model.buffer_size=64", "--model.learning_starts=64"),
    }

    def returns(name: str, rate: float) -> list[float]:
        runs = [
            lab.fit(f"{__name__}.DQNWithoutShowcase", *base, *variants[name], f"--model.lr={rate}", seed=seed)
            for seed in lab.seeds
        ]
        return [statistics.fmean(run.history("val/episode_return")[-4:]) for run in runs]

    found: dict[str, list[float]] = {}
    rows: list[tuple[str, ...]] = []
    for name in variants:
        tried = {rate: returns(name, rate) for rate in (RATES[-1:] if name == "as it is" else RATES)}
        found[name] = max(tried.values(), key=statistics.fmean)
        rows += [(name, f"{rate:g}", *(f"{value:.0f}" for value in values)) for rate, values in tried.items()]
    what = "mean return in the last four validations"
    return Evidence(
        [Measure(f"{what}: as it is", found["as it is"], ">=", BAR, "of 200; acting at random has about 22")],
        [Measure(f"{what}: {name}", found[name], ">=", BAR) for name in list(variants)[1:]],
        {"Returns": Table(("variant", "learning rate", *(f"seed {seed}" for seed in lab.seeds)), rows)},
        note="All make as many steps, and as many updates of as many transitions; what is taken out has its best of "
        "two learning rates by the mean of the seeds. Without replay updates see the last 64 transitions, and none "
        "ever again: each is used as often as with replay, but at once.",
    )
