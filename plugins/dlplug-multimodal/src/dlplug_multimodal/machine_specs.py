"""Restricted Boltzmann machines, alone and joined, and what the notes say of them."""

from dlplug import ModelSpec, Spec

SPECS: list[Spec] = [
    ModelSpec(
        "gaussian-rbm",
        "dlplug_multimodal.gaussian_rbm:GaussianRBM",
        "Pictures explained by hidden units that are on or off: a Gaussian restricted Boltzmann machine.",
        lecture="5.5",
        tags=("image", "energy", "contrastive divergence", "gibbs", "unsupervised"),
        takes="images",
        data="mnist5k",
        recipe={"trainer.max_epochs": 30, "trainer.check_val_every_n_epoch": 10},
        learning="unsupervised",
    ),
    ModelSpec(
        "replicated-softmax",
        "dlplug_multimodal.replicated_softmax:ReplicatedSoftmax",
        "Counts of words explained by hidden units that are on or off: a topic model.",
        lecture="5.5",
        tags=("text", "counts", "energy", "topics", "contrastive divergence", "unsupervised"),
        takes="tagged images",
        data="emoji",
        recipe={"trainer.max_epochs": 100, "trainer.check_val_every_n_epoch": 20},
        learning="unsupervised",
    ),
]
