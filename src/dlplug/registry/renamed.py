"""What runs of dlplug 0.1 call otherwise: one table, read only where such a run is opened. It goes in 0.3."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Modules by the room that they moved to; old=new where the module's own name changed too.
ROOMS = {
    "dlplug": "loggers: metrics=csv",
    "dlplug_vision": "data: digits full_size image_folder images mnist5k; models: cnn resnet",
    "dlplug_rl": "data: gym; models: dqn policy_gradient ppo q_learning",
    "dlplug_sequence": "data: parallel_text phrases ui_strings tweets bible text_file text_table adding_problem; "
    "models: bag_of_words markov mixture=interpolated_lm rnn_classifier rnn_lm rnn_regressor seq2seq transformer "
    "transformer_lm",
    "dlplug_multimodal": "data: tags=tag_folder captions=caption_folder clips=video_clips emoji emoji_scenes "
    "digit_names spoken_digits; models: captioner fusion gaussian_rbm joint_embedding multimodal_dbm "
    "replicated_softmax skip_gram soundnet",
}
# Classes by their old names, Infos with the module they are in.
CLASSES = {"Tags": "TagFolder", "Clips": "VideoClips", "Mixture": "InterpolatedLM"}
INFOS = {
    "ImageInfo": "dlplug.data:ImageInfo",
    "SoundedInfo": "dlplug_multimodal.data.audio_visual:AudioVisualInfo",
    "TaggedInfo": "dlplug_multimodal.data.tagged_images:TaggedImageInfo",
    "CaptionInfo": "dlplug_multimodal.data.captioned_images:CaptionedImageInfo",
    "EnvInfo": "dlplug_rl.data.environments:EnvInfo",
    "TextInfo": "dlplug_sequence.data.token_stream:TextInfo",
    "LabelledTextInfo": "dlplug_sequence.data.labelled_text:LabelledTextInfo",
    "PairInfo": "dlplug_sequence.data.text_pairs:PairInfo",
    "SequenceInfo": "dlplug_sequence.data.adding_problem:SequenceInfo",
}
# By the names of classes today: options and fields of Infos, metrics, keys that a checkpoint holds besides, weights.
OPTIONS = {
    "PixelCNN PixelRNN": "width=hidden_channels",
    "PixelCNN PixelRNN RNNClassifier RNNLM Seq2Seq Transformer TransformerLM": "layers=num_layers",
    "Autoencoder": "width=hidden_size",
    "VAE": "warm_up=kl_warmup samples=num_samples",
    "EmojiScenes": "size=scenes_per_epoch side=size",
    "SpokenDigits VideoClips": "hiss=noise_std picture_noise=image_noise_std sound_noise=sound_noise_std",
    "AudioVisualInfo VideoClips": "rate=sample_rate",
    "JointEmbedding SkipGram": "dimension=embedding_dim",
    "SkipGram": "drawn=num_noise_words sample=subsample",
    "JointEmbedding": "vectors=word_vectors",
    "GaussianRBM MultimodalDBM": "noise=visible_std",
    "MultimodalDBM": "path=image_encoder word_hidden=text_hidden joint=joint_hidden look=cnn_epochs "
    "apart=pretrain_epochs above=joint_layer_epochs lr_picture=lr_image lr_words=lr_text "
    "together=joint_lr_scale fill=multi_prediction_weight steps=mean_field_steps",
    "Captioner": "body=backbone",
    "Captioner RNNClassifier RNNLM RNNRegressor Seq2Seq": "hidden=hidden_size",
    "BagOfWords Captioner RNNClassifier RNNLM Seq2Seq": "embedding=embedding_dim",
    "Gym": "mode=vectorization_mode stop=stop_on_reward_threshold",
    "EnvInfo Gym": "max_steps=max_episode_steps",
    "DQN PPO PolicyGradient": "hidden=hidden_sizes",
    "DQN": "steps=train_freq updates=gradient_steps replay=buffer_size keep_replay=save_replay_buffer "
    "warm_up=learning_starts target_every=target_update_interval n_step=n_steps double=double_q "
    "priority=priority_alpha beta=priority_beta",
    "DQN QLearning": "epsilon=exploration_final_eps epsilon_steps=exploration_steps",
    "PPO": "trace=gae_lambda steps=n_steps rounds=n_epochs clip=clip_range value=vf_coef",
    "PPO PolicyGradient": "entropy=ent_coef greedy=deterministic",
    "PolicyGradient": "normalise=normalize_advantage fits=n_critic_updates",
    "QLearning": "initial=initial_value steps=steps_per_batch",
    "EnvInfo": "threshold=reward_threshold shape=observation_shape",
    "RNNLM": "tied=tie_embeddings carry=stateful",
    "TransformerLM": "context=context_length",
    "Transformer TransformerLM": "width=d_model heads=num_heads",
    "AddingProblem Bible SequenceInfo TextFile TextTable Tweets": "length=seq_len",
    "SequenceInfo": "size=input_size",
}
METRICS = {
    "PixelCNN PixelRNN VAE": "bits=bits_per_dim",
    "Autoencoder": "active=active_fraction",
    "VAE": "active=active_units",
    "JointEmbedding": "scale=logit_scale",
    "MultimodalDBM": "found=r_precision chance=r_precision_chance",
    "Captioner Seq2Seq Transformer": "exact=exact_match",
    "Fusion": "picture_loss=image_loss picture_accuracy=image_accuracy",
    "DQN PPO PolicyGradient QLearning": "return=episode_return length=episode_length solved=success_rate",
    "DQN": "q=q_value",
    "PPO": "kl=approx_kl clipped=clip_fraction",
    "InterpolatedLM Markov RNNLM TransformerLM": "bits=bits_per_char",
    "BagOfWords RNNClassifier": "recall=macro_recall",
    "CNN ResNet": "calibration=ece",
}
STATE = {
    "DQN": "followed=next_observations",
}
WEIGHTS = (
    ("PixelCNN", r"^(net\.layers\.\d+)\.above\.", r"\1.vertical."),
    ("PixelCNN", r"^(net\.layers\.\d+)\.down\.", r"\1.vertical_to_horizontal."),
    ("PixelCNN", r"^(net\.layers\.\d+)\.left\.", r"\1.horizontal."),
    ("PixelCNN", r"^(net\.layers\.\d+)\.labels\.", r"\1.class_embedding."),
    ("PixelCNN PixelRNN", r"^head\.widen\.", r"head.from_features."),
    ("PixelCNN PixelRNN", r"^head\.before\.", r"head.from_channels."),
    ("PixelRNN", r"^net\.first\.", r"net.input_conv."),
    ("PixelRNN", r"^(net\.layers\.\d+\.(?:left\.|right\.)?)input\.", r"\1input_to_state."),
    ("PixelRNN", r"^(net\.layers\.\d+\.(?:left\.|right\.)?)state\.", r"\1state_to_state."),
    ("PixelRNN", r"^(net\.layers\.\d+\.(?:left\.|right\.)?)labels\.", r"\1class_embedding."),
    ("VAE", r"^log_spread$", r"log_std"),
    ("GAN", r"^average\.", r"generator_ema."),
    ("GAN", r"^(generator|generator_ema)\.draw\.", r"\1.layers."),
    ("GAN", r"^discriminator\.tell\.", r"discriminator.layers."),
    ("JointEmbedding", r"^see\.", r"image_encoder."),
    ("JointEmbedding", r"^read\.", r"text_encoder."),
    ("JointEmbedding", r"^embed$", r"word_embedding"),
    ("GaussianRBM", r"^pixels\.", r"standardizer."),
    ("MultimodalDBM", r"^eye\.", r"standardizer."),
    ("MultimodalDBM", r"^machine\.picture\.", r"machine.image."),
    ("MultimodalDBM", r"^machine\.words\.", r"machine.text."),
    ("Captioner", r"^eye\.", r"image_encoder."),
    ("Captioner", r"^places$", r"position_embedding"),
    ("Captioner", r"^first\.", r"init_state."),
    ("SoundNet", r"^student\.scores\.", r"student.classifier."),
    ("Fusion", r"^picture_scores\.", r"image_classifier."),
    ("Fusion", r"^picture\.", r"image."),
    ("Fusion", r"^sound\.scores\.", r"sound.classifier."),
    ("Fusion", r"^scores\.", r"classifier."),
    ("DQN", r"^network\.", r"q_network."),
    ("DQN", r"^target\.", r"target_network."),
    ("PPO PolicyGradient", r"^policy\.log_spread$", r"policy.log_std"),
    ("PolicyGradient", r"^played$", r"num_episodes"),
    ("Transformer", r"\.own\.", r".self_attention."),
    ("Transformer", r"\.norm_own\.", r".norm_self."),
    ("Transformer", r"\.cross\.", r".cross_attention."),
    ("Transformer", r"\.think\.", r".feed_forward."),
)


def is_old(recorded: Iterable[str]) -> bool:
    """Return whether recorded versions are those of a run of dlplug 0.1."""
    return any(line.startswith("dlplug 0.1.") for line in recorded)


def class_path(path: str) -> str:
    """Return what a class path of 0.1 is now."""
    package, _, rest = path.partition(".")
    module, _, name = rest.rpartition(".")
    for line in filter(None, ROOMS.get(package, "").split("; ")):
        room, modules = line.split(":")
        if (new := _pairs(modules).get(module)) is not None:
            return f"{package}.{room}.{new or module}.{CLASSES.get(name, name)}"
    return path


def config(content: Any) -> Any:
    """Return the content of a config of 0.1 in today's words: class paths, and the options of each class."""
    if isinstance(content, list):
        return [config(entry) for entry in content]
    if not isinstance(content, dict):
        return content
    renamed = {key: config(value) for key, value in content.items()}
    if isinstance(path := content.get("class_path"), str):
        renamed["class_path"] = class_path(path)
        if isinstance(init_args := renamed.get("init_args"), dict):
            renamed["init_args"] = _rename(init_args, OPTIONS, renamed["class_path"])
    return renamed


