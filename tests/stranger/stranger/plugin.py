"""What it offers: one of each."""

from dlplug import ClaimSpec, CommandSpec, DataSpec, LoggerSpec, ModelSpec, hookimpl


@hookimpl
def dlplug_specs():
    """Say what there is."""
    return [
        ModelSpec(
            "plane",
            "stranger.model:Plane",
            "A plane through points.",
            "2.1",
            ("regression",),
            takes="points",
            data="points",
            recipe={"trainer.max_epochs": 2, "model.lr": 0.1},
            recipes={"points:steep": {"model.lr": 0.2}},
            learning="supervised",
            check_options={"model.hidden_size": 2, "generate.n": 3},
            skip_checks={"sizes": "its points have two coordinates"},
        ),
        DataSpec("points", "stranger.data:Points", "Points on a plane.", "2.1", gives="points", recipe_key="slope"),
        LoggerSpec("tape", "stranger.logger:Tape", "Every line on one file."),
        ClaimSpec(
            "it-falls",
            "stranger.claim:it_falls",
            "Training lowers the loss.",
            "2.1",
            models=("plane",),
            seeds=(0, 1, 2, 3, 4, 5),
        ),
        CommandSpec("slope", "stranger.command:configure", "The slope that a run found.", usage="RUN", takes="run"),
    ]


@hookimpl
def dlplug_callbacks():
    """Count epochs."""
    from stranger.logger import Count

    return [Count()]


@hookimpl
def dlplug_add_arguments(parser):
    """Add an argument to every training."""
    parser.add_argument("--note", type=str, default="", help="A note that is kept in the config.")
