"""What the core itself offers, as a plugin like any other: its commands, a table of them, and its loggers."""

from typing import Any

from dlplug import CommandSpec, LoggerSpec, Spec, hookimpl

TRAIN, GENERATE, SHOW = (f"dlplug.commands.{module}" for module in ("train:main", "generate:main", "show:configure"))
UNINSTALL, CHECK = "dlplug.commands.install:configure_uninstall", "dlplug.testing.check_command:configure"
OWN_PARSER = {TRAIN, GENERATE}  # which are given the command's name and arguments instead of a parser
# fmt: off
GROUPS: dict[str, Any] = {  # name, target if it is no module of that name, usage, summary, what it takes
    "train and look": (
        ("fit", TRAIN, "--model NAME [options]", "train a model on its own data with its own recipe"),
        ("test", TRAIN, "RUN", "measure a run's best checkpoint on the test data"),
        ("validate", TRAIN, "RUN", "the same on the validation data"),
        ("predict", TRAIN, "RUN", "predict the test data, or new files: --input FILE|FOLDER|-"),
        ("generate", GENERATE, "RUN [options]", "draw, write or play with a trained model"),
        ("runs", "", "[WORD ...]", "every run at a glance; note something of one, remove some: note, rm", "words"),
        ("report", "", "RUN [RUN ...]", "write a run as one HTML page, or several side by side", "run"),
        ("dashboard", "", "MODEL --entity E", "a model's panels as a Weights & Biases workspace", "model"),
    ),
    "write and check": (
        ("new", "", "NAME [DIR]", "a plugin that works at once, to be changed into yours: --kind says what"),
        ("sample", "", "KIND DIR", "small files as own data takes them, to start from", "words"),
        ("verify", "", "[WORD ...]", "measure the course's sentences, by name, model or section", "words"),
        ("check", CHECK, "NAME [--data NAME]", "whether a plugin keeps its promises, and what to change", "words"),
    ),
    "find": (
        ("list", f"{SHOW}_list", "[WORD] [--json]", "models and data, by section of the course", "words"),
        ("info", f"{SHOW}_info", "NAME", "one card: arguments, data that fits, where it comes from", "words"),
        ("plugins", f"{SHOW}_plugins", "", "installed plugins: where from, what they hook, or why one does not load"),
    ),
    "set up": (
        ("install", "", "SOURCE ...", "plugins by name, wheel, folder or git address, into this environment"),
        ("uninstall", UNINSTALL, "NAME", "remove a plugin; names the runs that need it", "words"),
        ("doctor", "", "", "what is installed here, what works, and what to put in a bug report"),
        ("completion", "", "bash|zsh|fish", "a script that completes commands, names, options and runs"),
    ),
}
# fmt: on
COMMANDS = {
    name: CommandSpec(name, target or f"dlplug.commands.{name}:configure", summary, "", (), usage, group, *takes)
    for group, rows in GROUPS.items()
    for name, target, usage, summary, *takes in rows
}


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the commands and the loggers."""
    return [
        *COMMANDS.values(),
        LoggerSpec("csv", "dlplug.loggers.csv:MetricsFile", "The run's metrics.csv; always on."),
        LoggerSpec("tensorboard", "dlplug.loggers:TensorBoard", "Curves and pictures, kept in the run folder."),
        LoggerSpec("wandb", "dlplug.loggers:WeightsAndBiases", "Weights & Biases; offline by itself where it must be."),
    ]
