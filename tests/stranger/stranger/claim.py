"""A claim."""

from dlplug.claims import Evidence, Lab, Measure


def it_falls(lab: Lab) -> Evidence:
    """The share of the loss on the test data that a few epochs leave of what is there after none that count."""

    def losses(lr: float) -> list[float]:
        fits = (lab.fit("plane", "--trainer.max_epochs=3", f"--model.lr={lr}", seed=seed) for seed in lab.seeds)
        return [lab.test(trained)["test/loss"] for trained in fits]

    untrained, slow, trained = losses(1e-9), losses(1e-8), losses(0.1)
    left, hardly = ([a / b for a, b in zip(fits, untrained, strict=True)] for fits in (trained, slow))
    return Evidence([Measure("loss left", left, "<=", 0.5)], [Measure("at a rate of 1e-8", hardly, "<=", 0.5)])
