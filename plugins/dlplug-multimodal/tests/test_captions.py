"""Scenes of emoji, your own captions, and the captioner."""

import json

import PIL.Image
import pytest
import torch

from dlplug.errors import InputError
from dlplug_multimodal.claims.captions import OneEmoji
from dlplug_multimodal.data.caption_folder import CaptionFolder
from dlplug_multimodal.data.emoji_scenes import KINDS, RELATIONS, EmojiScenes, caption, emoji_sizes, split_pairs
from dlplug_multimodal.models.captioner import Captioner
from dlplug_sequence.data.padded import from_utf8
from dlplug_sequence.data.vocabulary import Vocabulary
from dlplug_vision.models.cnn import CNN


@pytest.fixture(scope="module")
def scenes():
    data = EmojiScenes(kinds=8, scenes_per_epoch=128)
    data.setup()
    return data


def built(model, data):
    torch.manual_seed(0)
    model.build(data.info)
    model.info = data.info
    return model.eval()


def batch_of(data, split="val", count=6):
    places = torch.arange(count)
    images, captions = data.splits[split]
    return images[places].float() / 255, captions[places]


def test_a_caption_says_what_is_drawn(scenes):
    scene_images, scene_captions = scenes.splits["test"]
    images, captions = scene_images[torch.arange(200)], scene_captions[torch.arange(200)]
    vocabulary = Vocabulary.from_json(scenes.info.vocabulary)
    layout = scene_images.scenes[torch.arange(200)]
    seen = set()
    for i, codes in enumerate(captions.tolist()):
        first, second = layout.kinds[i].tolist()
        assert vocabulary.decode(codes[0]) == caption(KINDS[first], int(layout.relations[i]), KINDS[second])
        turned = RELATIONS[(1, 0, 3, 2)[int(layout.relations[i])]]
        assert vocabulary.decode(codes[1]).split()[1:-2] == [KINDS[second], *turned.split()]
        spans = layout.steps[i] + emoji_sizes(32)[0]
        middles = layout.corners[i] + spans[:, None] / 2  # rows and columns
        gap, level = (middles[0] - middles[1]).tolist(), 32 * 0.09 + 1
        relation = RELATIONS[int(layout.relations[i])]
        seen.add(relation)
        if relation in ("above", "below"):
            assert abs(gap[1]) <= level < abs(gap[0])
            assert (gap[0] < 0) == (relation == "above")
        else:
            assert abs(gap[0]) <= level < abs(gap[1])
            assert (gap[1] < 0) == (relation == "left of")
        # What is rendered at each place is that emoji, wherever it covers the canvas.
        for which, kind in enumerate((first, second)):
            row, column = layout.corners[i, which].tolist()
            span = int(spans[which])
            assert 0 <= min(row, column) <= max(row, column) + span <= 32
            emoji = scenes.splits["test"][0].atlas[layout.steps[i, which], kind][:span, :span]
            shown = images[i, :, row : row + span, column : column + span].permute(1, 2, 0).float()
            covered = emoji[..., 3] == 1
            assert (shown[covered] - emoji[covered][:, :3]).abs().max() <= 1
    assert seen == set(RELATIONS)


@pytest.mark.parametrize("strict", [False, True])
def test_pairs_are_in_one_split(strict):
    parts = split_pairs(30, strict)
    sets = {name: {tuple(sorted(pair) if strict else pair) for pair in pairs.tolist()} for name, pairs in parts.items()}
    assert not sets["train"] & sets["test"] | sets["train"] & sets["val"] | sets["val"] & sets["test"]
    assert [len(sets[name]) for name in ("train", "val", "test")] == ([349, 43, 43] if strict else [696, 87, 87])
    assert {kind for pair in sets["train"] for kind in pair} == set(range(30))


def test_no_test_caption_is_a_training_caption():
    data = EmojiScenes(kinds=6, scenes_per_epoch=3000)
    data.setup()
    vocabulary = Vocabulary.from_json(data.info.vocabulary)
    texts = {
        split: {vocabulary.decode(row) for row in parts[1][torch.arange(1000)].flatten(0, 1).tolist()}
        for split, parts in data.splits.items()
    }
    assert not texts["train"] & texts["test"] | texts["val"] & texts["test"] | texts["train"] & texts["val"]
    assert len(texts["train"]) == 6 * 5 * 4 * 8 // 10
    assert len(texts["test"]) == 6 * 5 * 4 // 10


