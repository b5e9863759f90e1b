"""The ``dlplug`` command's exit status: 0, 1 for a failure, 2 for bad input, 130 after Ctrl-C."""

import os
import sys
from contextlib import redirect_stdout
from typing import TextIO, cast

from dlplug.console import PlainOutput, plain, plain_warnings
from dlplug.errors import InputError

# OpenMP's threads spin while they wait for work, for as long as it takes on an idle machine; beside other jobs they
# then burn the time that the thread they wait for needs. GNU's turn 3,000 times here before they sleep, not 300,000:
# idle as fast (with 1,000 gan and dqn took a quarter longer), and of 1,000, 3,000, 10,000 and 30,000 the most that is
# still quick beside two busy processes (benchmarks/busy.py). LLVM's wait 1 ms, not 200; that was not measured.
THREADS = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "1"}


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit status."""
    if not {"OMP_WAIT_POLICY", *THREADS} & os.environ.keys():  # read when torch is imported
        os.environ |= THREADS
    if os.environ.get("MPLBACKEND", "").startswith("module:"):  # a notebook's, which need not be installed here
        os.environ["MPLBACKEND"] = "agg"
    plain_warnings()
    try:
        from dlplug.commands import run  # here, so that Ctrl-C ends it in silence too

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
        file = f"{error.filename}: " if error.filename else ""
        print(f"dlplug: {plain(f'{file}{error.strerror or error}')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
