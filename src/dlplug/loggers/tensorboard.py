"""TensorBoard, in the run folder."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from PIL import Image as PillowImage

from dlplug.errors import InputError
from dlplug.files import load_yaml
from dlplug.media import Audio, Media
from dlplug.panels import find_monitor
from dlplug.runs import Run


class TensorBoard(TensorBoardLogger):
    """Curves, pictures and texts for TensorBoard, in the run folder's ``tensorboard``.

    Its hparams tab shows the options of the model, the data and the optimizer beside the monitored metric, at its last
    value, and the same metric of a test.
    """

    def __init__(self) -> None:
        self._run: Run | None = None
        self._monitor: Any = None
        if find_spec("tensorboard"):  # where it is missing `attach` says so: what is raised here, jsonargparse hides
            super().__init__(save_dir="", name="", version="tensorboard", default_hp_metric=False)

    def attach(self, run: Run) -> None:
        """Keep everything in a run folder.

        Raises:
            InputError: TensorBoard is not installed.
        """
        if not find_spec("tensorboard"):
            raise InputError("--logger tensorboard needs TensorBoard: pip install tensorboard")
        self._run, self._root_dir = run, str(run.path)
        self._monitor = run.about.get("monitor")

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Draw metrics; the first of a validation tell what the hparams tab shows.

        Args:
            metrics: Values by name.
            step: Batches trained so far.
        """
        super().log_metrics(metrics, step)
        monitor = find_monitor(self._monitor, metrics)
        if self._run and monitor and monitor[0] in metrics:
            from torch.utils.tensorboard.summary import hparams  # which needs tensorboard

            options = _options(load_yaml(self._run.config.read_text()))
            tested = re.sub("val(id(ation)?)?", "test", monitor[0], count=1)
            summaries = hparams(options, {monitor[0]: 0, tested: 0})  # type: ignore[no-untyped-call]
            for summary in summaries:
                self.experiment._get_file_writer().add_summary(summary)
            self._run = None  # once

    @rank_zero_only
    def log_media(self, key: str, medium: Media, path: Path, step: int) -> None:
        """Show a saved medium: a picture, the first frame of a moving one, a sound, or text.

        Args:
            key: What it is called.
            medium: What was saved.
            path: The file.
            step: Batches trained so far.
        """
        if path.suffix in (".png", ".gif"):
            pixels = np.asarray(PillowImage.open(path).convert("RGB"))  # (height, width, 3)
            self.experiment.add_image(key, pixels, step, dataformats="HWC")
        elif isinstance(medium, Audio):
            self.experiment.add_audio(key, medium.samples[None], step, medium.sample_rate)
        elif path.suffix in (".txt", ".csv"):
            indented = "".join(f"    {line}\n" for line in path.read_text().splitlines())
            self.experiment.add_text(key, indented, step)


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options by which runs differ, flat, as numbers, words and truth values."""
    usual = ("max_epochs", "precision", "gradient_clip_val")
    found = {f"trainer.{name}": config["trainer"].get(name) for name in usual}
    found["seed_everything"] = config.get("seed_everything")
    for kind in ("model", "data", "optimizer", "lr_scheduler"):
        section = config.get(kind) or {}
        found[kind] = str(section.get("class_path")).rpartition(".")[2] if section else None
        found |= {f"{kind}.{name}": value for name, value in (section.get("init_args") or {}).items()}
    kept = {name: value for name, value in found.items() if value is not None}
    return {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in kept.items()}
