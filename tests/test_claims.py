"""The sentences of the notes, which claims name and docs/claims.md lists where there is none."""

import re
import runpy
from pathlib import Path

import pytest

from dlplug.registry import Registry
from dlplug.specs import ClaimSpec

PAGES = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "pages.py"))
OURS = [
    spec
    for plugin in Registry.discover().plugins
    if "dlplug" in plugin.origin
    for spec in plugin.specs
    if isinstance(spec, ClaimSpec)
]


@pytest.mark.parametrize("claim", OURS, ids=lambda claim: claim.name)
def test_every_claim_of_ours_stands_for_a_sentence(claim):
    assert claim.notes
    assert all(re.match(r"\d(\.\d+)? [^|]+$", note) for note in claim.notes)


def test_a_sentence_has_a_claim_or_a_reason_and_not_both():
    rows = PAGES["unmeasured"]()
    assert rows
    assert all(len(row) == 3 and row[2] for row in rows)
    assert not {f"{row[0]} {row[1]}" for row in rows} & {note for claim in OURS for note in claim.notes}
