"""The installed plugins: from names to classes, without torch."""

from dlplug.registry.plugins import Plugin, Registry

__all__ = ["Plugin", "Registry"]
