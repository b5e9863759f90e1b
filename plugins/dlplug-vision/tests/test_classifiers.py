import math

import pytest
import torch
from lightning import Trainer, seed_everything
from torch import nn
from torch.nn.functional import cross_entropy

from dlplug.data import ImageInfo, TensorData
from dlplug.errors import InputError
from dlplug.optim import warmup_cosine
from dlplug.trained import read_weights, take
from dlplug_vision.models.cnn import CNN, output_size
from dlplug_vision.models.resnet import STAGES, ResNet
from dlplug_vision.models.torchvision import Torchvision

SMALL = ImageInfo(1, 8, 8, classes=3)


def built(kind=CNN, info=SMALL, **options):
    torch.manual_seed(0)
    model = kind(**options)
    model.build(info)
    return model


@pytest.mark.parametrize("kind", [CNN, ResNet])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 20, 13), (3, 224, 224)])
def test_logits_for_any_size(kind, shape):
    model = built(kind, ImageInfo(*shape, classes=7)).eval()
    assert model(torch.rand(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_output_size_is_what_torch_makes(kernel, stride, padding):
    for size in range(8, 14):
        made = nn.functional.conv2d(
            torch.rand(1, 1, size, size), torch.rand(1, 1, kernel, kernel), None, stride, padding
        )
        assert made.shape[-1] == output_size(size, kernel, stride, padding)
    options = {"kernel": kernel, "stride": stride, "padding": padding, "channels": (2, 2), "pooling": "mean"}
    if output_size(output_size(8, kernel, stride, padding), kernel, stride, padding) < 1:
        with pytest.raises(ValueError, match="leave nothing of 1×8×8 images"):
            built(CNN, SMALL, **options)
    else:
        assert built(CNN, SMALL, **options)(torch.rand(2, 1, 8, 8)).shape == (2, 3)


def test_convolutions_are_equivariant_to_translation():
    """An image shifted by s pixels gives features shifted by s / stride; the control, the logits, change."""
    cnn = built(CNN, ImageInfo(1, 32, 32, classes=3), channels=(4, 4), hidden=0).double().eval()
    convolve = next(i for i, layer in enumerate(cnn.net) if isinstance(layer, nn.Flatten))
    image = torch.zeros(1, 1, 32, 32, dtype=torch.double)
    image[..., 10:18, 9:17] = torch.rand(8, 8)
    shifted = image.roll((4, 6), (2, 3))
    features, shifted_features = (cnn.net[:convolve](x) for x in (image, shifted))  # (1, 4, 16, 16): halved by one POOL
    inside = (..., slice(4, -4), slice(4, -4))  # away from what padding does at the edges
    assert torch.allclose(features.roll((2, 3), (2, 3))[inside], shifted_features[inside], atol=1e-12)
    assert not torch.allclose(features[inside], shifted_features[inside], atol=1e-3)
    assert not torch.allclose(cnn(image), cnn(shifted), atol=1e-3)


@pytest.mark.parametrize("option", ["activation_checkpointing", "channels_last"])
def test_resnet_learns_the_same_faster_or_in_less_memory(option):
    models = [built(ResNet), built(ResNet, **{option: True})]
    images, held = torch.rand(6, 1, 8, 8), []
    for model in models:
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.numel()) or x, lambda x: x):
            loss = model(images).square().mean()
        loss.backward()
        held.append(sum(kept))
    states = [model.state_dict() for model in models]  # with what the normalisation counted
    assert states[0].keys() == states[1].keys()
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*(s.values() for s in states), strict=True))
    assert all(
        torch.allclose(a.grad, b.grad, atol=1e-4) for a, b in zip(*(m.parameters() for m in models), strict=True)
    )
    if option == "activation_checkpointing":
        assert held[1] < 0.4 * held[0]
        with pytest.raises(InputError, match="exclude each other"):
            models[1].compile()
    else:
        assert models[1].net.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", [CNN, ResNet])
