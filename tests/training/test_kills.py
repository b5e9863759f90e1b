"""A run that is killed at a random moment and resumed is the run that never stopped; benchmarks/kills.py tries more."""

import pytest
from kills import fit, fit_killed, same

SHORT = ["--trainer.accelerator=cpu", "--trainer.max_epochs=4", "--trainer.log_every_n_steps=5"]
FITS = {
    "cnn": ["--data=digits", "--model.channels=[4,4]", "--model.hidden=8", "--trainer.limit_train_batches=20"],
    "gan": ["--model.width=1", "--trainer.limit_train_batches=20"],
    "rnn-lm": ["--model.hidden_size=16", "--data.held_out=20000", "--trainer.limit_train_batches=20"],
    "dqn": ["--model.hidden_sizes=[16]", "--data.batches=5", "--data.episodes=3"],
}


SLOW = pytest.mark.slow("six and nine seconds of processor time; by day cnn and dqn are killed")


@pytest.mark.parametrize("model", ["cnn", "dqn", *(pytest.param(name, marks=SLOW) for name in ("gan", "rnn-lm"))])
def test_killed_and_resumed(model, tmp_path):
    args = ["--model", model, *FITS[model], *SHORT]
    assert same(fit(tmp_path / "unbroken", args), fit_killed(tmp_path / "killed", args, seed=len(model)))
