"""Weights & Biases, offline by itself where it must be."""

import html
import os
import secrets
import shutil
import sys
import warnings
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from urllib.parse import unquote

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning_utilities.core.rank_zero import rank_zero_only
from PIL import Image as PillowImage

from dlplug.console import say
from dlplug.errors import InputError
from dlplug.files import load_yaml, write_atomically
from dlplug.loggers.csv import read_metrics
from dlplug.media import Media
from dlplug.runs import Run

# wandb is imported where it is used: it takes half a second, and most runs do without.

INIT_SECONDS = 20  # to reach the server before a run goes on offline
FINISH_SECONDS = 60  # for what is left to upload; what is not uploaded then is for `wandb sync`
UNFINISHED = "wandb/unfinished.txt"  # the process that logs, and the last step that a log before it holds
NO_LOGIN = "not logged in: `wandb login`"


class WeightsAndBiases(WandbLogger):
    """Curves, pictures, the whole config and the typed command at Weights & Biases.

    It never asks and never stops a run: without a login or a network everything is kept in the run folder's ``wandb``,
    to be looked at there (``wandb leet``) and sent later (``wandb sync``). Curves are drawn over ``step``, the batches
    trained so far. A run that resumes (``dlplug fit RUN``) resumes there too.

    Args:
        project: Project that the run is filed under; ``$WANDB_PROJECT`` or else ``dlplug`` unless given.
        entity: User or team whose project it is; the logged-in user's own unless given.
        name: What the run is called there; its model, data and folder's name unless given.
        mode: ``auto`` is online where it can be and offline elsewhere, ``online`` refuses to start where it cannot be,
            ``offline`` keeps everything here, ``disabled`` does nothing. ``$WANDB_MODE`` and `wandb offline` tell
            ``auto`` what to be.
        tags: Words to find the run by.
        notes: A longer description of the run.
        group: What to file it under together with other runs, such as those of a cross-validation.
        job_type: What kind of run of the group it is, such as ``train``.
        log_model: Upload checkpoints as artifacts, as Lightning's logger does: the best and the last when training
            ends, or with ``all`` after each epoch.
        save_code: Upload the files of the model's and the data's class.
    """

    def __init__(
        self,
        project: str | None = None,
        entity: str | None = None,
        name: str | None = None,
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
        tags: list[str] | None = None,
        notes: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        log_model: Literal["all"] | bool = False,
        save_code: bool = False,
    ) -> None:
        project = project or os.environ.get("WANDB_PROJECT") or "dlplug"
        super().__init__(name=name, project=project, entity=entity, tags=tags, log_model=log_model)
        self._wandb_init.update(notes=notes, group=group, job_type=job_type)
        self._wandb_init.pop("anonymous")  # gone from wandb, which warns of it
        self._run: Run | None = None
        self._asked = mode
        self._save_code = save_code
        self._mode: str = "disabled"
        self._reason = ""
        self._axis = ""  # the metric that the model's curves are drawn over; of batches where empty
        self._told = False  # whether the typed commands were sent
        self._counted: dict[str, float] = {}  # its last value, which not every row has
        self._trained: dict[Path, float | None] = {}  # checkpoints to upload in the end, with the best value so far

    @rank_zero_only
    def attach(self, run: Run) -> None:
        """Keep everything in a run folder, and find out now whether the run can be online.

        Raises:
            InputError: ``online`` was asked for and nobody is logged in.
        """
        self._run, self._mode, self._reason = run, self._asked, ""
        self._axis = run.about.get("axis", "")
        if self._asked in ("auto", "online"):
            self._mode, self._reason = find_mode()
        if self._asked == "online" != self._mode:
            raise InputError(f"W&B cannot be online: {self._reason}")
        self._save_dir = str(run.path)
        names = (run.path.parent.name, run.about.get("data", {}).get("name"), run.path.name)
        self._wandb_init.update(dir=self._save_dir, name=self._name or "/".join(filter(None, names)))

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run there, started when it is first asked for.

        Raises:
            InputError: ``online`` was asked for and the server cannot be reached.
        """
        if self._experiment is None:
            self._experiment = self._start()
        return self._experiment

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Do nothing: the whole config was sent at the start."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Send metrics.

        Args:
            metrics: Values by name.
            step: Batches trained so far. A test does not know them: its metrics go to the run's summary alone.
        """
        if self._axis in metrics:
            self._counted = {self._axis: metrics[self._axis]}
        row = {**self._counted, **metrics, "step": step}  # never wandb's own step, which drops what comes late
        if step is None or all(name.startswith("test/") for name in metrics if name != "epoch"):
            row = {name: value for name, value in metrics.items() if name != "epoch"}
        try:
            if self._run and not self._told:  # only now is the command that resumed it among them
                commands = self._run.about.get("commands", [])
                self.experiment.config.update({"commands": commands}, allow_val_change=True)
                self._told = True
            self.experiment.log(row)
        except InputError:
            raise
        except Exception as error:  # such as wandb's own process being killed: the training is worth more
            warnings.warn(f"W&B gets nothing more: {type(error).__name__}: {error}", stacklevel=1)
            self._experiment, self._mode = None, "disabled"
            import wandb

            with suppress(Exception):
                wandb.teardown()  # or the dead process is missed once more, at exit

    @rank_zero_only
    def log_media(self, key: str, medium: Media, path: Path, step: int) -> None:
        """Send a saved medium.

        Args:
            key: What it is called.
            medium: What was saved.
            path: The file.
            step: Batches trained so far.
        """
        if (shown := _shown(path)) is not None:
            self.log_metrics({key: shown}, step)

    @rank_zero_only
    def log_checkpoints(self, saved: Mapping[Path, float | None]) -> None:
        """Upload checkpoints as artifacts, now or when training has ended.

        Args:
            saved: The best, where it is new, and the last, each with the best value of the monitored metric.
        """
        self._trained.update(saved if self._log_model else {})
        if self._log_model == "all" and self._experiment is not None:
            try:
                self._upload(self._experiment)
            except Exception as error:  # the training is worth more
                warnings.warn(f"W&B lacks checkpoints: {type(error).__name__}: {error}", stacklevel=1)

    def _upload(self, run: Any) -> None:
        import wandb

        trained, self._trained = self._trained, {}
        for path, score in trained.items() if self._mode != "disabled" else ():
            metadata = {"score": score, "original_filename": path.name}
            artifact = wandb.Artifact(f"model-{run.id}", "model", metadata=metadata)
            artifact.add_file(str(path), name="model.ckpt")
            run.log_artifact(artifact, aliases=["best" if path.name == "best.ckpt" else "latest"])

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End wandb's run, so that a next run in this process gets its own."""
        run, self._experiment = self._experiment, None
        if run is None:
            return
        try:
            self._upload(run)
            run.finish(exit_code=0 if status == "success" else 1)
        except Exception as error:  # what was trained is safe already
            send = f"wandb sync --include-online {run.sync_dir}"
            warnings.warn(f"W&B lacks the end ({error}); send it: {send}", stacklevel=1)
        if self._run and (marker := self._run.path / UNFINISHED).exists() and _process(marker) == os.getpid():
            marker.unlink()
        os.environ.pop("WANDB_DATA_DIR", None)

    def _start(self) -> Any:
        """Start wandb's run, offline or not at all where it cannot be online."""
        import wandb

        if self._mode == "online":
            started = self._started()
            try:
                return self._init("online")
            except Exception as error:
                self._reason = " ".join(str(error).split())[:200]
                wandb.teardown()  # its process holds on to the run's id
                for folder in self._started() - started:
                    shutil.rmtree(folder, ignore_errors=True)
            if self._asked == "online":
                raise InputError(f"W&B cannot be online: {self._reason}")
            self._mode = "offline"
        if self._mode == "offline":
            try:
                return self._init("offline")
            except Exception as error:
                warnings.warn(f"W&B gets nothing: {type(error).__name__}: {error}", stacklevel=1)
            self._mode = "disabled"
        return wandb.init(mode="disabled")

    def _started(self) -> set[Path]:
        assert self._run
        return set(self._run.path.glob("wandb/run-*/"))

    def _init(self, mode: Literal["online", "offline"]) -> Any:
        import wandb

        assert self._run
        folder = self._run.path / "wandb"
        folder.mkdir(exist_ok=True)
        os.environ["WANDB_DATA_DIR"] = str(folder.resolve())  # artifacts of a model's own wait there to be synced
        settings = wandb.Settings(
            silent=True,
            console="off",
            init_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
            finish_timeout_raises=True,
        )
        arguments = {**self._wandb_init, "id": self._id_kept(), "mode": mode, "reinit": "finish_previous"}
        run = wandb.init(**arguments, settings=settings)
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric=self._axis or "step", step_sync=False)
        run.config.update(load_yaml(self._run.config.read_text()), allow_val_change=True)  # type: ignore[no-untyped-call]
        if self._save_code:
            self._send_code(run)
        self._resend_lost(run, mode)
        why = f" ({self._reason})" if self._reason else ""
        offline = f"offline{why}; look: wandb leet {folder}; send later: wandb sync {folder}/offline-run-*"
        say(f"W&B: {run.url if mode == 'online' else offline}")
        return run

    def _send_code(self, run: Any) -> None:
        """Send the files of the model and the data; what wandb would save by itself is the command ``dlplug``."""
        assert self._run
        with TemporaryDirectory() as folder:  # wandb would look through all that is beside them
            for kind in ("model", "data"):
                module = self._run.about.get(kind, {}).get("class_path", "").rpartition(".")[0]
                if file := getattr(sys.modules.get(module), "__file__", None):
                    copy = Path(folder, *module.split(".")).with_suffix(".py")
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, copy)
            run.log_code(folder, name=f"source-{run.id}")

    def _resend_lost(self, run: Any, mode: str) -> None:
        """Send again what a killed process had logged offline: wandb writes its log in blocks, and the last is lost."""
        assert self._run
        rows = read_metrics(self._run.path / "metrics.csv")
        sent = max((int(row["step"]) for row in rows), default=-1)
        marker = self._run.path / UNFINISHED
        if marker.exists():
            if Path(f"/proc/{_process(marker)}").exists():  # it goes on, and this is a test meanwhile
                return
            sent = int(marker.read_text().split()[1])
            for row in rows:
                if int(row["step"]) > sent:
                    run.log({name: float(value) for name, value in row.items() if value})
            for path in sorted(self._run.path.glob("media/*/*")):
                if int(path.stem) > sent and (shown := _shown(path)) is not None:
                    run.log({unquote(path.parent.name): shown, "step": int(path.stem)})
            marker.unlink()
        if mode == "offline":
            write_atomically(marker, f"{os.getpid()} {sent}".encode())

    def _id_kept(self) -> str:
        """Return the id in the run folder, putting one there first where the run is new."""
        assert self._run
        kept = self._run.path / "wandb" / "run-id.txt"
        if not kept.exists():
            chosen = os.environ.get("WANDB_RUN_ID")  # by a sweep's agent
            write_atomically(kept, (chosen or secrets.token_hex(4)).encode())
        return kept.read_text()


