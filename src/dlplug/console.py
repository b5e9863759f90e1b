"""What a person reads in the terminal, apart from a command's output."""

import sys

from lightning_utilities.core.rank_zero import rank_zero_only


@rank_zero_only
def say(text: str) -> None:
    """Print what the person should know, apart from a command's output, and once where there are several processes."""
    print(text, file=sys.stderr)
