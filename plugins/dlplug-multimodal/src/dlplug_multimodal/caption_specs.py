"""The captioner and the captioned pictures that it learns from, and what the notes say of them."""

from dlplug import Spec

SPECS: list[Spec] = []
