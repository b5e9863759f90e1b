"""What the core itself offers, as a plugin like any other: its commands, a table of them, and its loggers."""

from dlplug import CommandSpec, LoggerSpec, Spec, hookimpl

TRAIN, SHOW, INSTALL = "commands.train:main", "commands.show:configure", "commands.install:configure"
# The first two parse their arguments themselves: they are given the command's name and arguments.
OWN_PARSER = {"dlplug.commands.train:main", "dlplug.commands.generate:main"}
# fmt: off
GROUPS = {  # name, target, usage, summary, what it takes
    "train and look": (
        ("fit", TRAIN, "--model NAME [options]", "train a model on its own data with its own recipe"),
        ("test", TRAIN, "RUN", "measure a run's best checkpoint on the test data"),
        ("validate", TRAIN, "RUN", "the same on the validation data"),
        ("predict", TRAIN, "RUN", "predict the test data, or new files: --input FILE|FOLDER|-"),
        ("generate", "commands.generate:main", "RUN [options]", "draw, write or play with a trained model"),
        ("report", "commands.report:configure", "RUN [RUN ...]",
         "write a run as one HTML page, or several side by side", "run"),
        ("dashboard", "commands.dashboard:configure", "MODEL --entity E",
         "save the model's panels as a Weights & Biases workspace", "model"),
    ),
    "write and check": (
        ("new", "commands.new:configure", "NAME [DIR]",
         "write a plugin that works at once, to be changed into yours; --kind model, data, claim or command"),
        ("sample", "commands.sample:configure", "KIND DIR",
         "small files as a kind of own data takes them, to start from", "words"),
        ("verify", "commands.verify:configure", "[WORD ...]",
         "measure sentences of the course: claims, models or sections by name", "words"),
        ("check", "testing.check_command:configure", "NAME",
         "whether a plugin keeps what it promises, and what to change", "words"),
    ),
    "find": (
        ("list", f"{SHOW}_list", "[WORD] [--json]", "models and data, by section of the course", "words"),
        ("info", f"{SHOW}_info", "NAME", "one card: arguments, data that fits, where it comes from", "words"),
        ("plugins", f"{SHOW}_plugins", "", "installed plugins: where from, what they hook, or why one does not load"),
    ),
    "set up": (
        ("install", INSTALL, "SOURCE ...", "plugins by name, wheel, folder or git address, into this environment"),
        ("uninstall", f"{INSTALL}_uninstall", "NAME", "remove a plugin; says first which runs need it", "words"),
        ("doctor", "commands.doctor:configure", "",
         "what is installed here, what works, and what to put in a bug report"),
        ("completion", "commands.completion:configure", "bash|zsh|fish",
         "a script that completes commands, names, options and run folders"),
    ),
}
# fmt: on
COMMANDS = {
    name: CommandSpec(name, f"dlplug.{target}", summary, usage=usage, group=group, takes=(*takes, "")[0])  # type: ignore[arg-type]
    for group, rows in GROUPS.items()
    for name, target, usage, summary, *takes in rows
}


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the commands and the loggers."""
    return [
        *COMMANDS.values(),
        LoggerSpec("csv", "dlplug.loggers.csv:MetricsFile", "The run's metrics.csv; always on."),
        LoggerSpec(
            "tensorboard",
            "dlplug.loggers:TensorBoard",
            "Curves and pictures for TensorBoard, in the run folder.",
        ),
        LoggerSpec("wandb", "dlplug.loggers:WeightsAndBiases", "Weights & Biases; offline by itself where it must be."),
    ]
