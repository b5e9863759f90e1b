"""A command as a plugin."""
