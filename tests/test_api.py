"""Python does what the command does, and leaves nothing behind."""

import logging
import os
import random
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule
from own import OwnModel
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import dlplug
from dlplug.claims import Lab
from dlplug.media import Figure, Table, Text, Video
from dlplug.media import Image as Picture
from dlplug.registry import Registry
from dlplug.testing import run_command

OPTIONS = {"model.channels": [8, 8], "model.hidden": 16, "trainer.max_epochs": 1, "trainer.accelerator": "cpu"}
LINE = ["--model.channels=[8, 8]", "--model.hidden=16", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    before, path = os.getcwd(), tmp_path_factory.mktemp("api")
    os.chdir(path)
    yield path
    os.chdir(before)


@pytest.fixture(scope="module")
def run(folder):
    return dlplug.fit("cnn", "digits", OPTIONS)


@pytest.fixture
def loaders():
    points = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    return [DataLoader(TensorDataset(points), batch_size=8) for _ in range(3)]


def test_importing_it_imports_no_torch():
    code = "import sys, dlplug; dlplug.list_models('3'); dlplug.info('cnn'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_command_python_and_lab_give_the_same_metrics(run, tmp_path):
    of_python = (run.path / "metrics.csv").read_bytes()
    lab = Lab(Registry.discover(), tmp_path / "lab", seeds=[0]).fit("cnn", "--data=digits", *LINE)
    assert (lab.run.path / "metrics.csv").read_bytes() == of_python
    typed = run_command("fit", "--model", "cnn", "--data", "digits", *LINE, folder=tmp_path, OMP_NUM_THREADS="1")
    assert typed.returncode == 0
    [of_command] = tmp_path.glob("runs/cnn/*/metrics.csv")
    assert of_command.read_bytes() == of_python
    assert run._run.about["commands"] == [f"dlplug fit --model=cnn --data=digits {' '.join(map(_quoted, LINE))}"]


def _quoted(argument):
    return f"'{argument}'" if " " in argument else argument


def test_a_run_measures_predicts_and_resumes(run):
    assert run.metrics["epoch"][0] == 0
    assert run.test()["test/accuracy"] == dlplug.test(run.path)["test/accuracy"] <= 1
    of_test = run.predict()
    assert len(of_test["class"]) == 176
    assert set(of_test) == {"item", "class", "confidence"}
    assert run.model.training is False
    shown = dlplug.load(run.path)._repr_html_()
    assert "cnn on digits" in shown
    assert "val/loss" in shown
    assert run.report().path == run.path / "report.html"
    longer = run.resume({"trainer.max_epochs": 2})
    assert longer.path == run.path
    assert max(longer.metrics["epoch"]) == 1
    assert run.path in [found.path for found in dlplug.list_runs()]


def test_new_items_are_files_images_arrays_or_samples(run, tmp_path):
    array = (np.arange(64).reshape(8, 8) * 4).astype("uint8")
    Image.fromarray(array).save(tmp_path / "a.png")
    of_file = run.predict(tmp_path / "a.png", top=2)
    for inputs in ([tmp_path / "a.png"], [Image.fromarray(array)], [array]):
        assert run.predict(inputs, top=2)["confidence_2"][0] == of_file["confidence_2"][0]
    sample = torch.from_numpy(array)[None, None]
    assert run.predict(sample, top=2)["confidence_2"][0] == pytest.approx(of_file["confidence_2"][0], abs=1e-6)
    broken = run.predict([tmp_path / "a.png", tmp_path / "none.png"])
    assert "none.png" in broken["error"][1]


def test_objects_are_trained_as_they_are(folder, loaders):
    model = OwnModel(width=5)
    run = dlplug.fit(model, loaders, {"trainer.max_epochs": 1})
    assert run.model is model
    assert run.test()
    assert len(run.predict(torch.randn(3, 4))["item"]) == 3
    assert max(run.resume({"trainer.max_epochs": 3}).metrics["epoch"]) == 2
    # A class that has a name is found by it from then on; loaders have none.
    config = (run.path / "config.yaml").read_text()
    assert "class_path: own.OwnModel\n  init_args:\n    width: 5" in config
    assert "data:" not in config
    assert dlplug.load(run.path).model.hparams.width == 5


def test_classes_take_the_options_of_the_command(folder, loaders):
    class Points(LightningDataModule):
        def train_dataloader(self):
            return loaders[0]

    run = dlplug.fit(OwnModel, Points(), {"model.width": 2, "trainer.max_epochs": 1, "trainer.limit_val_batches": 0})
    assert run.model.hparams.width == 2
    with pytest.raises(dlplug.InputError, match="give an object, Points"):
        dlplug.fit(OwnModel, Points)


def test_tensors_and_datasets_describe_themselves(folder):
    images, labels = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
    short = {**OPTIONS, "trainer.limit_val_batches": 0}
    assert dlplug.fit("cnn", (images, labels), short).model.info.classes == 2
    dataset = TensorDataset(images)
    run = dlplug.fit("autoencoder", [dataset, dataset], {"trainer.max_epochs": 1})
    assert run.model.info.height == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cnnn"], "did you mean 'cnn'"),
        (
            ["cnn", 3],
            "the data is a int: give a name, a class, a LightningDataModule, tensors, Datasets or DataLoaders",
        ),
        (["cnn", "digits", {"model.width": 1}], "has no option 'width'"),
        (["cnn", "digits", {"model.hidden": object()}], "plain values"),
        (["cnn", "digits", {"trainer.fast_dev_run": True}], "nothing is kept"),
    ],
)
def test_bad_input_is_an_exception_of_one_line(folder, arguments, message):
    with pytest.raises(dlplug.InputError, match=message) as found:
        dlplug.fit(*arguments)
    assert "\n" not in str(found.value)


