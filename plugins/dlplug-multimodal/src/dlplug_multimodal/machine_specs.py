"""Restricted Boltzmann machines, alone and joined, and what the notes say of them."""

from dlplug import Spec

SPECS: list[Spec] = []
