"""Restricted Boltzmann machines, alone and joined, and what the notes say of them."""

from dlplug import ClaimSpec, DataSpec, ModelSpec, Spec

SPECS: list[Spec] = [
    ModelSpec(
        "gaussian-rbm",
        "dlplug_multimodal.models.gaussian_rbm:GaussianRBM",
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
        "dlplug_multimodal.models.replicated_softmax:ReplicatedSoftmax",
        "Counts of words explained by hidden units that are on or off: a topic model.",
        lecture="5.5",
        tags=("text", "counts", "energy", "topics", "contrastive divergence", "unsupervised"),
        takes="tagged images",
        data="emoji",
        recipe={"trainer.max_epochs": 100, "trainer.check_val_every_n_epoch": 20},
        learning="unsupervised",
    ),
    ModelSpec(
        "multimodal-dbm",
        "dlplug_multimodal.models.multimodal_dbm:MultimodalDBM",
        "Pictures and words in one deep Boltzmann machine, either of which may be missing.",
        lecture="5.5",
        tags=("image", "text", "tags", "energy", "gibbs", "mean field", "retrieval"),
        takes="tagged images",
        data="emoji",
        recipe={
            "trainer.max_epochs": 40,
            "trainer.check_val_every_n_epoch": 10,
        },
        recipes={name: {"data.size": 16, "data.augment": 1.0, "data.flip": True} for name in ("emoji", "tags")},
        learning="unsupervised",
        check_options={"model.apart": 0, "model.above": 0, "generate.text": "animals"},
    ),
    DataSpec(
        "tags",
        "dlplug_multimodal.data.tag_folder:Tags",
        "Pictures of your own with tags: a folder and a table.",
        lecture="5.5",
        tags=("pictures", "words", "tags", "files"),
        gives="tagged images",
        skip_checks=dict.fromkeys(("loads", "traces"), "it reads files that have to be there first"),
    ),
    ClaimSpec(
        "one-model-three-modes",
        "dlplug_multimodal.claims.machines:three_modes",
        "Modalities are learnt jointly, one assists the other, or one goes in and the other comes out.",
        lecture="5.1",
        models=("multimodal-dbm",),
    ),
    ClaimSpec(
        "units-suit-data",
        "dlplug_multimodal.claims.machines:suit",
        "Gaussian units suit pictures, which are dense, and the replicated softmax words, which are sparse.",
        lecture="5.5",
        models=("gaussian-rbm", "replicated-softmax"),
    ),
    ClaimSpec(
        "dbm-answers-double-queries",
        "dlplug_multimodal.claims.machines:double",
        "A picture of a sunset and the word sea together find a sunset at sea better than either alone.",
        lecture="5.5",
        models=("multimodal-dbm",),
    ),
]
