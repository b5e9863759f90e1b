"""Arguments for every training command as a plugin."""
