"""Weights sharded over two processes, by the command."""

import pytest
import torch

from dlplug.trained import read_checkpoint

SMALL = ["--model=transformer-lm", "--model.d_model=32", "--model.num_layers=2", "--model.context_length=16"]
SMALL += ["--data.seq_len=16", "--data.held_out=1000", "--trainer.limit_train_batches=3", "--trainer.max_epochs=1"]
SMALL += ["--trainer.limit_val_batches=1", "--trainer.accelerator=cpu", "--trainer.limit_test_batches=2"]
ONE, TWO = ["--data.batch_size=8"], ["--data.batch_size=4", "--trainer.strategy=fsdp2", "--trainer.precision=32-true"]
LONGER = "--trainer.max_epochs=2"


def weights(run):
    return read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]


def test_two_processes_learn_what_one_does_and_one_goes_on(fit, fit_on_two, command):
    one = fit(*SMALL, *ONE, "--run=one")
    two = fit_on_two(*SMALL, *TWO, "--run=two")
    found, expected = weights(two), weights(one)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], value, atol=1e-4) for name, value in expected.items())
    sizes = [shard.stat().st_size for shard in two.glob("checkpoints/last.ckpt/*.distcp")]
    assert len(sizes) == 2
    assert max(sizes) < 0.6 * sum(sizes)

    alone = ["--trainer.strategy=auto", "--trainer.devices=1", *ONE]
    for run, options in ((one, []), (two, alone)):
        tested = command("test", run, *options)
        assert tested.returncode == 0, tested.stderr
    measured = [[*map(float, (run / "test.csv").read_text().splitlines()[1].split(","))] for run in (one, two)]
    assert measured[0] == pytest.approx(measured[1], abs=1e-3)
    assert command("generate", two, "--length=5").returncode == 0

    before = read_checkpoint(two / "checkpoints" / "last.ckpt")
    fit_on_two("runs/transformer-lm/two", LONGER, *TWO)
    fit(one, LONGER)
    expected = weights(one)
    found = weights(two)
    assert not found["out.bias"].equal(before["state_dict"]["out.bias"])
    assert all(torch.allclose(found[name], value, atol=1e-4) for name, value in expected.items())
    fit(two, "--trainer.max_epochs=3", *alone)
    assert (two / "checkpoints" / "last.ckpt").is_file()
    assert not [*two.glob("checkpoints/.last*")]
