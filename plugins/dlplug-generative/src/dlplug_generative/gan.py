"""Temporary."""
from typing import Literal
import torch
from torch import nn, Tensor
import torch.nn.functional as F
from dlplug.model import Model
from dlplug.data import ImageInfo, Batch
from dlplug.media import Image, Media

class GAN(Model):
    """Two players.

    Args:
        latent_dim: Width of the noise.
        lr: Learning rate.
        objective: The game.
    """
    def __init__(self, latent_dim: int = 64, lr: float = 2e-4, objective: Literal["non-saturating", "minimax"] = "non-saturating"):
        super().__init__()
        if latent_dim < 1: raise ValueError(f"latent_dim must be at least 1, not {latent_dim}")
        self.save_hyperparameters()
        self.automatic_optimization = False

    def build(self, info: ImageInfo) -> None:
        n = info.channels*info.height*info.width
        self.shape = (info.channels, info.height, info.width)
        self.generator = nn.Sequential(nn.Linear(self.hparams.latent_dim, 128), nn.ReLU(), nn.Linear(128, n), nn.Sigmoid())
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(n, 128), nn.ReLU(), nn.Linear(128, 1))
        self.register_buffer("noise", torch.randn(64, self.hparams.latent_dim))

    def forward(self, z):
        return self.generator(z).view(-1, *self.shape)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        real, *_ = batch
        opt_g, opt_d = self.optimizers()
        fake = self(torch.randn(len(real), self.hparams.latent_dim, device=self.device))
        d_loss = F.softplus(-self.discriminator(real)).mean() + F.softplus(self.discriminator(fake.detach())).mean()
        self.minimise(d_loss, opt_d)
        g_loss = F.softplus(-self.discriminator(fake)).mean()
        self.minimise(g_loss, opt_g)
        self.record(g_loss=g_loss, d_loss=d_loss)

    def validation_step(self, batch, batch_idx):
        self.record(d_real=self.discriminator(batch[0]).sigmoid().mean())
    def test_step(self, batch, batch_idx):
        self.record(d_real=self.discriminator(batch[0]).sigmoid().mean())
    def predict_step(self, batch, batch_idx):
        return self.discriminator(batch[0]).sigmoid().squeeze(1)

    def configure_optimizers(self):
        adam = torch.optim.Adam
        return [adam(self.generator.parameters(), self.hparams.lr), adam(self.discriminator.parameters(), self.hparams.lr)]

    def showcase(self, batch) -> dict[str, Media]:
        return {"samples": Image(self(self.noise))}
