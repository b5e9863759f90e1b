"""The learning rate of models that descend a single loss."""

import math

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from dlplug.data import ImageInfo, TensorData
from dlplug.model import gradient_norm
from dlplug.optim import WarmupCosine, warmup_cosine


class Points(TensorData):
    def load(self):
        return ImageInfo(1, 1, 4), {"train": (torch.ones(80, 4),), "val": (torch.ones(4, 4),)}


class Falling(WarmupCosine):
    lr = 2.0
    betas = (0.5, 0.75)

    def build(self, info):
        self.layer = torch.nn.Linear(info.width, 1)
        self.fixed = torch.nn.Parameter(torch.ones(1), requires_grad=False)

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).square().mean()

    validation_step = training_step


class Rising(Falling):
    warmup_fraction = 0.25


class Rates(Callback):
    def __init__(self):
        self.rates = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        [group] = optimizer.param_groups
        assert (group["betas"], len(group["params"])) == ((0.5, 0.75), 2)
        self.rates.append(group["lr"])


@pytest.mark.parametrize(
    ("model", "shares"),
    [
        (Falling, [1.0, 0.9619, 0.8536, 0.6913, 0.5, 0.3087, 0.1464, 0.0381]),
        (Rising, [0.3333, 0.6667, 1.0, 0.9330, 0.75, 0.5, 0.25, 0.0670]),
    ],
)
def test_rate_falls_along_a_cosine_after_it_rose(tmp_path, model, shares):
    seen = Rates()
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, callbacks=[seen], default_root_dir=tmp_path, **quiet
    )
    trainer.fit(model(), datamodule=Points(batch_size=20))
    assert seen.rates == pytest.approx([2.0 * share for share in shares], abs=1e-3)


class Norms(Callback):
    def on_train_batch_end(self, trainer, pl_module, *_):
        assert trainer.optimizers[0].defaults["fused"]
        assert gradient_norm(trainer.optimizers[0]) == pytest.approx(0.1, abs=1e-3)


def test_one_kernel_steps_and_gradients_are_clipped_in_mixed_precision(tmp_path):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    options = {"accelerator": "cpu", "precision": "bf16-mixed", "gradient_clip_val": 0.1, "max_steps": 2}
    trainer = Trainer(logger=False, callbacks=[Norms()], default_root_dir=tmp_path, **options, **quiet)
    trainer.fit(Falling(), datamodule=Points(batch_size=20))
    assert trainer.global_step == 2


def test_rate_of_a_fit_without_an_end_stays():
    assert [warmup_cosine(step, math.inf, 0.25) for step in (0, 7, 10_000)] == [1, 1, 1]
