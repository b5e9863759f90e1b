"""What this plugin offers: models of images and words, of captions, and of sound."""

from dlplug import ClaimSpec, DataSpec, ModelSpec, Spec, hookimpl

NEEDS_INPUT = {"generates": "it takes an image or a sound, which has to be there first"}
SMALL_PAIRS = {"data.pairs": 200, "trainer.max_epochs": 2}

MODELS: list[Spec] = [
    ModelSpec(
        "skip-gram",
        "dlplug_multimodal.models.skip_gram:SkipGram",
        "An embedding of each word, from the words around it: word2vec.",
        lecture="5.4",
        tags=("words", "text", "embedding", "word2vec", "negative sampling", "analogy"),
        takes="text",
        data="bible",
        # 0.91 and 0.93 on validation's odd-one-out items, which are there to choose by.
        recipe={
            "trainer.max_epochs": 6,
            "trainer.check_val_every_n_epoch": 2,
            "data.level": "word",
            "data.min_count": 5,  # rarer words have too few pairs to learn from
            "data.batch_size": 32,
            "data.seq_len": 64,
        },
        learning="unsupervised",
        check_options={"generate.text": "the"},
    ),
    ModelSpec(
        "joint-embedding",
        "dlplug_multimodal.models.joint_embedding:JointEmbedding",
        "Images and words in one embedding space: finds each by the other, and images by both.",
        lecture="5.4",
        tags=("images", "words", "embedding", "contrastive", "clip", "devise", "retrieval"),
        takes="tagged images",
        data="emoji",
        recipe={
            "trainer.max_epochs": 40,
            "trainer.check_val_every_n_epoch": 5,
            "data.batch_size": 128,  # each text has the other images of the batch as negatives
        },
        recipes={
            "emoji": {"data.text": "both", "data.augment": 1.0},
            "digit-names": {"trainer.max_epochs": 3, "trainer.check_val_every_n_epoch": 1},
        },
        learning="supervised",
        check_options={"generate.text": "flag"},
    ),
    ModelSpec(
        "gaussian-rbm",
        "dlplug_multimodal.models.gaussian_rbm:GaussianRBM",
        "Images explained by binary hidden units: a Gaussian-Bernoulli restricted Boltzmann machine.",
        lecture="5.5",
        tags=("image", "energy", "contrastive divergence", "gibbs", "unsupervised"),
        takes="images",
        data="mnist5k",
        recipe={"trainer.max_epochs": 30, "trainer.check_val_every_n_epoch": 10},
        learning="unsupervised",
        check_options={"model.hidden": 32},
    ),
    ModelSpec(
        "replicated-softmax",
        "dlplug_multimodal.models.replicated_softmax:ReplicatedSoftmax",
        "Counts of words explained by binary hidden units: a topic model.",
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
        "Images and words in one deep Boltzmann machine, either of which may be missing.",
        lecture="5.5",
        tags=("image", "text", "tags", "energy", "gibbs", "mean field", "retrieval"),
        takes="tagged images",
        data="emoji",
        recipe={"trainer.max_epochs": 40, "trainer.check_val_every_n_epoch": 10},
        # For what else was tried in validation see the README.
        recipes={name: {"data.size": 16, "data.augment": 1.0, "data.flip": True} for name in ("emoji", "tags")},
        learning="unsupervised",
        check_options={"model.pretrain_epochs": 0, "model.joint_layer_epochs": 0, "generate.text": "animals"},
    ),
    ModelSpec(
        "captioner",
        "dlplug_multimodal.models.captioner:Captioner",
        "Captions an image: a convolutional encoder, a recurrent decoder.",
        lecture="5.6",
        tags=("image", "caption", "text", "convolution", "recurrent", "attention", "encoder-decoder", "beam search"),
        takes="captioned images",
        data="emoji-scenes",
        recipe={
            "data.batch_size": 16,  # the plateau ends sooner than with 64
            "trainer.max_epochs": 16,
            "trainer.check_val_every_n_epoch": 4,
            "trainer.gradient_clip_val": 1.0,
        },
        learning="supervised",
        check_options={"data.scenes_per_epoch": 128, "data.kinds": 5},
        skip_checks=NEEDS_INPUT,
    ),
    ModelSpec(
        "soundnet",
        "dlplug_multimodal.models.soundnet:SoundNet",
        "A sound model, the student, learns from an image model, the teacher; no sound is labelled.",
        lecture="5.7",
        tags=("sound", "speech", "images", "distillation", "waveform"),
        takes="images and sounds",
        data="spoken-digits",
        recipe={"trainer.max_epochs": 15},
        learning="unsupervised",
        check_options={**SMALL_PAIRS, "model.teacher_epochs": 1, "model.channels": [8, 8, 8, 16]},
        skip_checks=NEEDS_INPUT,
    ),
    ModelSpec(
        "fusion",
        "dlplug_multimodal.models.fusion:Fusion",
        "An image model and a sound model, combined at a higher level; either input may be missing.",
        lecture="5.2",
        tags=("sound", "speech", "images", "modality dropout", "missing"),
        takes="images and sounds",
        data="spoken-digits",
        recipe={"data.batch_size": 32, "trainer.max_epochs": 10},
        learning="supervised",
        check_options={**SMALL_PAIRS, "model.pretrain_epochs": 1},
        skip_checks=NEEDS_INPUT,
    ),
]

