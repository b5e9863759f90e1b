"""Two strangers' ways, from what they have to predictions: a MobileNet of their own, and a phone's photos."""

import csv
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from distributions import ROOT
from PIL import Image

ORIENTATION = 0x0112  # of EXIF; 6: the camera was turned, and the picture is to be shown a quarter clockwise


def photo(rng: np.random.Generator, stripes: str, size=(64, 48)) -> Image.Image:
    """Return stripes of a colour of their own, upright or level, with noise."""
    height, width = size[1], size[0]
    rows, columns = np.indices((height, width))
    period = rng.integers(5, 8) * width // 64  # wide enough to be seen at 64×64
    bright = (columns if stripes == "upright" else rows) // period % 2
    pixels = bright[..., None] * rng.uniform(100, 200, 3) + rng.uniform(0, 50, (height, width, 3))
    return Image.fromarray(pixels.astype("uint8"))


def save_turned(image: Image.Image, path) -> None:
    """Save as a phone held upright does: the pixels lie on their side, and a tag says so."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_mobilenet_that_knows_nothing_of_dlplug(command, tmp_path, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(ROOT / "tests" / "mobilenet", project)
    assert not re.search("import dlplug|from dlplug", "".join(p.read_text() for p in project.rglob("*.py")))
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--disable-pip-version-check", "--target", site, project], check=True)
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for stripes in ("level", "upright"):
            folder = tmp_path / "photos" / split / stripes
            folder.mkdir(parents=True)
            for n in range(4):
                photo(rng, stripes).save(folder / f"{n}.png")
    (tmp_path / "new").mkdir()
    photo(rng, "level").save(tmp_path / "new" / "a.png")
    (tmp_path / "new" / "b.png").write_bytes(b"no picture")

    monkeypatch.syspath_prepend(site)
    model = ["--model", "shape_photos.model.MobileNet", "--data", "shape_photos.data.Photos"]
    said = command("fit", *model, "--trainer.max_epochs", "2")
    assert said.returncode == 0, said.stderr
    [run] = tmp_path.glob("runs/mobilenet/*")
    assert (run / "checkpoints" / "best.ckpt").exists()  # by val_loss, which nothing of ours named
    tested = command("test", run)
    assert tested.returncode == 0, tested.stderr
    assert {"test_loss", "test_acc"} <= set(rows(run / "test.csv")[0])
    assert "Accuracy" in (run / "report.html").read_text()
    # Lightning's fault, in a line: it makes loaders anew to predict, and forgets what was given by place.
    refused = command("predict", run)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].endswith("takes batch_size=…")
    code = site / "shape_photos" / "data.py"
    code.write_text(code.read_text().replace("self.batch_size, shuffle", "batch_size=self.batch_size, shuffle"))
    assert command("predict", run).returncode == 0
    assert len(rows(run / "predictions.csv")) == 8
    assert command("predict", run, "--input", "new", "--output", "new.csv").returncode == 0
    good, bad = rows(tmp_path / "new.csv")
    assert float(good["prediction_0"]) + float(good["prediction_1"]) == pytest.approx(1, abs=1e-5)
    assert "cannot identify image" in bad["error"]


def test_a_phones_photos_in_the_five_commands_of_the_readme(command, tmp_path):
    rng = np.random.default_rng(1)
    for stripes in ("level", "upright"):
        folder = tmp_path / "photos" / stripes
        folder.mkdir(parents=True)
        for n in range(20):
            image = photo(rng, stripes, (640, 480)) if n else photo(rng, stripes, (4000, 3000))
            save_turned(image, folder / f"IMG_{n}.JPG") if n % 2 else image.save(folder / f"IMG_{n}.JPG")
        (folder / "IMG_20.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "photos" / "level" / "IMG_21.jpg").write_bytes(b"\xff\xd8\xff torn")
    (tmp_path / "new-photos").mkdir()
    photo(rng, "level", (640, 480)).save(tmp_path / "new-photos" / "level.jpg")
    save_turned(photo(rng, "upright", (480, 640)), tmp_path / "new-photos" / "upright.jpg")
    (tmp_path / "new-photos" / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    (tmp_path / "new-photos" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")

    section = (ROOT / "README.md").read_text().partition("## Your own photographs")[2].partition("\n## ")[0]
    commands = [line.split() for line in re.findall("^dlplug (.*)$", section, re.MULTILINE)]
    assert len(commands) == 5
    said = {}
    for line in commands:
        runs = [*tmp_path.glob("runs/*/*")]
        more = ["--trainer.max_epochs=12", "--data.batch_size=8"] if line[0] == "fit" else []
        result = command(*(str(runs[0]) if word == "RUN" else word for word in line), *more)
        assert result.returncode == 0, (line, result.stderr)
        said[line[0]] = result.stdout + result.stderr
    assert "IMG_21.jpg" in said["fit"]
    assert "IMG_20.HEIC (HEIC is not read: export it as JPEG)" in said["fit"]
    [run] = tmp_path.glob("runs/cnn/*")
    assert float(rows(run / "test.csv")[0]["test/accuracy"]) == 1
    found = {row["item"]: row for row in rows(tmp_path / "new.csv")}
    assert found["level.jpg"]["class"] == "level"
    assert found["upright.jpg"]["class"] == "upright"  # as it is to be seen, not as its pixels lie
    assert "HEIC is not read: export it as JPEG" in found["phone.heic"]["error"]
    assert found["torn.jpg"]["error"]
