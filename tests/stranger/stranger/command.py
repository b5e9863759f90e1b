"""A command."""

from argparse import ArgumentParser, Namespace

from dlplug import InputError
from dlplug.files import read_lines, write_atomically
from dlplug.runs import Run


def configure(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", metavar="RUN", help="a run of plane")
    parser.add_argument("--digits", type=int, default=2, help="decimals")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Print the slope."""
    folder = Run.open(options.folder)
    if options.digits < 0:
        raise InputError(f"--digits must be at least 0, not {options.digits}")
    from dlplug.trained import load_trained, read_checkpoint

    first, second = load_trained(folder).net
    slope = (second.weight @ first.weight)[0].tolist()
    assert read_checkpoint(folder.trained)["state_dict"]
    write_atomically(folder.path / "slope.txt", " ".join(f"{x:.{options.digits}f}" for x in slope).encode())
    print(*read_lines(folder.path / "slope.txt"))
    return 0
