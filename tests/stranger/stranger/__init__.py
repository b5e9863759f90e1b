"""A stranger's plugin, written against dlplug 0.2."""
