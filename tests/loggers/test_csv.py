import pytest

from dlplug.loggers.csv import MetricsFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def logged(path, epochs):
    """Log as a run does: a row within each epoch, and at its end validation and a late column."""
    file = MetricsFile(path)
    for epoch in epochs:
        file.log_metrics({"epoch": epoch, "train/loss": 1 / 3 + epoch}, step=2 * epoch)
        file.log_metrics({"epoch": epoch, "val/loss": 0.5}, step=2 * epoch + 1)
        file.log_metrics({"epoch": epoch, "train/loss": 0.25}, step=2 * epoch + 1)
        file.write()
    return file


def test_metrics_of_one_step_share_a_row(path):
    logged(path, [0, 1]).finalize("success")
    assert path.read_text() == (
        "epoch,step,train/loss,val/loss\n0,0,0.3333333333333333,\n0,1,0.25,0.5\n1,2,1.3333333333333333,\n1,3,0.25,0.5\n"
    )


def test_row_that_is_logged_again_is_one_row(path):
    file = logged(path, [0])
    file.log_metrics({"epoch": 0, "train/loss": 0.25}, step=1)
    file.finalize("success")
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("torn", ["", "1,2,0.2", "1,2,0.25,0.5\n1,3,"])
def test_resumed_file_is_the_file_of_a_run_that_never_stopped(path, tmp_path, torn):
    logged(path, [0])
    with open(path, "a") as file:
        file.write(torn)
    resumed = MetricsFile(path)
    resumed.resume(0)
    for epoch in [1, 2]:
        resumed.log_metrics({"epoch": epoch, "train/loss": 1 / 3 + epoch}, step=2 * epoch)
        resumed.log_metrics({"epoch": epoch, "val/loss": 0.5, "train/loss": 0.25}, step=2 * epoch + 1)
    resumed.finalize("success")
    logged(tmp_path / "unbroken.csv", [0, 1, 2]).finalize("success")
    assert path.read_bytes() == (tmp_path / "unbroken.csv").read_bytes()


def test_column_of_a_lost_epoch_is_forgotten(path):
    logged(path, [0]).log_metrics({"epoch": 1, "late": 1.0}, step=2)
    file = logged(path, [])
    file.resume(0)
    assert path.read_text().startswith("epoch,step,train/loss,val/loss\n")
    file.resume(-1)
    assert not path.exists()
