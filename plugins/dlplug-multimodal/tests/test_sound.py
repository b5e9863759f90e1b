"""Sound: WAV files, augmentation, spoken digits, video clips, and the models of sounds."""

import importlib.util
import struct
import wave

import numpy as np
import PIL.Image
import pytest
import torch
from scipy.io import wavfile

from dlplug.errors import InputError
from dlplug_multimodal.data import espeak, video_clips
from dlplug_multimodal.data.audio_visual import AudioVisualInfo, random_shift_and_stretch
from dlplug_multimodal.data.spoken_digits import DIGITS, SPEAKERS, WORDS, SpokenDigits
from dlplug_multimodal.data.video_clips import VideoClips
from dlplug_multimodal.data.wav import chunk, read_wav, resample
from dlplug_multimodal.evaluation.linear_probe import linear_probe, log_spectrogram, spectrum_statistics
from dlplug_multimodal.models.fusion import Fusion
from dlplug_multimodal.models.soundnet import SoundNet
from dlplug_multimodal.nn.waveform_cnn import WaveformCNN

needs_espeak = pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="the extra `speech`")
INFO = AudioVisualInfo(1, 12, 12, 1000, 8000, 3, ("a", "b", "c"), ("x", "y"))


def write_wav(path, samples, rate=8000, width=2, channels=1):
    """Write samples from -1 to 1, shape (n,) or (n, channels)."""
    top = 2 ** (8 * width - 1) - 1
    if width == 1:
        content = np.round(samples * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(samples * top).astype("<i4").reshape(-1)
        content = whole.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(content)
    return path


def tone(hertz, seconds=1.0, rate=8000):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_of_any_width_is_read(tmp_path, width):
    sound = tone(440)
    read = read_wav(write_wav(tmp_path / "a.wav", sound, width=width), 8000)
    assert read.shape == (8000,)
    assert np.abs(read.numpy() - sound).max() < (0.01 if width == 1 else 1e-4)


def test_wav_of_floats_is_read(tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, tone(440))
    assert np.array_equal(read_wav(tmp_path / "a.wav", 8000).numpy(), tone(440))


def test_stereo_is_averaged_and_another_rate_is_changed(tmp_path):
    both = np.stack([tone(440, rate=22050), np.zeros(22050, np.float32)], 1)
    read = read_wav(write_wav(tmp_path / "a.wav", both, rate=22050, channels=2), 8000)
    assert abs(len(read) - 8000) <= 1
    middle = slice(1000, 7000)
    assert np.abs(read.numpy()[middle] - tone(440)[middle] / 2).max() < 0.01


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(InputError, match=r"a\.wav is not a WAV file"):
        read_wav(tmp_path / "a.wav", 8000)
    with pytest.raises(InputError, match=r"b\.wav is not a WAV file"):
        read_wav(tmp_path / "b.wav", 8000)


def test_a_tone_keeps_its_pitch_at_another_rate():
    spectrum = np.abs(np.fft.rfft(resample(tone(1000, rate=22050), 22050, 8000)[:8000]))
    assert abs(int(spectrum.argmax()) - 1000) <= 1


def test_chunks_have_one_length():
    assert chunk(torch.arange(25.0), 10).tolist() == torch.arange(20.0).view(2, 10).tolist()
    assert chunk(torch.ones(2), 6).tolist() == [[0, 0, 1, 1, 0, 0]]


def test_sounds_are_shifted_by_at_most_so_much():
    waves = torch.eye(50)[20].repeat(200, 1)
    moved = random_shift_and_stretch(waves, 5, 0.0).argmax(1)
    assert 14 <= moved.min() < 17
    assert 23 < moved.max() <= 26
    assert torch.allclose(random_shift_and_stretch(waves, 0, 0.0), waves, atol=1e-6)


def test_sounds_are_played_faster_and_slower():
    waves = torch.from_numpy(tone(1000)).repeat(100, 1)
    pitch = torch.fft.rfft(random_shift_and_stretch(waves, 0, 0.2)).abs().argmax(1)
    assert 790 < pitch.min() < 850
    assert 1150 < pitch.max() < 1210


def test_a_linear_probe_reads_what_a_line_can_separate():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(200, 5, generator=generator), torch.arange(200) % 2
    x[:, 0] += 4.0 * y
    assert linear_probe(lambda rows: rows, (x[:100], y[:100]), (x[100:], y[100:])) > 0.9
    assert linear_probe(lambda rows: rows[:, 1:], (x[:100], y[:100]), (x[100:], y[100:])) < 0.7


def test_spectrogram_finds_a_tone():
    log = log_spectrogram(torch.from_numpy(tone(1000))[None])
    assert log.shape == (1, 129, 63)
    assert log[0, :, 30].argmax() == 32  # 1000 Hz of 4000 in 128 steps
    assert spectrum_statistics(torch.zeros(2, 8000)).shape == (2, 258)


@pytest.mark.parametrize("samples", [1000, 8000])
def test_waveform_cnn_fits_sounds_of_any_length(samples):
    net = WaveformCNN((4, 4, 4, 6), 3)
    assert net(torch.randn(2, samples)).shape == (2, 3)
    assert net.features(torch.randn(2, samples)).shape == (2, 12)


def test_default_student_has_about_50_000_weights():
    assert 40_000 < sum(weight.numel() for weight in WaveformCNN((24, 32, 48, 64), 10).parameters()) < 60_000


def test_divergence_is_0_where_both_agree_and_never_below():
    model = SoundNet(temperature=2.0)
    model.build(INFO)
    model.eval()
    images = torch.rand(8, 1, 12, 12)
    with torch.no_grad():
        logits = model.teacher(images)
    assert float(model.divergence(images, logits)) == pytest.approx(0, abs=1e-6)
    for _ in range(5):
        assert float(model.divergence(images, torch.randn(8, 3))) > 0


def test_divergence_is_that_of_the_student_from_the_teacher():
    model = SoundNet(temperature=1.0)
    model.build(INFO)
    model.teacher = torch.nn.Identity()
    teacher, student = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    p, q = teacher.softmax(1), student.softmax(1)
    assert float(model.divergence(teacher, student)) == pytest.approx(float((p * (p / q).log()).sum()))


def test_a_teacher_is_needed_where_nothing_is_labelled():
    with pytest.raises(ValueError, match="give a trained one as init_from"):
        SoundNet().build(AudioVisualInfo(3, 16, 16, 1000, 8000))


@pytest.mark.parametrize("combine", ["late", "early", "picture", "sound"])
def test_fusion_ignores_what_is_missing(combine):
    model = Fusion(combine=combine)
    model.build(INFO)
    model.eval()
    images, waves = torch.rand(4, 1, 12, 12), torch.randn(4, 1000)
    with torch.no_grad():
        logits = model.classify(images, waves, "picture")
        assert logits.equal(model.classify(images, torch.randn(4, 1000), "picture"))
        assert logits.equal(model.classify(torch.rand(4, 1, 12, 12), waves, "picture")) == (combine == "sound")
        both = model.classify(images, waves, "both")
    assert both.shape == (4, 3)
    if combine in ("picture", "sound"):
        assert both.equal(model.classify(images, waves, combine))


def test_modality_dropout_drops_one_and_never_both():
    model = Fusion(modality_dropout=0.5)
    model.build(INFO)
    image, sound = model._modality_dropout(4000)
    assert (image + sound).min() == 1
    assert float((image + sound == 1).float().mean()) == pytest.approx(0.5, abs=0.05)
    assert float((image == 0).float().mean()) == pytest.approx(0.25, abs=0.05)
    whole = Fusion(modality_dropout=0.0)
    whole.build(INFO)
    assert all(bool(part.all()) for part in whole._modality_dropout(10))


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="modality_dropout"):
        Fusion(modality_dropout=2.0)
    with pytest.raises(ValueError, match="temperature"):
        SoundNet(temperature=0.0)
    with pytest.raises(InputError, match="shift"):
        VideoClips(shift=1.0)


