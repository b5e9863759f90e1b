"""Models of whole sentences, their data and their claims."""

from dlplug import Spec

SPECS: list[Spec] = []
