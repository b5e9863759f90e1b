"""A callback for every run as a plugin."""