def test_a_loss_that_is_not_a_number_is_an_exception(folder, loaders):
    with pytest.raises(FloatingPointError, match="runs/ownmodel/.*: a loss is not a number"):
        dlplug.fit(OwnModel(lr=1e30), loaders, {"trainer.max_epochs": 2})


def test_nothing_global_stays_changed(folder):
    def state():
        levels = [logging.getLogger(f"lightning.{name}").level for name in ("pytorch", "fabric")]
        backends = torch.backends.cudnn.deterministic, torch.are_deterministic_algorithms_enabled()
        randoms = random.getstate(), torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()
        return (
            levels,
            backends,
            randoms,
            dict(os.environ),
            list(sys.path),
            list(warnings.filters),
            torch.get_num_threads(),
        )

    before = state()
    one = dlplug.fit("vae", "digits", {"trainer.max_epochs": 1, "trainer.deterministic": True, "seed_everything": 3})
    drawn = one.generate(n=4, seed=1)
    assert state() == before
    assert drawn._repr_png_() == one.generate(n=4, seed=1)._repr_png_() != one.generate(n=4, seed=2)._repr_png_()
    again = dlplug.fit("vae", "digits", {"trainer.max_epochs": 1, "trainer.deterministic": True, "seed_everything": 3})
    assert (again.path / "metrics.csv").read_bytes() == (one.path / "metrics.csv").read_bytes()


def test_media_are_shown_in_notebooks():
    from matplotlib.figure import Figure as Drawing

    assert Picture(torch.rand(1, 4, 4))._repr_png_().startswith(b"\x89PNG")
    assert Figure(Drawing())._repr_png_().startswith(b"\x89PNG")
    assert Figure(Drawing())._repr_html_() is None  # a notebook prefers HTML, and would show "None"
    assert Video(torch.rand(2, 1, 4, 4))._repr_html_().startswith('<img src="data:image/gif;base64,')
    assert Text("<a>")._repr_html_() == "<pre>&lt;a&gt;</pre>"
    assert "<td>1</td><td>&lt;b&gt;</td>" in Table(["n", "x"], [[1, "<b>"]])._repr_html_()


def test_a_notebooks_backend_does_not_stop_the_command(tmp_path):
    line = [sys.executable, "-m", "dlplug", "fit", "--model", "cnn", "--data", "digits", *LINE]
    env = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline", "FORCE_COLOR": "1"}
    subprocess.run(line, env=env, cwd=tmp_path, check=True, capture_output=True)
