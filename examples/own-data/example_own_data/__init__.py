"""Data of one's own as a plugin."""