def test_loss_falls_on_tiny_data(kind):
    model = built(kind)
    images, labels = torch.rand(24, 1, 8, 8), torch.arange(24) % 3
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(15):
        loss = cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": ()}, "channels, kernel, stride and pool_every must be at least 1"),
        ({"kernel": 0}, "must be at least 1"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
        ({"lr": 0.0}, "lr must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CNN(**options)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (ImageInfo(1, 8, 8), "these images have no class labels"),
        (ImageInfo(1, 8, 8, classes=1), "these images have 1 class label"),
        (ImageInfo(2, 8, 8, classes=3), "1 or 3 channels"),
    ],
)
def test_images_that_do_not_fit_are_refused(info, message):
    with pytest.raises(ValueError, match=message):
        CNN().build(info)


@pytest.mark.parametrize(("freeze", "count"), [("none", 0), (1, 1), (3, 3), ("backbone", 5)])
def test_frozen_stages_do_not_change_and_the_others_do(freeze, count):
    model = built(ResNet, freeze=freeze)
    model.train()
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, 0.01)
    cross_entropy(model(torch.rand(6, 1, 8, 8)), torch.arange(6) % 3).backward()
    optimizer.step()
    changed = {
        name.partition(".")[0] for name, value in model.net.state_dict().items() if not value.equal(before[name])
    }
    frozen = {name for stage in STAGES[:count] for name in stage}
    assert changed == {name for stage in STAGES for name in stage} - frozen | {"fc"}


def test_weights_are_loaded_where_they_match_and_named(tmp_path, capsys):
    source = built(channels=(2, 3), hidden=0)
    file = tmp_path / "source.ckpt"
    torch.save({"state_dict": source.state_dict()}, file)
    target = built(CNN, ImageInfo(1, 8, 8, classes=5), channels=(2, 3), hidden=0, init_from=str(file))
    before = {name: value.clone() for name, value in target.net.state_dict().items()}
    target.initialise()
    said = capsys.readouterr().err
    assert f"from {file}: took conv1, norm1, conv2, norm2; left as initialised: scores (3×48 there, 5×48 here)" in said
    for name, value in target.net.state_dict().items():
        assert value.equal(before[name] if name.startswith("scores") else source.net.state_dict()[name]), name


def test_resnet_loads_weights_in_the_layout_of_torchvision(tmp_path):
    from torchvision.models import resnet18

    theirs = resnet18(num_classes=9).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    model = built(ResNet, ImageInfo(3, 32, 32, classes=4), weights=str(tmp_path / "w.pth")).eval()
    model.initialise()
    model.net.fc = theirs.fc
    images = torch.rand(2, 3, 32, 32)
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    assert torch.allclose(model(images), theirs((images - mean) / deviation), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "side"), [("mobilenet_v3_small", 8), ("squeezenet1_1", 28), ("vit_b_32", 32), ("googlenet", 32)]
)
def test_networks_of_torchvision_fit_grey_images_of_other_sizes(name, side):
    model = built(Torchvision, ImageInfo(1, side, side, 0, ("a", "b"), "number"), name=name)
    assert model(torch.rand(2, 1, side, side)).shape == (2, 2)


def test_torchvisions_network_loads_its_weights_but_another_last_layer(tmp_path, capsys):
    from torchvision.models import mobilenet_v3_small

    theirs = mobilenet_v3_small(num_classes=9).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    colour, name = ImageInfo(3, 32, 32, classes=4), "mobilenet_v3_small"
    model = built(Torchvision, colour, name=name, weights=str(tmp_path / "w.pth")).eval()
    model.initialise()
    assert "left as initialised: classifier.3 (9×1024 there, 4×1024 here)" in capsys.readouterr().err
    torch.save({"state_dict": {f"net.{k}": v for k, v in theirs.state_dict().items()}}, tmp_path / "run.ckpt")
    of_run = built(Torchvision, colour, name=name, weights=str(tmp_path / "run.ckpt"))
    of_run.initialise()
    assert torch.equal(of_run.net.features[0][0].weight, theirs.features[0][0].weight)
    model.net.classifier[3] = theirs.classifier[3]
    images = torch.rand(2, 3, 32, 32)
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    assert torch.allclose(model(images), theirs((images - mean) / deviation), atol=1e-5)


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="no network 'mobilnet_v3_smal' .*did you mean 'mobilenet_v3_small'"):
        Torchvision("mobilnet_v3_smal")
    with pytest.raises(InputError, match="no network 'fasterrcnn"):  # which detects
        Torchvision("fasterrcnn_resnet50_fpn")
    for name, said in (("alexnet", "too small for alexnet: it needs about 64×64"), ("vit_b_16", "a multiple of 16×16")):
        with pytest.raises(ValueError, match=said):
            Torchvision(name).build(SMALL)


