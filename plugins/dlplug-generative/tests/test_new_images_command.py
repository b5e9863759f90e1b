"""New images: their latents and likelihoods by `predict --input`, and what `generate --image` makes of one."""

import pytest
from PIL import Image

ONE_STEP = (
    "--data=digits",
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=1",
    "--trainer.limit_val_batches=1",
)


@pytest.mark.parametrize(
    ("model", "columns"), [("vae", 24), ("autoencoder", 16), ("gan", 1), ("pixel-cnn", 1)], ids=lambda value: str(value)
)
def test_new_images(model, columns, fit, command, refused, tmp_path):
    run = fit("--model", model, *ONE_STEP)
    Image.new("L", (9, 7), 200).save(tmp_path / "new.png")
    result = command("predict", run, "--input=new.png", "--output=-")
    header, row = result.stdout.splitlines()
    assert header.count(",") == columns + 1
    assert row.startswith("new.png,")
    assert all(float(cell) == pytest.approx(float(cell)) for cell in row.split(",")[1:-1])
    assert f"--top 3: {model} ranks nothing" in refused("predict", run, "--top=3")
    if model in ("vae", "autoencoder"):
        made = command("generate", run, "--image=new.png")
        with Image.open(tmp_path / made.stdout.strip()) as beside:
            assert beside.size == (25 * 19, 25 * 10)
