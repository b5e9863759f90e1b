"""What this plugin offers."""

from typing import Any

from dlplug import ClaimSpec, ModelSpec, Spec, hookimpl

# Chosen on the validation images of digits, among learning rates from 4e-3 to 1.6e-2 and 600 to 4,300 updates.
FEW_PIXELS = {"model.hidden_channels": 8, "model.num_layers": 1}
PIXELS_ON_DIGITS = {
    "model.lr": 8e-3,
    "trainer.max_epochs": 32,
    "trainer.check_val_every_n_epoch": 8,
    "data.batch_size": 32,
}


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models and the claims."""
    return [*_models(), *_claims()]


def _models() -> list[Spec]:
    def images(name: str, target: str, summary: str, lecture: str, *tags: str, **recipes: Any) -> Spec:
        return ModelSpec(
            name,
            f"dlplug_generative.{target}",
            summary,
            lecture,
            ("image", *tags),
            takes="images",
            data="mnist5k",
            learning="unsupervised",
            **recipes,
        )

    return [
        images(
            "pixel-cnn",
            "pixel_cnn:PixelCNN",
            "Images pixel by pixel, each predicted from those before it by gated convolutions.",
            "4.2",
            *("autoregressive", "likelihood", "convolution", "completion"),
            recipe=_recipe(12, 4, batch_size=20, augment=0.5),
            recipes={"digits": PIXELS_ON_DIGITS},
            check_options=FEW_PIXELS,
        ),
        images(
            "pixel-rnn",
            "pixel_rnn:PixelRNN",
            "Images pixel by pixel, each predicted from those before it by LSTMs over rows or diagonals.",
            "4.2",
            *("autoregressive", "likelihood", "lstm", "completion"),
            recipe=_recipe(10, 5, batch_size=20, augment=0.5),
            recipes={"digits": PIXELS_ON_DIGITS},
            check_options=FEW_PIXELS,
        ),
        images(
            "autoencoder",
            "autoencoder:Autoencoder",
            "Images through a bottleneck of a few latent variables and back: learns what matters in them.",
            "4.4",
            *("representation", "compression", "denoising", "sparse"),
            recipe=_recipe(40, 5, batch_size=50, augment=0.25),
            recipes={"digits": {"trainer.max_epochs": 150, "trainer.check_val_every_n_epoch": 10, "data.augment": 0.1}},
        ),
        images(
            "vae",
            "vae:VAE",
            "Images as noisy functions of a few normal latent variables: compresses, samples and gives likelihoods.",
            "4.5",
            *("latent", "variational", "likelihood", "iwae"),
            recipe=_recipe(100, 10, batch_size=50, augment=0.5),
        ),
        images(
            "gan",
            "gan:GAN",
            "Two networks compete: one generates images, the other tells them from real ones.",
            "4.6",
            *("adversarial", "dcgan"),
            # Chosen by the FID of validation images on seeds 5 and 11.
            recipe={"trainer.max_epochs": 50, "data.batch_size": 32},
            # At 8×8 a shift hurts: FID 6.1 with it, 4.0 without, after 120 epochs, one seed.
            recipes={"digits": {"model.shift": 0, "trainer.max_epochs": 160}},
        ),
    ]


def _recipe(epochs: int, validate_every: int, batch_size: int, augment: float) -> dict[str, Any]:
    # Validations are few: they sample pixel by pixel, or take ten samples of the bound.
    trainer = {"trainer.max_epochs": epochs, "trainer.check_val_every_n_epoch": validate_every}
    return {**trainer, "data.batch_size": batch_size, "data.augment": augment}


def _claims() -> list[Spec]:
    def claim(name: str, target: str, lecture: str, sentence: str, *models: str) -> Spec:
        return ClaimSpec(name, f"dlplug_generative.claims.{target}", sentence, lecture, models=models)

    logs = "The log of the product of probabilities is the sum of their logs."
    bayes = "A generative model classifies too, by Bayes' rule, but needs more labels than learning X → Y alone."
    steps = "Predicting each step from those before it gives a distribution over whole images."
    normal = "If x is continuous, the network gives a normal density's mean and variance."
    slow = "Autoregressive models generate slowly, one step at a time."
    features = "Autoregressive models are no good for learning representations: an autoencoder's few latents are."
    bottleneck = "A bottleneck forces the network to learn a compressed representation."
    bound = "A VAE is trained on a lower bound of the log-probability."
    blur = "A VAE's output distributions are limited: its samples are blurrier than a GAN's."
    fooled = "The discriminator learns to tell genuine from generated images, the generator to fool it."
    tie = "Two networks compete until generated and genuine data cannot be told apart."
    return [
        claim("product-is-sum-of-logs", "autoregressive:sum_of_logs", "4.1", logs, "pixel-cnn"),
        claim("bayes-rule-classifies", "labels:bayes", "4.1", bayes, "pixel-cnn"),
        claim("probabilities-sum-to-one", "autoregressive:normalised", "4.2", steps, "pixel-cnn", "pixel-rnn"),
        claim("continuous-output", "autoregressive:continuous", "4.2", normal, "pixel-cnn"),
        claim("sampling-is-sequential", "autoregressive:sequential", "4.3", slow, "pixel-cnn"),
        claim("features-add-nothing", "labels:representations", "4.3", features, "pixel-cnn", "autoencoder"),
        claim("bottleneck-compresses", "latent:bottleneck", "4.4", bottleneck, "autoencoder"),
        claim("bound-stays-below", "latent:bound", "4.5", bound, "vae"),
        claim("vae-is-blurrier", "samples:blur", "4.6", blur, "vae", "gan"),
        claim("game-fools-newcomers", "samples:fooled", "4.6", fooled, "gan"),
        claim("game-ends-in-a-tie", "equilibrium:tie", "4.6", tie, "gan"),
    ]