def test_weights_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(InputError, match="nor a file .*nosuch.pth to take weights from"):
        read_weights(str(tmp_path / "nosuch.pth"))
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04torn")
    with pytest.raises(InputError, match="torn.pth is damaged"):
        read_weights(str(tmp_path / "torn.pth"))
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(InputError, match="holds no weights"):
        read_weights(str(tmp_path / "empty.pth"))
    with pytest.raises(InputError, match="is not a run folder: it holds no config.yaml"):
        read_weights(str(tmp_path))
    with pytest.raises(InputError, match="no weights of x fit"):
        take(nn.Linear(2, 2), {"other": torch.zeros(2)}, "x")


def test_weights_that_cannot_be_downloaded_say_what_to_do(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models.ResNet18_Weights.get_state_dict", offline)
    with pytest.raises(InputError, match=r"no route to host\); fetch resnet18-\w+.pth elsewhere"):
        built(ResNet, weights="imagenet").initialise()


def test_learning_rate_warms_up_and_decays():
    rates = [warmup_cosine(step, 100, CNN.warmup_fraction) for step in range(100)]
    assert rates[0] < 0.1
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates == sorted(rates[:16]) + sorted(rates[16:], reverse=True)
    assert 0 < rates[-1] < 0.01
    assert warmup_cosine(7, math.inf, CNN.warmup_fraction) == 1


def test_saliency_of_a_network_that_depends_on_one_pixel():
    model = built(channels=(2,), norm=False, hidden=0, pooling="none")
    with torch.no_grad():
        model.net[0].bias.zero_()
        model.net[0].weight.zero_()[0, 0, 1, 1] = 1  # the identity
        model.net[-1].weight.zero_()[2, 3 * 8 + 5] = 1  # and the logit of class 2 is the pixel in row 3, column 5
        model.net[-1].bias.zero_()
    with torch.inference_mode():
        shown = model.showcase((torch.rand(4, 1, 8, 8), torch.zeros(4)))
    _, maps = shown["saliency"].pixels.chunk(2)
    assert maps[:, 0, 3, 5].eq(1).all()
    assert maps.sum() == 4
    assert shown["filters"].pixels.shape == (2, 1, 3, 3)


def test_a_validation_without_mistakes_says_so(monkeypatch):
    model = built(channels=(2,))
    monkeypatch.setattr(model, "record", lambda **metrics: None)
    images = torch.rand(4, 1, 8, 8)
    labels = model(images).argmax(1)
    model.validation_step((images, labels), 0)
    assert model.showcase((images, labels))["mistakes"].text == "No mistakes any more."
    model.validation_step((images, (labels + 1) % 2), 1)
    assert len(model.showcase((images, labels))["mistakes"].pixels) == 4


def test_balanced_weights_find_the_rare_class(tmp_path):
    class Rare(TensorData):
        """Ten images of class 0 for each of class 1, which differ little."""

        def load(self):
            labels = torch.arange(220) % 11 == 0
            images = 0.3 * torch.rand(220, 1, 8, 8, generator=torch.Generator().manual_seed(0))
            return ImageInfo(1, 8, 8, 2), dict.fromkeys(
                ("train", "val"), (images + 0.1 * labels[:, None, None, None], labels.long())
            )

    found = []
    for class_weights in (None, "balanced"):
        seed_everything(0, verbose=False)
        model, data = CNN(channels=(4,), hidden=0, lr=0.01, class_weights=class_weights), Rare()
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        Trainer(max_epochs=6, accelerator="cpu", enable_model_summary=False, **quiet).fit(model, datamodule=data)
        images, labels = data.splits["train"]
        with torch.no_grad():
            found.append((model.eval()(images).argmax(1) == 1)[labels == 1].float().mean())
    assert found[1] > found[0] + 0.3
