"""A Lightning logger; `attach` gives it the run folder."""

import json

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from dlplug.runs import Run


class Lines(Logger):
    """Writes lines.jsonl into the run folder."""

    name, version, file = "lines", "", None

    def attach(self, run: Run) -> None:
        """Write into this run's folder."""
        self.file = run.path / "lines.jsonl"

    def log_hyperparams(self, params, *args, **kwargs):
        """Leave them to the run's config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics, step=None):
        """Append a line."""
        with open(self.file, "a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
