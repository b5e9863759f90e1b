import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def run(command, tmp_path):
    options = (
        "--data",
        "digits",
        "--model.width",
        "2",
        "--trainer.max_epochs",
        "1",
        "--trainer.limit_train_batches",
        "2",
    )
    assert command("fit", "--model", "gan", *options).returncode == 0
    [run] = tmp_path.glob("runs/gan/*")
    return run.relative_to(tmp_path)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_generate_makes_a_new_file_each_time_from_the_folder_alone(command, run, tmp_path):
    for number in (1, 2):
        result = command("generate", run, "-n", "4")
        assert result.returncode == 0, result.stderr
        assert result.stdout.strip() == str(run / "generated" / f"000{number}.png")
    first, second = (pixels(tmp_path / run / "generated" / f"000{n}.png") for n in (1, 2))
    assert np.array_equal(first, second)
    assert command("generate", run, "-n", "4", "--seed", "1", "--out", "pictures/a.png").returncode == 0
    assert not np.array_equal(first, pixels(tmp_path / "pictures" / "a.png"))
    assert command("generate", run, "--interpolate", "-n", "1", "--out", "b.png").returncode == 0
    height, width, _ = pixels(tmp_path / "b.png").shape
    assert width > 8 * height


def test_help_shows_the_methods_own_options(command, run):
    help_ = command("generate", run, "--help").stdout
    assert "--interpolate" in help_
    assert "Number of images" in help_


def test_bad_input_in_one_line(refused, run, tmp_path):
    assert "--n: 'x' is not int" in refused("generate", run, "--n=x")
    assert "n must be at least 1, not 0" in refused("generate", run, "-n", "0")
    assert "unrecognized arguments: --m=3" in refused("generate", run, "--m=3")
    assert "is a .png file" in refused("generate", run, "--out", "a.gif")
    assert "there is no such folder" in refused("generate", "nowhere")
    checkpoint = tmp_path / run / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(b"rubbish")
    assert "last.ckpt is damaged" in refused("generate", run)
    checkpoint.unlink()
    assert "holds no checkpoint yet" in refused("generate", run)
    assert not (tmp_path / run / "generated").exists()
