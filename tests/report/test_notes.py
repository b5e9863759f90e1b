"""What the panels' notes call healthy is what the default recipes show.

``default_runs`` of each plugin's tests has the metrics of a run of each model, thinned by benchmarks/default_runs.py;
its first line says what was typed and how far it came.
"""

from pathlib import Path

import pytest

from dlplug import ModelSpec
from dlplug.registry import Registry
from dlplug.registry.source import load_class
from dlplug.report import curves
from dlplug.report.expectations import unmet

PLUGINS = Path(__file__).parents[2] / "plugins"
RUNS = {path.stem: path for path in PLUGINS.glob("*/tests/default_runs/*.csv")}
WITHOUT = {
    "mixture": "it trains nothing",
    "q-learning": "its recipe is to change",
}


def test_every_model_has_a_default_run():
    models = [spec for spec in Registry.discover() if isinstance(spec, ModelSpec)]
    assert RUNS.keys() | WITHOUT.keys() == {spec.name for spec in models if spec.class_path.startswith("dlplug_")}


@pytest.mark.parametrize("name", sorted(RUNS))
def test_default_run_is_as_its_panels_expect(name, tmp_path):
    from lightning.pytorch import LightningModule

    head, table = RUNS[name].read_text().split("\n", 1)
    assert head.startswith(f"# dlplug fit --model {name} --seed_everything ")
    (tmp_path / "metrics.csv").write_text(table)
    found, _ = curves.read(tmp_path / "metrics.csv")
    model = load_class(Registry.discover().find("model", name).class_path, LightningModule)
    assert [problem for panel in model.panels for problem in unmet(panel, found) or ()] == []
