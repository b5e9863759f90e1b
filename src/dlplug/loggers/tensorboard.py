"""TensorBoard, in the run folder."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from PIL import Image as PillowImage

from dlplug.errors import InputError
from dlplug.media import Media
from dlplug.runs import Run


class TensorBoard(TensorBoardLogger):
    """Curves, pictures and texts for TensorBoard, in the run folder's ``tensorboard``."""

    def __init__(self) -> None:
        if find_spec("tensorboard"):  # where it is missing `attach` says so: what is raised here, jsonargparse hides
            super().__init__(save_dir="", name="", version="tensorboard", default_hp_metric=False)

    def attach(self, run: Run) -> None:
        """Keep everything in a run folder.

        Raises:
            InputError: TensorBoard is not installed.
        """
        if not find_spec("tensorboard"):
            raise InputError("--logger tensorboard needs TensorBoard: pip install tensorboard")
        self._root_dir = str(run.path)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds them."""

    @rank_zero_only
    def log_media(self, key: str, medium: Media, path: Path, step: int) -> None:
        """Show a saved medium: a picture, the first frame of a moving one, or text.

        Args:
            key: What it is called.
            medium: What was saved.
            path: The file.
            step: Batches trained so far.
        """
        if path.suffix in (".png", ".gif"):
            pixels = np.asarray(PillowImage.open(path).convert("RGB"))  # (height, width, 3)
            self.experiment.add_image(key, pixels, step, dataformats="HWC")
        elif path.suffix in (".txt", ".csv"):
            indented = "".join(f"    {line}\n" for line in path.read_text().splitlines())
            self.experiment.add_text(key, indented, step)
