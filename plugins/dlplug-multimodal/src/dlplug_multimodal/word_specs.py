"""Embeddings of words and of pictures, the emoji that they learn from, and what the notes say of them."""

from dlplug import ClaimSpec, DataSpec, ModelSpec, Spec

SPECS: list[Spec] = [
    ModelSpec(
        "skip-gram",
        "dlplug_multimodal.models.skip_gram:SkipGram",
        "A vector for each word, from the words around it: word2vec.",
        lecture="5.4",
        tags=("words", "text", "embedding", "word2vec", "negative sampling", "analogy"),
        takes="text",
        data="bible",
        recipe={
            "trainer.max_epochs": 6,
            "trainer.check_val_every_n_epoch": 2,
            "data.level": "word",
            "data.min_count": 5,
            "data.batch_size": 32,
            "data.seq_len": 64,
        },
        learning="unsupervised",
        check_options={"generate.text": "the"},
    ),
    ModelSpec(
        "joint-embedding",
        "dlplug_multimodal.models.joint_embedding:JointEmbedding",
        "Pictures and words in one space: finds each by the other, and pictures by both.",
        lecture="5.4",
        tags=("pictures", "words", "embedding", "contrastive", "clip", "devise", "retrieval"),
        takes="tagged images",
        data="emoji",
        recipe={
            "trainer.max_epochs": 40,
            "trainer.check_val_every_n_epoch": 5,
            "data.batch_size": 128,
        },
        recipes={
            "emoji": {"data.text": "both", "data.augment": 1.0},
            "digit-names": {"trainer.max_epochs": 3, "trainer.check_val_every_n_epoch": 1},
        },
        learning="supervised",
        check_options={"generate.text": "flag"},
    ),
    DataSpec(
        "emoji",
        "dlplug_multimodal.data.emoji:Emoji",
        "1,903 emoji: a picture and its tags, or its name.",
        lecture="5.5",
        tags=("pictures", "words", "tags"),
        gives="tagged images",
    ),
    DataSpec(
        "digit-names",
        "dlplug_multimodal.data.digit_names:DigitNames",
        "5,000 handwritten digits, each with its name.",
        lecture="5.4",
        tags=("pictures", "words", "mnist"),
        gives="tagged images",
    ),
    ClaimSpec(
        "images-dense-text-sparse",
        "dlplug_multimodal.claims.words:dense_and_sparse",
        "Images are real-valued and dense, text discrete and sparse: a layer that suits one does not suit the other.",
        lecture="5.2",
        models=("joint-embedding",),
    ),
    ClaimSpec(
        "words-are-vectors",
        "dlplug_multimodal.claims.words:words",
        "A word becomes a vector, and words of a kind lie together.",
        lecture="5.4",
        models=("skip-gram",),
    ),
    ClaimSpec(
        "embeddings-switch",
        "dlplug_multimodal.claims.words:switch",
        "Embeddings switch between modalities: words find pictures, pictures words, and both together the two in one.",
        lecture="5.4",
        models=("joint-embedding",),
    ),
]
