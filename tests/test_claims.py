"""docs/claims.md and the claims that plugins offer are two lists of one thing."""

import re
from pathlib import Path

from dlplug.registry import Registry

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (Path(__file__).parents[1] / "docs" / "claims.md").read_text().splitlines()
    if re.match(r"\| \d", line)
]


def test_every_sentence_has_a_claim_or_a_reason():
    assert len(ROWS) > 10
    offered = {spec.name for spec in Registry.discover() if spec.kind == "claim"}
    for section, sentence, claim in ROWS:
        named = set(re.findall(r"`([a-z0-9-]+)`", claim))
        assert named <= offered, f"{section} {sentence}: no claim is called {named - offered}"
        assert named or claim.startswith("none"), f"{section} {sentence}: neither a claim nor a reason"


def test_every_claim_of_ours_stands_for_a_sentence():
    named = {name for row in ROWS for name in re.findall(r"`([a-z0-9-]+)`", row[2])}
    offered = {
        spec.name
        for plugin in Registry.discover().plugins
        if "dlplug" in plugin.origin
        for spec in plugin.specs
        if spec.kind == "claim"
    }
    assert offered <= named
