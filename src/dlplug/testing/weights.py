"""What is checked of trained weights."""

from dlplug.registry.weights import folder_of
from dlplug.specs import WeightsSpec
from dlplug.testing.offers import SpecChecks


class WeightsChecks(SpecChecks):
    """Checks of weights, short of using them."""

    checks = ("light", "files")
    spec: WeightsSpec

    def files(self) -> None:
        """Check that the files are there and as they were packed, and that a plugin offers the model."""
        folder = folder_of(self.spec)
        missing = [name for name in (self.spec.card, "config.yaml", "about.json") if not (folder / name).is_file()]
        assert not missing, f"{folder} lacks {', '.join(missing)}"
        self.registry.find("model", self.spec.model)
