"""No test item is a training item in another dress: over all sets of separate items, texts in their normal form."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import pytest
import torch

from dlplug.registry import Registry
from dlplug.registry.source import load_class
from dlplug.specs import DataSpec
from dlplug_sequence.data.padded import normal_form

ENDLESS = {"gym", "bible"}  # an environment, and one text
SETS = {
    spec.name: spec
    for spec in Registry.discover()
    if isinstance(spec, DataSpec) and spec.class_path.startswith("dlplug_")
    if not spec.needs_files and "loads" not in spec.skip_checks and spec.name not in ENDLESS
}


def texts(data: Any, split: str) -> Iterable[Hashable]:
    return (normal_form(text) for text, _ in (data.texts() if hasattr(data, "texts") else data.pairs())[split])


def captions(data: Any, split: str) -> Iterable[Hashable]:
    column = data.splits[split][1]
    return (tuple(sorted(map(tuple, rows))) for rows in column[torch.arange(len(column))].tolist())


def inputs(data: Any, split: str) -> Iterable[Hashable]:
    column = data.splits[split][0]
    return (item.numpy().tobytes() for item in column[torch.arange(len(column))])


FORMS: dict[str, Callable[[Any, str], Iterable[Hashable]]] = {
    "labelled text": texts,
    "text pairs": texts,
    "captioned images": captions,
}


@pytest.mark.parametrize("name", SETS)
def test_no_test_item_is_in_training(name):
    spec = SETS[name]
    data: Any = load_class(spec.class_path, object)()
    form = FORMS.get(spec.gives, inputs)
    if form is not texts:
        data.setup()
    known = set(form(data, "train"))
    for split in ("val", "test"):
        items = list(form(data, split))
        assert items
        assert not known.intersection(items)
