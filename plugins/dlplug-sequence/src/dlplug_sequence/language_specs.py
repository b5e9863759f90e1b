"""Language models, their data and their claims."""

from dlplug import Spec

SPECS: list[Spec] = []