def test_scenes_are_new_in_each_epoch_and_the_same_again_when_it_is_repeated(scenes):
    def epoch(number):
        loader = scenes.train_dataloader()
        loader.sampler.set_epoch(number)
        return [torch.cat(parts) for parts in zip(*loader, strict=True)]

    first, second = epoch(0), epoch(1)
    assert not (first[0].flatten(1).unique(dim=0)[:, None] == second[0].flatten(1)[None]).all(2).any()
    again = EmojiScenes(kinds=8, scenes_per_epoch=128)
    again.setup()
    loader = again.train_dataloader()
    loader.sampler.set_epoch(1)
    assert all(a.equal(b) for a, b in zip(next(iter(loader)), [part[:64] for part in second], strict=True))


def test_there_are_a_hundred_kinds_at_most():
    assert len(set(KINDS)) == 100
    for options in ({"kinds": 101}, {"kinds": 4}, {"size": 8}, {"scenes_per_epoch": 0}):
        with pytest.raises(InputError, match="kinds must be from 5 to 100"):
            EmojiScenes(**options)


MODELS = [
    lambda: Captioner(channels=(8, 16), hidden_size=16, embedding_dim=8),
    lambda: Captioner(channels=(8, 16), hidden_size=32, embedding_dim=8, attention="none", cell="lstm"),
]


@pytest.mark.parametrize("make", MODELS)
def test_no_token_depends_on_those_after_it(make, scenes):
    model = built(make(), scenes)
    images, captions = batch_of(scenes)
    changed = captions.clone()
    changed[:, :, 4:] = 7
    before, after = model(images, captions), model(images, changed)
    assert before.shape == (6, 2, captions.shape[2], len(model.vocabulary))
    assert torch.allclose(before[:, :, :4], after[:, :, :4], atol=1e-6)
    assert not torch.allclose(before[:, :, 4:], after[:, :, 4:], atol=1e-3)
    assert not torch.allclose(before, model(images.flip(0), captions), atol=1e-3)  # and on the image it does depend


