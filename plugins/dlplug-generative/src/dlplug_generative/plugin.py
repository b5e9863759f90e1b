"""What this plugin offers."""

from dlplug import ModelSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models."""
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
                "digits": {"trainer.max_epochs": 60, "trainer.check_val_every_n_epoch": 10, "data.augment": 0.25},
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
                "digits": {"trainer.max_epochs": 30, "trainer.check_val_every_n_epoch": 10, "data.augment": 0.25},
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
