"""A plain LightningModule as a plugin."""
