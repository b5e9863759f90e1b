"""What is checked of a claim."""

from unittest import SkipTest

from dlplug.registry.source import read_function_doc
from dlplug.specs import ClaimSpec
from dlplug.testing.offers import SpecChecks


class ClaimChecks(SpecChecks):
    """Checks of a claim, short of its result."""

    checks = ("light", "target", "said", "control")
    spec: ClaimSpec

    def said(self) -> None:
        """Check that it says how it measures, and what of."""
        assert read_function_doc(self.spec.class_path), f"{self.spec.target} has no docstring to say how it measures"
        names = {spec.name for spec in self.registry if spec.kind == "model"}
        missing = [name for name in self.spec.models if name not in names]
        assert not missing, f"models that no plugin offers: {', '.join(missing)}"

    def control(self) -> None:
        """Run it with one seed: evidence without a control is refused when it is made."""
        if self.spec.full:
            raise SkipTest("it takes long: dlplug verify --full")
        self.apart(self._run)

    def _run(self) -> None:
        from dlplug.claims import Evidence, Lab

        try:
            evidence = self.load()(Lab(self.registry, self.folder, [0]))
        except Exception as error:
            raise AssertionError(f"it raises {type(error).__name__}: {error}") from error
        assert isinstance(evidence, Evidence), f"it returned {evidence!r}, which is not Evidence of dlplug.claims"
        held = [control.name for control in evidence.controls if control.reached]
        assert not held, f"controls that pass, so the claim could not have failed: {'; '.join(held)}"
