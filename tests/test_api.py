"""Python does what the command does, and leaves nothing behind."""

import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch import LightningDataModule, LightningModule
from own import OwnModel
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import dlplug
from dlplug import processes
from dlplug.claims import Lab
from dlplug.files import write_atomically
from dlplug.media import Audio, Figure, Table, Text, Video
from dlplug.media import Image as Picture
from dlplug.registry import Registry
from dlplug.testing import run_command
from dlplug.training import callbacks

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


class Points(LightningDataModule):
    def __init__(self, loaders):
        super().__init__()
        self.loaders = loaders

    def train_dataloader(self):
        return self.loaders[0]

    val_dataloader = train_dataloader


class Open(LightningModule):
    def __init__(self, fails=False):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.fails = fails

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).square().mean() * (1 / (1 - int(self.fails and self.current_epoch == 1)))


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
    for inputs in (3, b"a.png", [], {"a": 1}, [1, 2], [torch.rand(1, 8, 8), torch.rand(1, 9, 9)]):
        with pytest.raises(dlplug.InputError, match="predict takes"):
            run.predict(inputs)
    assert len(run.predict(np.zeros((2, 1, 8, 8)))["class"]) == 2
    with pytest.raises(
        dlplug.InputError, match=r"CNN of 1×8×8 images cannot take samples of shape \(3, 8, 8\) and float32"
    ):
        run.predict(torch.rand(2, 3, 8, 8))
    with pytest.raises(dlplug.InputError, match="generate: missing a required argument: 'image'; it takes image, n"):
        dlplug.generate(run, n=3)


def test_objects_are_trained_as_they_are(folder, loaders):
    model = OwnModel(width=5)
    run = dlplug.fit(model, loaders, {"trainer.max_epochs": 1})
    assert run.model is not model
    assert run.test()
    assert len(run.predict(torch.randn(3, 4))["item"]) == 3
    assert max(run.resume({"trainer.max_epochs": 3}).metrics["epoch"]) == 2
    # A class that has a name is found by it from then on; loaders have none.
    config = (run.path / "config.yaml").read_text()
    assert "class_path: own.OwnModel\n  init_args:\n    width: 5" in config
    assert "data:" not in config
    opened = dlplug.load(run.path)
    assert opened.model.hparams.width == 5
    assert len(opened.predict(torch.randn(3, 4))["item"]) == 3
    other = dlplug.fit(model, loaders, {"trainer.max_epochs": 1})
    assert not torch.equal(run.model.net[0].weight, other.model.net[0].weight)


def test_what_a_command_gives_an_object_is_taken_back(folder, loaders):
    model = Open()
    options = {"optimizer": "SGD", "optimizer.lr": 0.1, "trainer.max_epochs": 1, "trainer.limit_val_batches": 0}
    run = dlplug.fit(model, loaders[0], options)
    assert max(run.resume({"trainer.max_epochs": 2}).metrics["epoch"]) == 1
    assert "configure_optimizers" not in vars(model)
    with pytest.raises(dlplug.InputError, match="model.lr=1: what is given as an object"):
        dlplug.fit(model, loaders[0], {"model.lr": 1})


def test_a_fit_that_fails_leaves_a_page_that_waits_for_nothing(folder, loaders, monkeypatch):
    monkeypatch.setattr(callbacks, "FIRST_PAGE", 0)
    with pytest.raises(ZeroDivisionError):
        dlplug.fit(Open(fails=True), loaders[0], {"optimizer": "SGD", "trainer.max_epochs": 2, "run": "fails"})
    page = (folder / "runs" / "open" / "fails" / "report.html").read_text()
    assert 'id="live"' not in page


def test_threads_train_one_after_another(folder, loaders):
    options = {"trainer.max_epochs": 1}
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: dlplug.fit(OwnModel, Points(loaders), options), range(2))
    assert (one.path / "metrics.csv").read_bytes() == (two.path / "metrics.csv").read_bytes()


def test_a_script_does_not_begin_again_in_its_processes(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit(3)")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(processes, "fork_server", lambda: multiprocessing.get_context("spawn"))
    process = processes.start(write_atomically, tmp_path / "written", b"1")
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "written").exists()


def test_classes_take_the_options_of_the_command(folder, loaders):
    class Local(Points):
        pass

    options = {
        "model.width": np.int64(2),
        "trainer.max_epochs": 1,
        "trainer.default_root_dir": Path("my runs"),
        "open": False,
    }
    run = dlplug.fit(OwnModel, Points(loaders), options)
    assert run.model.hparams.width == 2
    assert run.path.parent == Path("my runs/ownmodel")
    with pytest.raises(dlplug.InputError, match="give an object, Local"):
        dlplug.fit(OwnModel, Local)


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
        (["cnn", "digits", ["model.hidden"]], "plain values by name"),
        (["cnn", "digits", {"trainer.devices": 2, "trainer.accelerator": "cpu"}], "its own process alone"),
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
            [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
            (os.getcwd(), sys.stdin, torch.get_default_dtype(), matplotlib.get_backend()),
            dict(yaml.SafeDumper.yaml_multi_representers),
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
    assert Audio(torch.zeros(9), 8000)._repr_html_().startswith('<audio controls src="data:audio/wav;base64,')
    assert Text("<a>")._repr_html_() == "<pre>&lt;a&gt;</pre>"
    assert "<td>1</td><td>&lt;b&gt;</td>" in Table(["n", "x"], [[1, "<b>"]])._repr_html_()


def test_a_notebooks_backend_does_not_stop_the_command(tmp_path):
    line = [sys.executable, "-m", "dlplug", "fit", "--model", "cnn", "--data", "digits", *LINE]
    env = {**os.environ, "MPLBACKEND": "module://matplotlib_inline.backend_inline", "FORCE_COLOR": "1"}
    subprocess.run(line, env=env, cwd=tmp_path, check=True, capture_output=True)
