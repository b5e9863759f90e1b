"""What this plugin offers."""

from typing import Any

from dlplug import ClaimSpec, ModelSpec, MutantSpec, Spec, hookimpl

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
    return [*_models(), *CLAIMS, *MUTANTS]


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
            space={"model.lr": "log:1e-3:2e-2", "model.hidden_channels": "int:8:48", "model.num_layers": "int:2:8"},
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
            space={"model.lr": "log:1e-3:2e-2", "model.hidden_channels": "int:8:48", "model.num_layers": "int:1:3"},
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
            space={"model.lr": "log:5e-4:1e-2", "model.hidden_size": "logint:64:512", "model.noise": "float:0:0.5"},
        ),
        images(
            "vae",
            "vae:VAE",
            "Images as noisy functions of a few normal latent variables: compresses, samples and gives likelihoods.",
            "4.5",
            *("latent", "variational", "likelihood", "iwae"),
            recipe=_recipe(100, 10, batch_size=50, augment=0.5),
            space={"model.lr": "log:5e-4:1e-2", "model.latent_dim": "logint:8:64", "model.kl_warmup": "float:0:0.5"},
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
            space={"model.lr": "log:3e-4:3e-3", "model.latent_dim": "logint:16:128"},
        ),
    ]


def _recipe(epochs: int, validate_every: int, batch_size: int, augment: float) -> dict[str, Any]:
    # Validations are few: they sample pixel by pixel, or take ten samples of the bound.
    trainer = {"trainer.max_epochs": epochs, "trainer.check_val_every_n_epoch": validate_every}
    return {**trainer, "data.batch_size": batch_size, "data.augment": augment}


CLAIMS: list[Spec] = [
    ClaimSpec(
        "product-is-sum-of-logs",
        "dlplug_generative.claims.autoregressive:sum_of_logs",
        "The log of the product of probabilities is the sum of their logs.",
        lecture="4.1",
        models=("pixel-cnn",),
        notes=("4.1 ∏ p(x) = ∑ log p(x). (A log is missing: that of the product is the sum.)",),
    ),
    ClaimSpec(
        "bayes-rule-classifies",
        "dlplug_generative.claims.labels:bayes",
        "A generative model classifies too, by Bayes' rule, but needs more labels than learning X → Y alone.",
        lecture="4.1",
        models=("pixel-cnn",),
        notes=("4.1 Discriminative models learn X → Y, generative models recover p(x).",),
    ),
    ClaimSpec(
        "probabilities-sum-to-one",
        "dlplug_generative.claims.autoregressive:normalised",
        "Predicting each step from those before it gives a distribution over whole images.",
        lecture="4.2",
        models=(
            "pixel-cnn",
            "pixel-rnn",
        ),
        notes=("4.2 Predict the next step; if x is discrete, give a probability for each value.",),
    ),
    ClaimSpec(
        "continuous-output",
        "dlplug_generative.claims.autoregressive:continuous",
        "If x is continuous, the network gives a normal density's mean and variance.",
        lecture="4.2",
        models=("pixel-cnn",),
        notes=("4.2 If x is continuous, give a normal density's mean and variance.",),
    ),
    ClaimSpec(
        "sampling-is-sequential",
        "dlplug_generative.claims.autoregressive:sequential",
        "Autoregressive models generate slowly, one step at a time.",
        lecture="4.3",
        models=("pixel-cnn",),
        notes=("4.3 Sequential generation can be slow.",),
    ),
    ClaimSpec(
        "features-add-nothing",
        "dlplug_generative.claims.labels:representations",
        "Autoregressive models are no good for learning representations: an autoencoder's few latents are.",
        lecture="4.3",
        models=(
            "pixel-cnn",
            "autoencoder",
        ),
        notes=(
            "4.3 Autoregressive models are not very good for learning representations.",
            "4.4 The bottleneck forces the network to learn a compressed representation.",
        ),
    ),
    ClaimSpec(
        "bottleneck-compresses",
        "dlplug_generative.claims.latent:bottleneck",
        "A bottleneck forces the network to learn a compressed representation.",
        lecture="4.4",
        models=("autoencoder",),
        notes=("4.4 The bottleneck forces the network to learn a compressed representation.",),
    ),
    ClaimSpec(
        "bound-stays-below",
        "dlplug_generative.claims.latent:bound",
        "A VAE is trained on a lower bound of the log-probability.",
        lecture="4.5",
        models=("vae",),
        notes=("4.5 log p(x) is at least what a VAE is trained to raise.",),
    ),
    ClaimSpec(
        "vae-is-blurrier",
        "dlplug_generative.claims.samples:blur",
        "A VAE's output distributions are limited: its samples are blurrier than a GAN's.",
        lecture="4.6",
        models=(
            "vae",
            "gan",
        ),
        notes=("4.6 Encoder's and decoder's distributions are limited. (implied: VAE samples are blurry)",),
    ),
    ClaimSpec(
        "game-fools-newcomers",
        "dlplug_generative.claims.samples:fooled",
        "The discriminator learns to tell genuine from generated images, the generator to fool it.",
        lecture="4.6",
        models=("gan",),
        notes=("4.6 D tells genuine from generated, G tries to fool it, until it no longer can.",),
    ),
    ClaimSpec(
        "game-ends-in-a-tie",
        "dlplug_generative.claims.equilibrium:tie",
        "Two networks compete until generated and genuine data cannot be told apart.",
        lecture="4.6",
        models=("gan",),
        notes=("4.6 D tells genuine from generated, G tries to fool it, until it no longer can.",),
    ),
]

