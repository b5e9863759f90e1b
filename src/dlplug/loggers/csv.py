"""metrics.csv: a logger that a resumed run can continue exactly."""

import csv
import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning_utilities.core.rank_zero import rank_zero_only

from dlplug.errors import InputError
from dlplug.files import write_atomically
from dlplug.panels import split_stage

LOSS = re.compile(r"(?:^|[^a-zA-Z0-9])loss(?:_epoch|_step)?$")  # the last word of a metric's name


class MetricsFile(Logger):
    """Writes metrics as CSV: a row a step, ``epoch`` and ``step`` first, no column that depends on the clock.

    Lightning's own CSVLogger deletes what it finds in its folder, and writes an epoch's last row only after the
    epoch's checkpoint. Here metrics of one step share a row, and a row that is logged again is still one row, so
    that the checkpoint callback can write the epoch's metrics down before the checkpoint that vouches for them.

    Args:
        path: The file; it is made with the first row.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._columns: list[str] = []
        self._row: dict[str, Any] = {}
        self._start = 0  # where in the file the row of the last step starts
        self._fresh = True  # nothing vouches for what an earlier attempt left: the first row replaces it

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def version(self) -> str:
        """The run folder's name."""
        return self.path.parent.name

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add metrics to the row of a step.

        Args:
            metrics: Values by name; ``epoch`` is one of them.
            step: Batches trained so far.
        """
        if self._fresh:
            self.resume(-1)
        if self._row and self._row["step"] != step:
            self.write()
            self._row = {}
            self._start = self.path.stat().st_size
        self._row.update({"epoch": int(metrics.get("epoch", 0)), "step": step})
        self._row.update({name: value for name, value in metrics.items() if name != "epoch"})

    @rank_zero_only
    def write(self) -> None:
        """Write the row of the last step down; more metrics of that step rewrite it."""
        if not self._row:
            return
        if new := [name for name in self._row if name not in self._columns]:
            rows = read_metrics(self.path)
            self._rewrite([*self._columns, *new], rows[:-1] if self._is_written() else rows)
        with open(self.path, "r+", newline="") as file:
            file.truncate(self._start)
            file.seek(self._start)
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow(self._row)

    @rank_zero_only
    def resume(self, epoch: int, renamed: Mapping[str, str] | None = None, step: int = sys.maxsize) -> None:
        """Cut back to what had been logged when an epoch was completed; -1 for nothing.

        Args:
            epoch: The epoch, counted from 0.
            renamed: Today's names of columns by what they were called.
            step: The epoch's last; what a callback logs before the next epoch's first batch has no epoch.
        """
        self._fresh = False
        names = renamed or {}
        found = [{names.get(name, name): value for name, value in row.items()} for row in read_metrics(self.path)]
        rows = [row for row in found if (row.get("epoch") or "").isdecimal() and int(row["epoch"]) <= epoch]
        rows = [row for row in rows if not (row.get("step") or "").isdecimal() or int(row["step"]) <= step]
        if found and epoch >= 0 and not {"epoch", "step"} <= set(found[0]):
            raise InputError(f"{self.path} is damaged: move it away to resume without the metrics so far")
        if rows:
            self._rewrite([name for name in rows[0] if any(row[name] for row in rows)], rows)
        else:
            self.path.unlink(missing_ok=True)
            self._columns, self._start = [], 0

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.write()

    def _is_written(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > self._start

    def _rewrite(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        content = text.getvalue().encode()
        write_atomically(self.path, content, inside=self.path.parent)
        self._columns, self._start = columns, len(content)


def broken_losses(metrics: Mapping[str, Any], monitor: str = "") -> list[str]:
    """Return the names of losses, and of the monitored metric, whose value is not a number, or in training infinite."""
    names = [name for name in metrics if name == monitor or LOSS.search(split_stage(name)[1])]
    texts = {name: metrics[name] if isinstance(metrics[name], str) else str(float(metrics[name])) for name in names}
    return [
        n for n, text in texts.items() if text == "nan" or (text in ("inf", "-inf") and split_stage(n)[0] == "train")
    ]


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Return the whole rows of a metrics file, none without a file; a last line that a kill tore off is none."""
    if not path.exists():
        return []
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    try:
        return list(csv.DictReader(line for line in lines if line.endswith("\n")))
    except csv.Error as error:  # a cell without an end, or a character that no text holds
        raise InputError(f"{path} is damaged: {error}") from error