@pytest.mark.parametrize("size", [24, 40])
def test_attention_maps_add_up_to_one(size):
    data = EmojiScenes(kinds=6, size=size, scenes_per_epoch=64)
    data.setup()
    model = built(MODELS[0](), data)
    images, captions = batch_of(data)
    weights = model.attention_maps(images, captions).detach()
    assert weights.shape == (6, 2, captions.shape[2] - 1, size // 2, size // 2)
    assert torch.allclose(weights.sum((3, 4)), torch.ones(()))
    with pytest.raises(ValueError, match="no attention maps"):
        built(MODELS[1](), data).attention_maps(images, captions)


@pytest.mark.parametrize("make", MODELS)
def test_it_memorises_a_few_images(make, scenes, tmp_path):
    model = built(make(), scenes).train()
    batch = batch_of(scenes, count=4)
    optimizer = torch.optim.Adam(model.parameters(), 0.004)
    for _ in range(800):
        loss = model.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    for num_beams in (1, 3):
        rows = model._with_references(batch, model.caption(batch[0], num_beams))
        assert Captioner.score(rows)["exact_match"] == 1
    path = tmp_path / "scene.png"
    pixels = (batch[0][0] * 255).round().byte().permute(1, 2, 0).numpy()
    PIL.Image.fromarray(pixels).save(path)
    assert model.generate(str(path)).text in rows[0][0]
    with pytest.raises(InputError, match=r"cannot read the image .*none\.png"):
        model.generate(str(tmp_path / "none.png"))


def test_it_starts_from_the_weights_of_lecture_3(scenes, tmp_path):
    from dlplug.data import ImageInfo

    torch.manual_seed(1)
    cnn = CNN(channels=(8, 16))
    cnn.build(ImageInfo(3, 32, 32, 10))
    torch.save(cnn.state_dict(), tmp_path / "cnn.pt")
    model = built(Captioner(channels=(8, 16), hidden_size=16, init_from=str(tmp_path / "cnn.pt")), scenes)
    assert not model.image_encoder.conv2.weight.equal(cnn.net.conv2.weight)
    model.initialise()
    assert model.image_encoder.conv2.weight.equal(cnn.net.conv2.weight)


def test_the_backbone_may_be_a_resnet(scenes):
    model = built(Captioner(backbone="resnet", hidden_size=16), scenes)
    images, captions = batch_of(scenes, count=2)
    assert model.attention_maps(images, captions).shape[3:] == (4, 4)


def test_any_reference_is_an_exact_match():
    rows = [(["a b c d", "d c b a"], "d c b a"), (["a b c d", "d c b a"], "a b c a")]
    found = Captioner.score(rows)
    assert found["exact_match"] == 0.5
    assert 0 < found["bleu"] < 100


@pytest.fixture
def folder(tmp_path):
    for number in range(20):
        PIL.Image.new("RGB", (20 + number, 16), (10 * number, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def write(folder, layout):
    said = [(f"{n}.png", text) for n in range(20) for text in (f"Picture, {n}", "a red one", "a red one")[: 2 + n % 2]]
    if layout == "flickr":
        (folder / "captions.txt").write_text("".join(f"{name}#{i}\t{text}\n" for i, (name, text) in enumerate(said)))
        return "captions.txt"
    if layout == "kaggle":
        (folder / "captions.txt").write_text("image,caption\n" + "".join(f"{name},{text}\n" for name, text in said))
        return "captions.txt"
    if layout == "records":
        lines = [json.dumps({"file_name": name, "text": text}) for name, text in said]
        (folder / "captions.jsonl").write_text("\n".join(lines))
        return "captions.jsonl"
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(20)]
    annotations = [{"image_id": int(name[:-4]), "caption": text} for name, text in said]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return "captions.json"


@pytest.mark.parametrize("layout", ["flickr", "kaggle", "coco", "records"])
def test_own_captions(folder, layout):
    data = CaptionFolder(root=str(folder), captions=write(folder, layout), size=8, min_count=1)
    data.setup()
    assert {split: len(parts[0]) for split, parts in data.splits.items()} == {"train": 16, "val": 2, "test": 2}
    vocabulary = Vocabulary.from_json(data.info.vocabulary)
    for split in data.splits:
        images, captions, *_ = data.splits[split]
        for image, codes in zip(images, captions[torch.arange(len(captions))], strict=True):
            own, *others = vocabulary.decode_batch(codes.tolist())
            assert others in (["a red one", "a red one"], ["a red one", own])  # two of three: the first again
            if split == "train":
                assert own == f"picture, {int(image[0, 0, 0]) // 10}"
    model = built(Captioner(channels=(4,), hidden_size=8, attention="none"), data)
    assert model(*batch_of(data, "train")).isfinite().all()


def test_what_is_wrong_with_captions_is_named_by_its_line(folder, capsys):
    def said(text, name="captions.txt"):
        (folder / name).write_text(text)
        data = CaptionFolder(root=str(folder), captions=name, size=8)
        with pytest.raises(InputError) as error:
            data.setup()
        return str(error.value)

    assert "line 2: 0 tabs where" in said("0.png#0\ta\n1.png#0 b\n")
    assert "line 1: the caption is empty" in said("0.png#0\t \n")
    assert "line 3: no comma" in said("image,caption\n0.png,a\n1.png\n")
    assert "too few" in said("0.png#0\ta\nmissing.png#0\tb\n")
    assert "missing.png (No such file or directory)" in capsys.readouterr().err
    assert "line 1: not JSON" in said("{", "a.json")
    assert "no list 'annotations'" in said('{"images": []}', "a.json")
    broken = '{"images": [{"id": 1, "file_name": "0.png"}], "annotations": [{"image_id": 2, "caption": "a"}]}'
    assert "annotation 1: its image_id 2" in said(broken, "a.json")
    assert "annotation 1: it has no 'caption'" in said(broken.replace("caption", "text"), "a.json")
    with pytest.raises(InputError, match="cannot read"):
        CaptionFolder(root=str(folder), captions="none.txt").setup()


def coco(folder, images=(), annotations=(), **options):
    """Write 20 images and captions, with changes by their places, and return the data."""
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(20)],
        "annotations": [{"image_id": n, "caption": f"Picture {n}"} for n in range(20)],
    }
    for kind, changes in {"images": images, "annotations": annotations}.items():
        for place, change in dict(changes).items():
            content[kind][place] |= change
    (folder / "c.json").write_text(json.dumps(content))
    return CaptionFolder(root=str(folder), captions="c.json", size=8, min_count=1, **options)


