"""A page to play with trained models: ``dlplug play RUN``."""
