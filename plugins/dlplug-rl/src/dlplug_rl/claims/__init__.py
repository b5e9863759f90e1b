"""The sentences of sections 6.1 and 6.2, measured."""

ENVIRONMENTS = "dlplug_rl.claims.environments"  # the package that registers the claims' own
QUIET = ("--trainer.enable_progress_bar=false",)
NO_VALIDATION = (*QUIET, "--trainer.limit_val_batches=0")
