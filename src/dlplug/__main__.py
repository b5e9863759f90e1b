"""The ``dlplug`` command: which module answers which command.

Each command imports what it needs and no more, since a command that only looks something up is to answer at once.
"""

import os
import sys

from dlplug.errors import InputError, did_you_mean

TRAINING = ("fit", "validate", "test", "predict")
LOOKING = ("list", "info", "plugins")
# Each a module with a `main(args)`.
OTHERS = {
    "report": "dlplug.report",
    "dashboard": "dlplug.dashboard",
    "verify": "dlplug.verify",
    "check": "dlplug.check",
    "new": "dlplug.new",
    "completion": "dlplug.completion",
    "doctor": "dlplug.doctor",
}
USAGE = """\
usage: dlplug COMMAND ...

train and look
  fit --model NAME [options]   train a model on its own data with its own recipe
      --data NAME  --logger NAME  -c FILE  --model.ARG VALUE  --data.ARG VALUE  --trainer.ARG VALUE
      --help                   the arguments of the chosen model and data
      --help-all               every argument, the trainer's too
  fit RUN [options]            go on with a run from its last completed epoch
  test RUN                     measure a run's best checkpoint on the test data
  validate RUN                 the same on the validation data
  predict RUN                  write the predictions for the test data
  generate RUN [options]       draw, write or play with a trained model
  report RUN [RUN ...]         write a run as one HTML page, or several side by side
      --open  --out FILE
  dashboard MODEL --entity E   save the model's panels as a Weights & Biases workspace

write and check
  new NAME [DIR]               write a plugin that works at once, to be changed into yours; --kind model, data or claim
  verify [WORD ...]            measure sentences of the course: claims, models or sections by name
  check NAME                   whether a plugin keeps what it promises, and what to change

find
  list [WORD] [--json]         models and data, by section of the course
  info NAME                    one card: arguments, data that fits, where it comes from
  plugins                      installed plugins: where from, what they hook, or why one does not load

set up
  doctor                       what is installed here, what works, and what to put in a bug report
  completion bash|zsh|fish     a script that completes commands, names, options and run folders

dlplug --help, --version. DLPLUG_DISABLE=a,b switches plugins off, DLPLUG_ONLY=a,b all others; DLPLUG_DEBUG=1 shows
tracebacks."""


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return its exit status: 0, 1 for a failure, 2 for bad input."""
    args = sys.argv[1:] if argv is None else argv
    try:
        return _run(args)
    except InputError as error:
        if os.environ.get("DLPLUG_DEBUG"):
            raise
        print(f"dlplug: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of `dlplug list | head` has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(args: list[str]) -> int:
    match args:
        case [] | ["-h" | "--help" | "help", *_]:
            print(USAGE)
            return 0
        case ["--version", *_]:
            from importlib.metadata import version

            print(f"dlplug {version('dlplug')}")
            return 0
        case [command, *rest] if command in TRAINING:
            return _train(command, rest)
        case [command, *rest] if command in LOOKING:
            from dlplug import cards

            return cards.main(command, rest)
        case ["generate", *rest]:
            return _generate(rest)
        case [command, *rest] if command in OTHERS:
            from importlib import import_module

            status: int = import_module(OTHERS[command]).main(rest)
            return status
    raise InputError(
        f"no command is called {args[0]!r}; " + did_you_mean(args[0], {*TRAINING, *LOOKING, *OTHERS, "generate"})
    )


def _train(command: str, args: list[str]) -> int:
    from dlplug.registry import Registry

    # A class of the user's own may be in a file here. Last, so that no file here hides a module of Python's.
    sys.path.append(os.getcwd())
    registry = Registry.discover()
    if {"-h", "--help"} & set(args):
        from dlplug.usage import print_help

        return print_help(registry, command, args)
    from dlplug.names import expand

    job = expand(command, [arg for arg in args if arg != "--help-all"], registry)
    from dlplug.cli import print_help_all, run  # seconds, from here on

    if "--help-all" in args:
        return print_help_all(job, registry)
    return run(job, registry)


def _generate(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print("usage: dlplug generate RUN [options]\n\n`dlplug generate RUN --help` shows what that run's model takes.")
        return 0
    from dlplug.registry import Registry
    from dlplug.runs import Run

    folder = Run.open(args[0])
    sys.path.append(os.getcwd())  # as in _train
    from dlplug.names import model_of

    model = model_of(folder, Registry.discover())
    from dlplug import generate

    return generate.run(folder, model, args[1:])


if __name__ == "__main__":
    sys.exit(main())
