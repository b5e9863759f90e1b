import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from dlplug import InputError
from dlplug.data import ImageInfo, TensorData
from dlplug.model import Model


class Points(TensorData):
    def __init__(self, size=2, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def load(self):
        inputs = torch.randn(20, 1, 1, self.size, generator=torch.Generator().manual_seed(0))
        return ImageInfo(1, 1, self.size), {"train": (inputs,), "val": (inputs[:5],), "test": (inputs[:5],)}


class Scale(Model):
    def __init__(self, start: float = 1.0):
        super().__init__()
        if start < 0:
            raise ValueError("start")
        self.save_hyperparameters()

    def build(self, info):
        if info.width > 5:
            raise ValueError("too wide")
        self.layer = nn.Linear(info.width, 1)
        nn.init.constant_(self.layer.weight, self.hparams.start)

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch, batch_idx):
        loss = self(batch[0]).square().mean()
        self.record(loss=loss, index=torch.tensor(float(batch_idx)))
        return loss

    def validation_step(self, batch, batch_idx):
        self.record(mean=batch[0].mean())

    test_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Log:
    """Collects what loggers are given."""

    def __new__(cls):
        from lightning.pytorch.loggers import Logger

        class Collector(Logger):
            name = version = "log"
            rows = []

            def log_hyperparams(self, *args, **kwargs): ...

            def log_metrics(self, metrics, step=None):
                self.rows.append((step, metrics))

        return Collector()


@pytest.fixture
def trainer():
    def trainer(**kwargs):
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        return Trainer(max_epochs=2, log_every_n_steps=3, accelerator="cpu", **quiet, **kwargs)

    return trainer


@pytest.mark.parametrize("size", [2, 3])
def test_checkpoint_alone_is_enough(trainer, tmp_path, size):
    model, fit = Scale(start=0.5), trainer(logger=False)
    fit.fit(model, datamodule=Points(size))
    fit.save_checkpoint(tmp_path / "model.ckpt")
    loaded = Scale.load_from_checkpoint(tmp_path / "model.ckpt")
    assert loaded.info == ImageInfo(1, 1, size)
    assert loaded.hparams.start == 0.5
    inputs = torch.randn(4, 1, 1, size)
    assert torch.equal(loaded(inputs), model(inputs))
    with pytest.raises(InputError, match=r"trained on other data: width: \d there; 4 here"):
        trainer(logger=False).test(Scale(), datamodule=Points(4), ckpt_path=tmp_path / "model.ckpt")


def test_a_model_initialises_once_and_not_after_a_checkpoint(trainer, tmp_path):
    class Starting(Scale):
        begun = 0

        def initialise(self):
            self.begun += 1

    model = Starting()
    for _ in range(2):
        last = trainer(logger=False)
        last.fit(model, datamodule=Points())
    assert model.begun == 1
    last.save_checkpoint(tmp_path / "s.ckpt")
    again = Starting.load_from_checkpoint(tmp_path / "s.ckpt")
    trainer(logger=False).fit(again, datamodule=Points())
    assert again.begun == 0


def test_training_metrics_are_means_since_the_last_time(trainer):
    log = Log()
    trainer(logger=log).fit(Scale(), datamodule=Points(batch_size=4))  # 5 batches an epoch, logged after each 3rd
    means = [(step, row["train/index"]) for step, row in log.rows if "train/index" in row]
    assert means == [(2, 1.0), (4, 3.5), (5, 0.0), (8, 2.0), (9, 4.0)]


class Counting(Scale):
    axis = "train/seen"

    def training_step(self, batch, batch_idx):
        seen = torch.tensor(10.0 * (self.trainer.fit_loop.total_batch_idx + 1))
        self.record(seen=seen, **({"odd": torch.tensor(float(batch_idx))} if batch_idx % 2 else {}))
        return self(batch[0]).square().mean()


def test_axis_is_logged_as_it_stands_and_what_is_rare_by_its_own_mean(trainer):
    log = Log()
    trainer(logger=log).fit(Counting(), datamodule=Points(batch_size=4))
    rows = [(row["train/seen"], row.get("train/odd")) for _, row in log.rows if "train/seen" in row]
    assert rows == [(30, 1), (50, 3), (60, None), (90, 2), (100, None)]


def test_validation_metrics_weigh_each_item_alike(trainer):
    log, data = Log(), Points(batch_size=4)
    trainer(logger=log).validate(Scale(), datamodule=data, verbose=False)
    [(_, row)] = log.rows
    assert row["val/mean"] == pytest.approx(data.splits["val"][0].mean().item(), abs=1e-6)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_data_that_does_not_fit(trainer):
    with pytest.raises(InputError, match="Scale: too wide"):
        trainer(logger=False).fit(Scale(), datamodule=Points(6))
    with pytest.raises(InputError, match="Scale needs data that describes itself"):
        trainer(logger=False, limit_val_batches=0).fit(Scale(), train_dataloaders=Points().train_dataloader())
