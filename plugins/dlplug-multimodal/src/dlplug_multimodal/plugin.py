"""What this plugin offers: models of words and pictures, of captions, and of sound."""

from dlplug import Spec, hookimpl
from dlplug_multimodal import caption_specs, machine_specs, sound_specs, word_specs


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models, the data and the claims."""
    return [*word_specs.SPECS, *machine_specs.SPECS, *caption_specs.SPECS, *sound_specs.SPECS]