def metrics(model: str) -> dict[str, str]:
    """Return today's name of each metric that the class of that path called otherwise, stages included."""
    pairs = _of(METRICS, model).items()
    return {f"{stage}/{old}": f"{stage}/{new}" for stage in ("train", "val", "test") for old, new in pairs}


def about(content: dict[str, Any]) -> dict[str, Any]:
    """Return what a run says of itself in today's words, if it is of 0.1: the metrics of its panels among it."""
    match content:
        case {"versions": {"dlplug": str(made)}, "model": {"class_path": str(path)}} if made.startswith("0.1."):
            model = class_path(path)
        case _:
            return content
    names, curves = metrics(model), _of(METRICS, model)
    monitor, panels = content.get("monitor") or [], content.get("panels", [])
    renamed = [{**panel, "curves": [curves.get(name, name) for name in panel["curves"]]} for panel in panels]
    new = {"monitor": [names.get(name, name) for name in monitor], "panels": renamed, "renamed_metrics": names}
    return {**content, **new, "axis": names.get(content.get("axis", ""), content.get("axis", ""))}


def checkpoint(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a checkpoint of 0.1 in today's words; ``renamed_metrics`` is what ``metrics`` returns."""
    options = content.get("hyper_parameters", {})
    model = class_path(str(options.get("_class_path", "")))
    weights = ("state_dict", "optimizer_states")
    plain = {key: value for key, value in content.items() if key not in weights}
    renamed: dict[str, Any] = {**content, **_plain(plain, _of(STATE, model))}
    if "_class_path" in options:
        renamed["hyper_parameters"] = _rename({**options, "_class_path": model}, OPTIONS, model)
    renamed["state_dict"] = {_weight(name, model): value for name, value in content["state_dict"].items()}
    renamed["renamed_metrics"] = metrics(model)
    return renamed


def _pairs(text: str) -> dict[str, str]:
    return {old: new for old, _, new in (pair.partition("=") for pair in text.split())}


def _of(table: Mapping[str, str], path: str) -> dict[str, str]:
    """Return what a table says of the class at the end of a class path."""
    name = path.rpartition(".")[2] if path.startswith("dlplug_") else ""
    return {old: new for names, text in table.items() if name in names.split() for old, new in _pairs(text).items()}


def _rename(content: Mapping[str, Any], table: Mapping[str, str], path: str) -> dict[str, Any]:
    names = _of(table, path)
    return {names.get(key, key): value for key, value in content.items()}


def _plain(content: Any, names: Mapping[str, str]) -> Any:
    """Rename keys and Infos in plain data, however deep."""
    if isinstance(content, list):
        return [_plain(part, names) for part in content]
    if not isinstance(content, dict):
        return content
    renamed = {names.get(key, key): _plain(value, names) for key, value in content.items()}
    if (new := INFOS.get(str(content.get("type")))) is not None:
        renamed = {**_rename(renamed, OPTIONS, new.replace(":", ".")), "type": new}
    if isinstance(path := content.get("class_path"), str):  # of a model kept in another's checkpoint
        renamed["class_path"] = class_path(path)
        renamed["options"] = _rename(renamed.get("options", {}), OPTIONS, renamed["class_path"])
    return renamed


def _weight(name: str, path: str) -> str:
    for classes, pattern, new in WEIGHTS:
        if path.rpartition(".")[2] in classes.split():
            name = re.sub(pattern, new, name)
    return name
