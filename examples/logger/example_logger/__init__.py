"""A logger as a plugin: `--logger lines`."""
