"""What this plugin offers."""

from dlplug import ClaimSpec, ModelSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models and the claims."""
    return [*_models(), *_claims()]


def _models() -> list[Spec]:
    return [
        ModelSpec(
            "pixel-cnn",
            "dlplug_generative.pixel_cnn:PixelCNN",
            "Images pixel by pixel, each predicted from those before it by gated convolutions.",
            lecture="4.2",
            tags=("image", "autoregressive", "likelihood", "convolution", "completion"),
            takes="images",
            data="mnist5k",
            recipe={
                "trainer.max_epochs": 12,
                "trainer.check_val_every_n_epoch": 4,
                "data.batch_size": 20,
                "data.augment": 0.5,
            },
            recipes={
                "digits": {
                    "model.lr": 8e-3,
                    "trainer.max_epochs": 32,
                    "trainer.check_val_every_n_epoch": 8,
                    "data.batch_size": 32,
                },
            },
            learning="unsupervised",
        ),
        ModelSpec(
            "pixel-rnn",
            "dlplug_generative.pixel_rnn:PixelRNN",
            "Images pixel by pixel, each predicted from those before it by LSTMs over rows or diagonals.",
            lecture="4.2",
            tags=("image", "autoregressive", "likelihood", "lstm", "completion"),
            takes="images",
            data="mnist5k",
            recipe={
                "trainer.max_epochs": 10,
                "trainer.check_val_every_n_epoch": 5,
                "data.batch_size": 20,
                "data.augment": 0.5,
            },
            recipes={
                "digits": {
                    "model.lr": 8e-3,
                    "trainer.max_epochs": 32,
                    "trainer.check_val_every_n_epoch": 8,
                    "data.batch_size": 32,
                },
            },
            learning="unsupervised",
        ),
        ModelSpec(
            "autoencoder",
            "dlplug_generative.autoencoder:Autoencoder",
            "Images through a bottleneck of a few numbers and back: learns what matters in them.",
            lecture="4.4",
            tags=("image", "representation", "compression", "denoising", "sparse"),
            takes="images",
            data="mnist5k",
            recipe={
                "trainer.max_epochs": 40,
                "trainer.check_val_every_n_epoch": 5,
                "data.batch_size": 50,
                "data.augment": 0.25,
            },
            recipes={"digits": {"trainer.max_epochs": 150, "trainer.check_val_every_n_epoch": 10, "data.augment": 0.1}},
            learning="unsupervised",
        ),
        ModelSpec(
            "vae",
            "dlplug_generative.vae:VAE",
            "Images as noisy functions of a few normal variables: compresses, draws and gives probabilities.",
            lecture="4.5",
            tags=("image", "latent", "variational", "likelihood", "iwae"),
            takes="images",
            data="mnist5k",
            recipe={
                "trainer.max_epochs": 100,
                "trainer.check_val_every_n_epoch": 10,
                "data.batch_size": 50,
                "data.augment": 0.5,
            },
            learning="unsupervised",
        ),
        ModelSpec(
            "gan",
            "dlplug_generative.gan:GAN",
            "Two networks compete: one draws images, the other tells them from real ones.",
            lecture="4.6",
            tags=("image", "adversarial", "dcgan"),
            takes="images",
            data="mnist5k",
            recipe={"trainer.max_epochs": 50, "data.batch_size": 32},
            recipes={"digits": {"model.shift": 0, "trainer.max_epochs": 160}},
            learning="unsupervised",
        ),
    ]


def _claims() -> list[Spec]:
    def claim(name: str, target: str, lecture: str, sentence: str, *models: str) -> Spec:
        return ClaimSpec(name, f"dlplug_generative.claims.{target}", sentence, lecture=lecture, models=models)

    pixels = ("pixel-cnn", "pixel-rnn")
    return [
        claim(
            "product-is-sum-of-logs",
            "autoregressive:sum_of_logs",
            "4.1",
            "The log of the product of probabilities is the sum of their logs.",
            "pixel-cnn",
        ),
        claim(
            "bayes-rule-classifies",
            "labels:bayes",
            "4.1",
            "A generative model classifies too, by Bayes' rule, but needs more labels than learning X → Y alone.",
            "pixel-cnn",
        ),
        claim(
            "probabilities-sum-to-one",
            "autoregressive:normalised",
            "4.2",
            "Predicting each step from those before it gives a distribution over whole images.",
            *pixels,
        ),
        claim(
            "continuous-output",
            "autoregressive:continuous",
            "4.2",
            "If x is continuous, the network gives a normal density's mean and variance.",
            "pixel-cnn",
        ),
        claim(
            "sampling-is-sequential",
            "autoregressive:sequential",
            "4.3",
            "Autoregressive models generate slowly, one step at a time.",
            "pixel-cnn",
        ),
        claim(
            "features-add-nothing",
            "labels:representations",
            "4.3",
            "Autoregressive models are no good for learning representations: an autoencoder's few numbers are.",
            "pixel-cnn",
            "autoencoder",
        ),
        claim(
            "bottleneck-compresses",
            "latent:bottleneck",
            "4.4",
            "A bottleneck forces the network to learn a compressed representation.",
            "autoencoder",
        ),
        claim(
            "bound-stays-below",
            "latent:bound",
            "4.5",
            "A VAE is trained on a lower bound of the log-probability.",
            "vae",
        ),
        claim(
            "vae-is-blurrier",
            "drawn:blur",
            "4.6",
            "A VAE's output distributions are limited: what it draws is blurrier than a GAN's images.",
            "vae",
            "gan",
        ),
        claim(
            "game-fools-newcomers",
            "drawn:fooled",
            "4.6",
            "The discriminator learns to tell genuine from drawn, the generator to draw what it cannot tell.",
            "gan",
        ),
        claim(
            "game-ends-in-a-tie",
            "game:tie",
            "4.6",
            "Two networks compete until drawn and genuine cannot be told apart.",
            "gan",
        ),
    ]
