"""What this plugin offers."""

from dlplug import ClaimSpec, DataSpec, ModelSpec, Spec, hookimpl

PHOTOGRAPHS = {"data.augment": 1.0, "data.flip": True}


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models, the data and the claims."""
    return [*_models(), *_data(), *_claims()]


def _models() -> list[Spec]:
    return [
        ModelSpec(
            "cnn",
            "dlplug_vision.models.cnn:CNN",
            "Tells images apart with convolutions: CONV, RELU, POOL, FC.",
            lecture="3.1",
            tags=("image", "classification", "convolution"),
            takes="images",
            data="mnist5k",
            recipe={"trainer.max_epochs": 20},
            recipes={
                "mnist5k": {"data.augment": 1.5, "trainer.max_epochs": 40},
                "digits": {
                    "data.augment": 1.0,
                    "model.channels": [32, 32, 64, 64],
                    "model.hidden": 128,
                    "trainer.max_epochs": 60,
                },
                "mnist": {"data.augment": 1.5, "trainer.max_epochs": 5},
                "fashion-mnist": {"data.flip": True, "trainer.max_epochs": 10},
                "cifar10": {**PHOTOGRAPHS, "model.channels": [32, 32, 64, 64, 128, 128]},
                "image-folder": {**PHOTOGRAPHS, "model.channels": [16, 16, 32, 32, 64, 64, 128]},
            },
            learning="supervised",
        ),
        ModelSpec(
            "resnet",
            "dlplug_vision.models.resnet:ResNet",
            "Deep residual networks, from scratch or from the weights of another network.",
            lecture="5.3",
            tags=("image", "classification", "residual", "transfer", "pretrained"),
            takes="images",
            data="digits",
            recipe={"trainer.max_epochs": 10},
            recipes={
                "digits": {"data.augment": 1.0, "trainer.max_epochs": 25},
                "mnist5k": {"data.augment": 1.0, "model.stem": "large"},
                "mnist": {"data.augment": 1.0},
                "fashion-mnist": {"data.flip": True},
                "cifar10": PHOTOGRAPHS,
                "image-folder": PHOTOGRAPHS,
            },
            learning="supervised",
        ),
    ]


def _data() -> list[Spec]:
    return [
        DataSpec(
            "digits",
            "dlplug_vision.data.digits:Digits",
            "1,797 handwritten digits, 8×8 grey: the quickest to train on.",
            lecture="3",
            tags=("image", "label", "handwriting"),
            gives="images",
        ),
        DataSpec(
            "mnist5k",
            "dlplug_vision.data.mnist5k:MNIST5k",
            "5,000 of MNIST's handwritten digits, 28×28 grey, 500 a class.",
            lecture="3",
            tags=("image", "label", "handwriting", "mnist"),
            gives="images",
        ),
        DataSpec(
            "mnist",
            "dlplug_vision.data.full_size:MNIST",
            "All 70,000 of MNIST's handwritten digits, 28×28 grey; fetched, or files that you have.",
            lecture="3",
            tags=("image", "label", "handwriting"),
            gives="images",
            needs_files=True,
        ),
        DataSpec(
            "fashion-mnist",
            "dlplug_vision.data.full_size:FashionMNIST",
            "70,000 pictures of ten kinds of clothes, 28×28 grey; fetched, or files that you have.",
            lecture="3",
            tags=("image", "label", "clothes"),
            gives="images",
            needs_files=True,
        ),
        DataSpec(
            "cifar10",
            "dlplug_vision.data.full_size:CIFAR10",
            "60,000 small photographs of ten things, 32×32 colour; fetched, or files that you have.",
            lecture="3",
            tags=("image", "label", "photograph"),
            gives="images",
            needs_files=True,
        ),
        DataSpec(
            "image-folder",
            "dlplug_vision.data.image_folder:ImageFolder",
            "Your own pictures, a folder a class.",
            lecture="3",
            tags=("image", "label", "photograph", "own", "folder"),
            gives="images",
            needs_files=True,
        ),
    ]


def _claims() -> list[Spec]:
    def claim(name: str, function: str, sentence: str, lecture: str = "3.1") -> Spec:
        return ClaimSpec(name, f"dlplug_vision.claims:{function}", sentence, lecture=lecture, models=("cnn",))

    table = "The default recipe of cnn tells 98.5 % of mnist5k's digits right, by five-fold cross-validation."
    quality = ClaimSpec("cnn-quality", "dlplug_vision.claims:quality", table, "3.1", models=("cnn",), full=True)
    return [
        quality,
        claim("learning-is-descent", "descent", "Learning is optimisation of a function.", "3"),
        claim("conv-is-local", "local_regions", "A CONV's outputs are connected to local regions of its input."),
        claim("layer-sizes", "layer_sizes", "CONV, RELU, POOL and FC give 32×32×12, the same, 16×16×12 and 10 scores."),
        claim("output-size", "output_sizes", "Depth, stride and padding settle the size of a CONV's output."),
        claim(
            "cnn-uses-structure", "structure", "A CNN beats a fully connected net of its size and minds shifts less."
        ),
        claim("pretraining-helps", "pretraining", "Weights of another network are a better start than random.", "5.3"),
    ]
