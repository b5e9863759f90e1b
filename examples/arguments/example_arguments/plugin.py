"""What this plugin hooks: with it, `dlplug fit --model NAME --early_stopping.patience 2` stops by itself."""

from dlplug import hookimpl


@hookimpl
def dlplug_add_arguments(parser):
    """Add a callback to each trainer, with its options and their defaults."""
    from lightning.pytorch.callbacks import EarlyStopping

    parser.add_lightning_class_args(EarlyStopping, "early_stopping")
    defaults = {"monitor": "val/loss", "patience": 10, "strict": False}
    parser.set_defaults({f"early_stopping.{name}": value for name, value in defaults.items()})


# Any other option: parser.add_argument("--name", type=int, default=3). It is kept in each run's config.yaml.
