"""A network of torchvision's as a plugin."""
