"""What this plugin offers: language models and what they read, and models of whole sentences and what they read."""

from dlplug import Spec, hookimpl
from dlplug_sequence import language_specs, sentence_specs


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models, the data and the claims."""
    return [*language_specs.SPECS, *sentence_specs.SPECS]