@pytest.mark.parametrize(
    ("images", "annotations", "said"),
    [
        ({19: {"id": 3}}, {19: {"image_id": 3}}, ["image 20: its id 3 is another image's too"]),
        ({5: {"id": {"$oid": "5"}}}, {}, ["image 6: its id is neither a whole", "annotation 6: its image_id 5 is not"]),
        (
            {5: {"id": None}, 7: {"file_name": None}},
            {},
            ["image 6: its id is neither", "image 8: its file_name is no text"],
        ),
        (
            {},
            {4: {"image_id": [4]}, 6: {"image_id": "6"}},
            ["annotation 5: its image_id is", "annotation 7: its image_id '6'"],
        ),
        (
            {},
            {0: {"caption": None}, 1: {"caption": 5}},
            ["annotation 1: its caption is no text", "annotation 2: its caption"],
        ),
        (
            {},
            {0: {"caption": "\ud83d"}, 1: {"caption": " "}},
            ["annotation 1: its caption is no text", "annotation 2: the caption is empty"],
        ),
    ],
)
def test_odd_entries_are_named_at_once_or_left_out(folder, capsys, images, annotations, said):
    with pytest.raises(InputError, match="--data.skip_bad true leaves such rows out") as error:
        coco(folder, images, annotations).setup()
    for reason in said:
        assert reason in str(error.value)
    data = coco(folder, images, annotations, skip_bad=True)
    data.setup()
    assert "left out, since they are bad" in capsys.readouterr().err
    assert 18 <= sum(len(parts[0]) for parts in data.splits.values()) <= 19
    assert all(text == f"picture {int(image[0, 0, 0]) // 10}" for image, [text] in captioned(data))


def captioned(data):
    """Return each image with its own captions."""
    vocabulary = Vocabulary.from_json(data.info.vocabulary)
    pairs = []
    for images, captions, *references in data.splits.values():
        everything = torch.arange(len(images))
        decode = from_utf8 if references else lambda rows: vocabulary.decode_batch(rows.tolist())
        pairs += zip(images, map(decode, (references or [captions])[0][everything]), strict=True)
    return pairs


def test_json_without_end_is_one_line(folder):
    (folder / "c.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"c.json, line 1: not JSON \(maximum recursion depth"):
        CaptionFolder(root=str(folder), captions="c.json", size=8).setup()


def test_bad_lines_are_named_at_once(folder):
    lines = [f"{n}.png#0\tpicture {n}" for n in range(20)]
    (folder / "a.txt").write_bytes("\r".join([*lines, "no tab", "1.png#0\t", "2.png\tcaf"]).encode() + b"\xe9\r")
    data = CaptionFolder(root=str(folder), captions="a.txt", size=8)
    with pytest.raises(InputError, match="line 21: 0 tabs .*; line 22: the caption is empty; line 23: not UTF-8"):
        data.setup()
    rows = [f'{n}.png,"A ""fine"" one, {n}"' for n in range(20)]
    (folder / "b.txt").write_text("\n".join(['"image", "caption"', *rows, '3.png,"a stray quote', "4.png,and, more"]))
    data = CaptionFolder(root=str(folder), captions="b.txt", size=8, skip_bad=True, min_count=1)
    data.setup()
    texts = {text for _, texts in captioned(data) for text in texts}
    assert texts == {"and, more", *(f'a "fine" one, {n}' for n in range(20))}


def test_references_are_the_true_captions(folder):
    data = coco(folder, annotations={n: {"caption": f"A thing{chr(97 + n)} ΟΔΟΣ"} for n in range(20)})
    data.setup()
    model = built(Captioner(channels=(4,), hidden_size=8, attention="none"), data)
    batch = next(iter(data.test_dataloader()))
    for (references, _), name in zip(model.decode_batch(data.prepare_batch(batch)), data.names, strict=True):
        assert references == [f"a thing{chr(97 + int(name[:-4]))} οδοσ"]  # as the tokenizer's letters are
    assert len(data.splits["train"]) == 2


@pytest.mark.parametrize("where", [False, True])
def test_one_emoji_is_classified_by_kind_or_by_place(where):
    data = OneEmoji(where)
    data.setup()
    images, labels = data.splits["test"]
    assert images.shape == (1000, 3, 24, 24)
    assert set(labels.tolist()) == set(range(data.info.classes))
    assert images.float().var((2, 3)).amin() > 0  # there is something on each