def _process(marker: Path) -> int:
    return int(marker.read_text().split()[0])


def _shown(path: Path) -> Any:
    """Return a saved medium as wandb shows it; None where it cannot."""
    import wandb

    match path.suffix:
        case ".png":  # the saved file: wandb would read a float tensor as levels up to 255, all but black
            caption = PillowImage.open(path).info.get("Description")
            return wandb.Image(str(path), caption=caption)
        case ".gif":
            return wandb.Video(str(path), format="gif")
        case ".wav":
            return wandb.Audio(str(path))
        case ".json":
            from plotly.io import from_json

            return wandb.Plotly(from_json(path.read_text()))
        case ".txt" | ".csv":  # a wandb.Table would be an artifact, kept outside the run until it is synced
            return wandb.Html(f"<pre>{html.escape(path.read_text())}</pre>")
    return None


def find_mode() -> tuple[Literal["online", "offline", "disabled"], str]:
    """Return what wandb's own settings and login allow, and why it is not online."""
    import wandb

    mode = wandb.setup(settings=wandb.Settings(silent=True)).settings.mode
    if mode == "disabled":
        return "disabled", "it is switched off by $WANDB_MODE or `wandb disabled`"
    if mode in ("offline", "dryrun"):
        return "offline", "asked for by $WANDB_MODE or `wandb offline`"
    try:
        logged_in = wandb.login(prompt=False, verify=False)
    except Exception as error:  # a key that is none, for one
        return "offline", " ".join(str(error).split())[:200]
    return ("online", "") if logged_in else ("offline", NO_LOGIN)
