"""The ``dlplug`` command's exit status: 0, 1 for a failure, 2 for bad input."""

import os
import sys

from dlplug.commands import run
from dlplug.errors import InputError


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    try:
        return run(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        if os.environ.get("DLPLUG_DEBUG"):
            raise
        print(f"dlplug: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of `dlplug list | head` has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
