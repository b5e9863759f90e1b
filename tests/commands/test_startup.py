"""Everything that does not train answers without importing torch, misspelt command lines included."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from distributions import lay_out

HEAVY = {
    *("torch", "lightning", "lightning_fabric", "pytorch_lightning", "torchmetrics", "torchvision"),
    *("jsonargparse", "numpy", "PIL", "sklearn", "mlxtend", "wandb"),
}
MAIN = """
import sys
from dlplug.__main__ import main
try:
    sys.exit(main())
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=open("modules.txt", "w"))
"""

# Data that no model of ours takes.
SOUNDS = """
from dlplug import DataSpec, hookimpl
@hookimpl
def dlplug_specs():
    return [DataSpec("sounds", "sounds:Sounds", "Nothing to look at.", gives="sounds")]
"""


def run(folder: Path, line: str) -> "subprocess.CompletedProcess[str]":
    (folder / "sounds.py").write_text(SOUNDS)
    (folder / "own.yaml").write_text("model: gna\n")
    lay_out(folder, "sounds", "1", "sounds = sounds")
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", MAIN, *line.split()], cwd=folder, env=env, capture_output=True, text=True
    )


def heavy(folder: Path) -> set[str]:
    return HEAVY & set((folder / "modules.txt").read_text().split())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--help",
        "--version",
        "list",
        "list image",
        "list --json",
        "info gan",
        "info vision:digits",
        "plugins",
        "fit --help",
        "fit --model gan --help",
        "fit --model gan --data digits --model.latent_dim 3 --help",
        "test --model gan --help",
        "report --help",
        "dashboard --help",
        "new --help",
        "new sketch",
        "completion bash",
        "completion fish fit --model gan --model.",
    ],
)
def test_answers(tmp_path: Path, line: str) -> None:
    result = run(tmp_path, line)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout
    assert heavy(tmp_path) == set()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fti", "did you mean 'fit'"),
        ("list gna", "did you mean 'gan'"),
        ("list --jsn", "--jsn"),
        ("list 28", "nothing mentions '28'"),
        ("info gna", "did you mean 'gan'"),
        ("info", "name"),
        ("plugins all", "all"),
        ("fit", "needs a run folder or --model NAME"),
        ("fit --model", "--model needs a value"),
        ("fit --model gna", "did you mean 'gan'"),
        ("fit --model nowhere:gan", "nowhere:gan"),
        ("fit --model digits", "digits is a data set, not a model"),
        ("fit --model gna --help", "did you mean 'gan'"),
        ("fit --model gan --data dgits", "did you mean 'digits'"),
        ("fit --model gan --data sounds", "gan takes images, but sounds gives sounds"),
        ("fit --model gan --model.latent_dmi 3", "did you mean 'latent_dim'"),
        ("fit --model gan --data.nope 1", "no option 'nope'"),
        ("fit --model gan --trainer.max_epoch 1", "did you mean 'max_epochs'"),
        ("fit -c nowhere.yaml", "cannot read the config nowhere.yaml"),
        ("fit -c own.yaml", "did you mean 'gan'"),
        ("dashboard gna --entity me", "did you mean 'gan'"),
        ("new gan", "the model 'gan' is offered by dlplug-generative"),
        ("test nowhere", "nowhere is not a run folder"),
        ("report nowhere", "nowhere is not a run folder"),
    ],
)
def test_refusals(tmp_path: Path, line: str, words: str) -> None:
    result = run(tmp_path, line)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr
    assert heavy(tmp_path) == set()
