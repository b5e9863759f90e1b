"""The captioner and the captioned pictures that it learns from, and what the notes say of them."""

from dlplug import ClaimSpec, DataSpec, ModelSpec, Spec

SPECS: list[Spec] = [
    ModelSpec(
        "captioner",
        "dlplug_multimodal.models.captioner:Captioner",
        "Says in words what a picture shows: a network that sees, a network that writes.",
        lecture="5.6",
        tags=("image", "caption", "text", "convolution", "recurrent", "attention", "encoder-decoder", "beam search"),
        takes="captioned pictures",
        data="emoji-scenes",
        recipe={
            "data.batch_size": 16,
            "trainer.max_epochs": 16,
            "trainer.check_val_every_n_epoch": 4,
            "trainer.gradient_clip_val": 1.0,
        },
        learning="supervised",
        check_options={"data.size": 128, "data.kinds": 5},
        skip_checks={"generates": "it describes a picture, which has to be there first"},
    ),
    DataSpec(
        "emoji-scenes",
        "dlplug_multimodal.data.emoji_scenes:EmojiScenes",
        "Two emoji on a coloured canvas, and where: a camera below a jellyfish; new ones without end.",
        lecture="5.6",
        tags=("pictures", "words", "captions"),
        gives="captioned pictures",
    ),
    DataSpec(
        "captions",
        "dlplug_multimodal.data.caption_folder:CaptionFolder",
        "Your own pictures with a file of captions, in Flickr8k's or COCO's layout.",
        lecture="5.6",
        tags=("pictures", "words", "captions", "own", "folder", "flickr", "coco"),
        gives="captioned pictures",
        needs_files=True,
    ),
    ClaimSpec(
        "captions-need-pictures",
        "dlplug_multimodal.claims.captions:need_pictures",
        "A CNN that sees and an RNN that writes turn an image into a sentence.",
        lecture="5.6",
        models=("captioner",),
    ),
    ClaimSpec(
        "captioner-quality",
        "dlplug_multimodal.claims.captions:quality",
        "The default recipe of captioner says 90 % of scenes of pairs held out to the letter.",
        lecture="5.6",
        models=("captioner",),
        full=True,
    ),
    ClaimSpec(
        "low-layers-transfer",
        "dlplug_multimodal.claims.captions:low_layers",
        "Low-level features are still useful for another task; high-level ones less.",
        lecture="5.3",
        models=("cnn",),
    ),
]
