"""Your own data as a plugin."""