MUTANTS: list[Spec] = [
    MutantSpec(
        "pixel-sees-itself",
        "dlplug_generative.pixel_cnn:GatedStacks",
        "The horizontal stack is given the pixel that it predicts.",
        lecture="4.2",
        models=("pixel-cnn",),
        old="horizontal = pad(x, (1, 0, 0, 0))[..., :-1]  # shifted right",
        new="horizontal = x",
        caught_by=("probabilities-sum-to-one",),
    ),
    MutantSpec(
        "prior-forgotten",
        "dlplug_generative.vae:VAE",
        "The loss has no KL term: latents are free to be anything, and samples of the prior decode to noise.",
        lecture="4.5",
        models=("vae",),
        old="return (self._kl_weight() * kl.sum(-1) + reconstruction).mean()",
        new="return reconstruction.mean()",
        caught_by=("bound-stays-below",),
    ),
    MutantSpec(
        "row-sees-itself",
        "dlplug_generative.pixel_cnn:GatedStacks",
        "The vertical stack is given the row that it predicts.",
        lecture="4.2",
        models=("pixel-cnn",),
        old="vertical = pad(x, (0, 0, 1, 0))[:, :, :-1]  # shifted down",
        new="vertical = x",
        caught_by=("probabilities-sum-to-one",),
    ),
    MutantSpec(
        "kl-without-entropy",
        "dlplug_generative.vae:VAE",
        "The KL term lacks the entropy of q(z|x).",
        lecture="4.5",
        models=("vae",),
        old="kl = 0.5 * (mean.square() + std.square() - 1) - std.log()",
        new="kl = 0.5 * (mean.square() + std.square() - 1)",
        caught_by=("bound-stays-below",),
    ),
    MutantSpec(
        "prior-left-out",
        "dlplug_generative.vae:VAE",
        "The importance weights lack the prior p(z).",
        lecture="4.5",
        models=("vae",),
        old="log_prior_ratio = (0.5 * (noise.square() - z.square()) + std.log()).sum(-1)",
        new="log_prior_ratio = (0.5 * noise.square() + std.log()).sum(-1)",
        caught_by=("bound-stays-below",),
    ),
    MutantSpec(
        "black-without-tail",
        "dlplug_generative.likelihood:discretised_normal",
        "What the normal density has below 0 counts to no grey level.",
        lecture="4.2",
        models=("pixel-cnn", "vae"),
        old="lower = torch.where(x < half, -torch.inf, (distance - half) / std)",
        new="lower = (distance - half) / std",
        caught_by=("continuous-output", "probabilities-sum-to-one"),
    ),
    MutantSpec(
        "generator-helps",
        "dlplug_generative.gan:GAN",
        "The generator's loss has the wrong sign: it learns to be caught.",
        lecture="4.6",
        models=("gan",),
        old="return softplus(-logit).mean()",
        new="return softplus(logit).mean()",
        caught_by=("game-ends-in-a-tie", "game-fools-newcomers"),
    ),
    MutantSpec(
        "latents-cut-off",
        "dlplug_generative.autoencoder:Autoencoder",
        "No gradient reaches the encoder.",
        lecture="4.4",
        models=("autoencoder",),
        old="loss: Tensor = (self(latents) - images).square().mean()",
        new="loss: Tensor = (self(latents.detach()) - images).square().mean()",
        caught_by=("updates", "bottleneck-compresses"),
    ),
]
