"""A logger, and a callback for every run."""

from pathlib import Path

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger

from dlplug.media import Media
from dlplug.runs import Run


class Tape(Logger):
    """Writes every line and every picture's name to tape.txt."""

    name, version, path = "tape", "", None

    def attach(self, run: Run) -> None:
        """Write into the run folder."""
        self.path = run.path / "tape.txt"

    def log_hyperparams(self, params, *args, **kwargs):
        """Leave them."""

    def log_metrics(self, metrics, step=None):
        """Write the names."""
        self._write(f"{step}: {' '.join(sorted(metrics))}")

    def log_media(self, key: str, medium: Media, path: Path, step: int) -> None:
        """Write where a picture is."""
        self._write(f"{step}: {key} is {path.name}, a {type(medium).__name__}")

    def _write(self, line: str) -> None:
        with open(self.path, "a") as file:
            file.write(f"{line}\n")


class Count(Callback):
    """Counts epochs."""

    def on_train_epoch_end(self, trainer, pl_module):
        """Log one more."""
        pl_module.log("train/epochs_done", float(trainer.current_epoch + 1))