def test_a_missing_synthesiser_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'dlplug-multimodal\[speech\]'"):
        espeak.speak(["en-us+m1"], ["one"])


@needs_espeak
def test_speech_is_the_same_each_time_and_is_cached(tmp_path):
    first = espeak.speak(["en-us+m1", "en-us+m3"], ["one", "two"], tmp_path)
    assert first.shape == (2, 2, espeak.SAMPLE_RATE)
    assert first.dtype == np.int16
    [cached] = tmp_path.iterdir()
    assert np.array_equal(first, espeak.speak(["en-us+m1", "en-us+m3"], ["one", "two"], tmp_path))
    cached.write_bytes(b"damaged")
    assert np.array_equal(first, espeak.speak(["en-us+m1", "en-us+m3"], ["one", "two"], tmp_path))
    assert len({clip.tobytes() for clip in first.reshape(4, -1)}) == 4


@needs_espeak
def test_an_unknown_voice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown voice 'xx-none'"):
        espeak.speak(["xx-none"], ["one"], tmp_path)


@pytest.fixture(scope="module")
def spoken():
    data = SpokenDigits(pairs=200)
    data.setup()
    return data


@needs_espeak
def test_test_voices_are_never_heard_in_training(spoken):
    heard = {split: {spoken.info.voices[v] for v in columns[3].tolist()} for split, columns in spoken.splits.items()}
    speakers = {split: {voice.partition("+")[2] for voice in voices} for split, voices in heard.items()}
    assert speakers["test"] == set(SPEAKERS["test"])
    assert not speakers["test"] & (speakers["train"] | speakers["val"])
    assert not speakers["val"] & speakers["train"]


@needs_espeak
def test_pairs_are_of_one_class(spoken):
    for _, waves, labels, voices in spoken.splits.values():
        index = torch.arange(20)
        expected = spoken.spoken[voices[index], labels[index]]
        assert waves[index].equal(expected)


