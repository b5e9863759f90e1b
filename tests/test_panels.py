import pytest

from dlplug.panels import find_monitor, split_stage


@pytest.mark.parametrize(
    ("column", "stage", "name"),
    [
        ("train/loss", "train", "loss"),
        ("train/grad_norm", "train", "grad_norm"),
        ("train_loss", "train", "loss"),
        ("train_loss_epoch", "train", "loss"),
        ("train_loss_step", "train", "loss_step"),
        ("loss/train", "train", "loss"),
        ("Validation.Accuracy", "val", "Accuracy"),
        ("dev-f1", "val", "f1"),
        ("testing_acc", "test", "acc"),
        ("loss", "", "loss"),
        ("trained_tokens", "", "trained_tokens"),
        ("val", "", "val"),
    ],
)
def test_stage_and_name_of_a_metric(column, stage, name):
    assert split_stage(column) == (stage, name)


@pytest.mark.parametrize(
    ("columns", "monitor"),
    [
        (["val_acc", "val_loss", "train_loss"], ("val_loss", "min")),
        (["valid/accuracy", "train_loss"], ("valid/accuracy", "max")),
        (["train_loss", "test_loss", "val/odd"], None),
    ],
)
def test_metric_that_is_monitored_by_default(columns, monitor):
    assert find_monitor("default", columns) == monitor
