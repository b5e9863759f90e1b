"""What the core itself offers, as a plugin like any other."""

from dlplug import LoggerSpec, Spec, hookimpl


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the loggers."""
    return [
        LoggerSpec("csv", "dlplug.loggers.csv:MetricsFile", "The run's metrics.csv; always on."),
        LoggerSpec(
            "tensorboard",
            "dlplug.loggers:TensorBoard",
            "Curves and pictures for TensorBoard, in the run folder.",
        ),
        LoggerSpec("wandb", "dlplug.loggers:WeightsAndBiases", "Weights & Biases; offline by itself where it must be."),
    ]