@needs_espeak
def test_probes_are_of_digits_and_of_other_words(spoken):
    probes = spoken.probes("test")
    (seen, labels), (heard, answers) = probes["words"]
    assert seen.shape == (80 * len(WORDS), 8000)
    assert heard.shape == (24 * len(WORDS), 8000)
    assert set(labels.tolist()) == set(answers.tolist()) == set(range(len(WORDS)))
    assert probes["digits"][1][0].shape == (24 * len(DIGITS), 8000)
    assert not set(WORDS) & set(DIGITS)


@needs_espeak
def test_the_noise_of_validation_and_test_is_fixed():
    runs = []
    for _ in range(2):
        data = SpokenDigits(pairs=20, image_noise_std=0.5, sound_noise_std=0.1)
        data.setup()
        runs.append(data.splits["test"])
    assert runs[0][0].equal(runs[1][0])
    assert runs[0][1].equal(runs[1][1])
    assert float(runs[0][0].std()) > 0.5


def make_clips(root, count=12, seconds=2):
    for number in range(count):
        folder = root / f"clip{number:02d}"
        folder.mkdir(parents=True)
        write_wav(folder / "sound.wav", tone(200 + 50 * number, seconds))
        for frame in range(4):
            colour = (20 * number, 60 * frame, 0)
            PIL.Image.new("RGB", (40, 30), colour).save(folder / f"{frame}.png")
    return root


def test_clips_pair_each_chunk_with_the_frame_in_its_middle(tmp_path):
    data = VideoClips(str(make_clips(tmp_path)), size=16)
    data.setup()
    images, waves, labels, voices = (torch.cat(parts) for parts in zip(*data.splits.values(), strict=True))
    assert images.shape == (24, 3, 16, 16)
    assert waves.shape == (24, 8000)
    assert set(labels.tolist()) == set(voices.tolist()) == {-1}
    assert set(images[:, 1, 0, 0].tolist()) == {60, 180}  # of four frames the second and the last
    pitch = torch.fft.rfft(waves.float()).abs().argmax(1)
    assert pitch.tolist() == (200 + 50 * images[:, 0, 0, 0].long() // 20).tolist()
    assert data.info.classes == 0


def test_clips_that_cannot_be_read_are_named(tmp_path, capsys):
    root = make_clips(tmp_path, 11)
    (root / "clip00" / "sound.wav").unlink()
    data = VideoClips(str(root), size=8)
    data.setup()
    assert "clip00 (4 frames and 0 WAV files)" in capsys.readouterr().err
    with pytest.raises(InputError, match="holds 0 clips that can be read"):
        VideoClips(str(tmp_path / "clip01")).setup()
    with pytest.raises(InputError, match="none is not a folder"):
        VideoClips(str(tmp_path / "none")).setup()


def test_frames_are_in_natural_order_and_read_as_images_are(tmp_path, capsys):
    root = make_clips(tmp_path, 11, seconds=12)
    for folder in root.iterdir():
        for frame in range(4):
            (folder / f"{frame}.png").unlink()
        for number in range(1, 13):
            grey = PIL.Image.fromarray(np.full((16, 16), 5140 * number, np.uint16))  # of 16 bits: 20 of 8 bits
            grey.save(folder / f"{number}.{'png' if number % 2 else 'tiff'}")
        for litter in ("._1.png", "._sound.wav", "Thumbs.db"):
            (folder / litter).write_bytes(b"")
    (root / "clip10" / "7.png").write_bytes(b"torn")
    (root / "notes.txt").write_bytes(b"")
    (root / "__MACOSX").mkdir()
    data = VideoClips(str(root), size=8)
    data.setup()
    levels = torch.cat([images for images, *_ in data.splits.values()])[:, 0, 0, 0]
    assert levels.view(10, 12).tolist() == [[20 * number for number in range(1, 13)]] * 10
    said = capsys.readouterr().err
    assert said.startswith(f"left out of {root}, 2 clips or files: clip10 (cannot read the image")
    assert said.endswith("7.png: not an image that can be read); notes.txt (neither a folder nor a video file)\n")


def test_video_files_need_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"pip install 'dlplug-multimodal\[video\]'"):
        VideoClips(str(tmp_path)).setup()
    assert video_clips.MISSING.endswith("[video]'")


def test_video_files_are_read(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        seen, heard = file.add_stream("mpeg4", rate=10), file.add_stream("aac", rate=16000)
        seen.width, seen.height, seen.pix_fmt = 64, 32, "yuv420p"
        for number in range(20):
            picture = np.full((32, 64, 3), 10 * number, np.uint8)
            file.mux(seen.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        frame = av.AudioFrame.from_ndarray(tone(500, 2, 16000)[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        file.mux(heard.encode(frame))
        for stream in (seen, heard):
            file.mux(stream.encode(None))
    frames, sound = video_clips.read_video(path, 8000, lambda frame: torch.tensor(frame.size))
    assert len(frames) == 4
    assert 15000 < len(sound) < 17500
    assert abs(int(torch.fft.rfft(sound[4000:12000]).abs().argmax()) - 500) <= 2
    assert frames[0].tolist() == [64, 32]
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # of the frames: turn them by 90 degrees, as telephones write it
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    frames, _ = video_clips.read_video(path, 8000, lambda frame: torch.tensor(frame.size))
    assert frames[0].tolist() == [32, 64]
