"""The ``dlplug`` command's exit status: 0, 1 for a failure, 2 for bad input, 130 after Ctrl-C."""

import os
import sys
from contextlib import redirect_stdout
from typing import TextIO, cast

from dlplug.commands import run
from dlplug.console import PlainOutput, plain
from dlplug.errors import InputError


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    try:
        with redirect_stdout(cast(TextIO, PlainOutput(sys.stdout))):
            return run(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        if os.environ.get("DLPLUG_DEBUG"):
            raise
        print(f"dlplug: {plain(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of `dlplug list | head` has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # the disk is full, a folder has gone, a path is too long
        if os.environ.get("DLPLUG_DEBUG"):
            raise
        print(f"dlplug: {plain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
