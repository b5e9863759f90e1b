"""Models that hear, and what they hear, and what the notes say of them."""

from dlplug import ClaimSpec, DataSpec, ModelSpec, Spec

NEEDS_SOUND = {"generates": "it needs a picture or a sound of yours"}
SHORT = {"data.pairs": 200, "trainer.max_epochs": 2}

SPECS: list[Spec] = [
    ModelSpec(
        "soundnet",
        "dlplug_multimodal.models.soundnet:SoundNet",
        "A student that hears learns from a teacher that sees; no sound is labelled.",
        lecture="5.7",
        tags=("sound", "speech", "pictures", "distillation", "waveform"),
        takes="pictures and sounds",
        data="spoken-digits",
        recipe={"trainer.max_epochs": 15},
        learning="unsupervised",
        check_options={**SHORT, "model.teacher_epochs": 1},
        skip_checks=NEEDS_SOUND,
    ),
    ModelSpec(
        "fusion",
        "dlplug_multimodal.models.fusion:Fusion",
        "A model that sees and one that hears, combined at a higher level; either input may be missing.",
        lecture="5.2",
        tags=("sound", "speech", "pictures", "modality dropout", "missing"),
        takes="pictures and sounds",
        data="spoken-digits",
        recipe={"data.batch_size": 32, "trainer.max_epochs": 10},
        learning="supervised",
        check_options={**SHORT, "model.pretrain_epochs": 1},
        skip_checks=NEEDS_SOUND,
    ),
    DataSpec(
        "spoken-digits",
        "dlplug_multimodal.data.spoken_digits:SpokenDigits",
        "5,000 handwritten digits, each with the same digit spoken: synthetic speech, 120 voices.",
        lecture="5.7",
        tags=("pictures", "sound", "speech", "synthetic", "mnist"),
        gives="pictures and sounds",
        check_options={"data.pairs": 200},
    ),
    DataSpec(
        "clips",
        "dlplug_multimodal.data.video_clips:Clips",
        "Your own videos: a folder of frames and a WAV file each, or video files.",
        lecture="5.7",
        tags=("pictures", "sound", "video", "own", "folder"),
        gives="pictures and sounds",
        needs_files=True,
    ),
    ClaimSpec(
        "hearing-from-seeing",
        "dlplug_multimodal.claims.sound:hearing",
        "A network that hears learns a representation of sound from one that sees.",
        lecture="5.7",
        models=("soundnet",),
    ),
    ClaimSpec(
        "missing-data",
        "dlplug_multimodal.claims.fusion:missing",
        "Missing data are hard, unless the model has learned to do without.",
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
        "dlplug_multimodal.claims.fusion:apart",
        "Models pretrained on single-modality data are a better start than random.",
        lecture="5.2",
        models=("fusion",),
    ),
]
