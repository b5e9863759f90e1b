"""A claim."""

from dlplug.claims import Evidence, Lab, Measure


def it_falls(lab: Lab) -> Evidence:
    """The loss on the test data, after a few epochs and after none that count."""
    trained, control = (
        [lab.test(lab.fit("plane", "--trainer.max_epochs=10", lr, seed=seed))["test/loss"] for seed in lab.seeds]
        for lr in ("--model.lr=0.1", "--model.lr=1e-9")
    )
    return Evidence([Measure("loss", trained, "<=", 0.5)], [Measure("untrained", control, "<=", 0.5)])
