"""Models that hear, and what they hear, and what the notes say of them."""

from dlplug import Spec

SPECS: list[Spec] = []
