"""A network from torchvision as a plugin."""
