"""What is checked of a mutant, short of whether anything finds it: that is ``dlplug verify --mutants``."""

from dlplug.registry.source import file_of
from dlplug.specs import MutantSpec
from dlplug.testing.models import ModelChecks
from dlplug.testing.offers import SpecChecks


class MutantChecks(SpecChecks):
    """Checks of a fault that is to be planted."""

    checks = ("light", "plants")
    spec: MutantSpec

    def plants(self) -> None:
        """Check that what it replaces stands once, that the module compiles then, and that what it names is there."""
        file = file_of(self.spec.target.partition(":")[0])
        assert file, f"the source of {self.spec.target} cannot be read"
        try:
            compile(self.spec.planted(file.read_text()), str(file), "exec")
        except (SyntaxError, ValueError) as error:
            raise AssertionError(f"it cannot be planted in {file.name}: {error}") from error
        names = {spec.name for spec in self.registry if spec.kind == "claim"} | {*ModelChecks.checks}
        assert names.issuperset(self.spec.caught_by), f"no claims or checks: {set(self.spec.caught_by) - names}"
        models = {spec.name for spec in self.registry if spec.kind == "model"}
        assert models.issuperset(self.spec.models), f"models that no plugin offers: {set(self.spec.models) - models}"