DATA: list[Spec] = [
    DataSpec(
        "emoji",
        "dlplug_multimodal.data.emoji:Emoji",
        "1,903 emoji: an image and its tags, or its name.",
        lecture="5.5",
        tags=("images", "words", "tags"),
        gives="tagged images",
    ),
    DataSpec(
        "digit-names",
        "dlplug_multimodal.data.digit_names:DigitNames",
        "5,000 handwritten digits, each with its name.",
        lecture="5.4",
        tags=("images", "words", "mnist"),
        gives="tagged images",
    ),
    DataSpec(
        "tags",
        "dlplug_multimodal.data.tag_folder:TagFolder",
        "Your own images with tags: a folder and a table.",
        lecture="5.5",
        tags=("images", "words", "tags", "own", "folder"),
        gives="tagged images",
        needs_files=True,
    ),
    DataSpec(
        "emoji-scenes",
        "dlplug_multimodal.data.emoji_scenes:EmojiScenes",
        "Two emoji on a coloured canvas, and where: a camera below a jellyfish; new ones without end.",
        lecture="5.6",
        tags=("images", "words", "captions"),
        gives="captioned images",
    ),
    DataSpec(
        "captions",
        "dlplug_multimodal.data.caption_folder:CaptionFolder",
        "Your own images with a file of captions, in Flickr8k's or COCO's layout.",
        lecture="5.6",
        tags=("images", "words", "captions", "own", "folder", "flickr", "coco"),
        gives="captioned images",
        needs_files=True,
    ),
    DataSpec(
        "spoken-digits",
        "dlplug_multimodal.data.spoken_digits:SpokenDigits",
        "5,000 handwritten digits, each with the same digit spoken: synthetic speech, 120 voices.",
        lecture="5.7",
        tags=("images", "sound", "speech", "synthetic", "mnist"),
        gives="images and sounds",
        check_options={"data.pairs": 200},
    ),
    DataSpec(
        "clips",
        "dlplug_multimodal.data.video_clips:VideoClips",
        "Your own videos: a folder of frames and a WAV file each, or video files.",
        lecture="5.7",
        tags=("images", "sound", "video", "own", "folder"),
        gives="images and sounds",
        needs_files=True,
    ),
]

CLAIMS: list[Spec] = [
    ClaimSpec(
        "one-model-three-modes",
        "dlplug_multimodal.claims.machines:three_modes",
        "Modalities are learned jointly, one assists the other, or one goes in and the other comes out.",
        lecture="5.1",
        models=("multimodal-dbm",),
    ),
    ClaimSpec(
        "images-dense-text-sparse",
        "dlplug_multimodal.claims.words:dense_and_sparse",
        "Images are real-valued and dense, text discrete and sparse: a layer that suits one does not suit the other.",
        lecture="5.2",
        models=("joint-embedding",),
    ),
    ClaimSpec(
        "missing-data",
        "dlplug_multimodal.claims.fusion:missing",
        "Missing data are hard, unless the model was trained to do without.",
        lecture="5.2",
        models=("fusion",),
    ),
    ClaimSpec(
        "higher-level",
        "dlplug_multimodal.claims.fusion:level",
        "Separate models for a single modality are best combined at a higher level.",
        lecture="5.2",
        models=("fusion",),
    ),
    ClaimSpec(
        "pretrain-one-modality",
        "dlplug_multimodal.claims.fusion:pretrained",
        "Models pretrained on single-modality data are a better start than random.",
        lecture="5.2",
        models=("fusion",),
    ),
    ClaimSpec(
        "low-layers-transfer",
        "dlplug_multimodal.claims.captions:low_layers",
        "Low-level features are still useful for another task; high-level ones less.",
        lecture="5.3",
        models=("cnn",),
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
        "Embeddings switch between modalities: words find images, images words, and both together the two in one.",
        lecture="5.4",
        models=("joint-embedding",),
    ),
    ClaimSpec(
        "units-suit-data",
        "dlplug_multimodal.claims.machines:suit",
        "Gaussian units suit images, which are dense, and the replicated softmax words, which are sparse.",
        lecture="5.5",
        models=("gaussian-rbm", "replicated-softmax"),
    ),
    ClaimSpec(
        "dbm-answers-double-queries",
        "dlplug_multimodal.claims.machines:double",
        "An image of a sunset and the word sea together find a sunset at sea better than either alone.",
        lecture="5.5",
        models=("multimodal-dbm",),
    ),
    ClaimSpec(
        "captions-need-pictures",
        "dlplug_multimodal.claims.captions:need_pictures",
        "A CNN encoder and an RNN decoder turn an image into a sentence.",
        lecture="5.6",
        models=("captioner",),
    ),
    ClaimSpec(
        "captioner-quality",
        "dlplug_multimodal.claims.captions:quality",
        "The default recipe of captioner captions 90 % of scenes of held-out pairs exactly.",
        lecture="5.6",
        models=("captioner",),
        full=True,
    ),
    ClaimSpec(
        "hearing-from-seeing",
        "dlplug_multimodal.claims.sound:hearing",
        "A network that hears learns a representation of sound from one that sees.",
        lecture="5.7",
        models=("soundnet",),
    ),
]


@hookimpl
def dlplug_specs() -> list[Spec]:
    """Return the models, the data and the claims."""
    return [*MODELS, *DATA, *CLAIMS]
