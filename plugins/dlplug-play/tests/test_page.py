"""What the page answers, without a server or a browser."""

from types import SimpleNamespace

import pytest
from PIL import Image, ImageDraw

pytest.importorskip("gradio", reason="needs gradio: pip install dlplug-play")

from dlplug import InputError
from dlplug.media import Text
from dlplug_play.demos import Demo, Field
from dlplug_play.page import Player, _value


def player(name, answer, *fields):
    model = SimpleNamespace(info=SimpleNamespace(channels=1, height=8, width=8))
    return Player(SimpleNamespace(model=model), name, [Demo("Say", "It says.", fields, answer)])


def test_each_run_answers_for_itself_where_a_demo_is_shared():
    players = [player(name, lambda seed, name=name: {"": Text(f"I am {name}")}) for name in ("one", "two")]
    [demo] = {demo for each in players for demo in each.demos}
    assert ["I am one" in each.answer(demo, {}, 0) for each in players] == [True, False]
    assert ["I am two" in each.answer(demo, {}, 0) for each in players] == [False, True]


def test_a_drawing_is_given_as_a_file_of_the_models_size_that_is_gone_afterwards():
    seen = []

    def look(seed, image):
        with Image.open(image) as given:
            seen.append((image, given.size))
        return {}

    picture = Image.new("RGBA", (100, 100))
    ImageDraw.Draw(picture).line([(20, 20), (80, 80)], fill="black", width=9)
    one = player("one", look, Field("image", "image"))
    page = one.answer(one.demos[0], {"image": picture}, 0)
    [(path, size)] = seen
    assert size == (8, 8)
    assert "scaled and cropped to 8×8 pixels" in page
    with pytest.raises(FileNotFoundError):
        Image.open(path)


def test_what_is_missing_is_a_hint_and_what_is_refused_says_why():
    def refuse(seed, text, image):
        raise InputError("no <b> here")

    one = player("one", refuse, Field("text", "text"), Field("image", "image", ""))
    assert "Type something (text)." in one.answer(one.demos[0], {"text": "", "image": None}, 0)
    assert "no &lt;b&gt; here" in one.answer(one.demos[0], {"text": "a", "image": None}, 0)


def test_a_vector_has_a_few_sliders_and_keeps_its_other_numbers():
    field = Field("latent", "vector", tuple(range(20)))
    assert _value(field, [9.0] * 8) == [*[9.0] * 8, *map(float, range(8, 20))]
