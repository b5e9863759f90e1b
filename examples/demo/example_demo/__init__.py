"""A model with a demo as a plugin."""
