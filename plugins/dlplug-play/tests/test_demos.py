"""What a page asks for, from types alone; nothing is served."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
import torch

from dlplug import InputError
from dlplug.media import Audio, Figure, Image, ImageFile, OutputFile, SoundFile, Table, Text, TextFile
from dlplug_play import demos
from dlplug_play.demos import Field, _as_table, _demo, ask, kind_of


class Everything:
    def generate(
        self,
        image: ImageFile,
        text: str = "a",
        n: int = 3,
        heat: float = 0.5,
        loud: bool = False,
        mode: Literal["soft", "hard"] = "soft",
        point: tuple[float, ...] = (0.0, 1.0),
        maybe: int | None = None,
        export: OutputFile = "",
        other: object = None,
    ) -> str:
        """Make all of it. Not less.

        Args:
            image: What is seen.
            n: How many.
        """
        return f"{text} {n}"


def test_widgets_stand_for_the_types_of_arguments():
    demo = _demo("Generate", Everything().generate)
    assert [(field.name, field.kind) for field in demo.fields] == [
        ("image", "image"),
        ("text", "text"),
        ("n", "int"),
        ("heat", "float"),
        ("loud", "bool"),
        ("mode", "choice"),
        ("point", "vector"),
        ("maybe", "int"),
    ]
    assert demo.fields[0] == Field("image", "image", None, "What is seen.")
    assert demo.fields[2] == Field("n", "int", 3, "How many.")
    assert demo.fields[5].choices == ("soft", "hard")


def test_a_file_to_write_has_no_widget_and_a_path_to_read_is_uploaded():
    assert kind_of(OutputFile) == ("", ())
    assert [kind_of(kind)[0] for kind in (SoundFile, TextFile, Path, Annotated[int, "x"])] == [
        "sound",
        "file",
        "file",
        "int",
    ]


def test_what_needs_an_argument_without_a_widget_is_left_out():
    def needy(model: torch.nn.Module) -> str:
        return ""

    assert _demo("Needy", needy) is None


def test_two_models_of_one_signature_share_a_demo():
    assert _demo("Generate", Everything().generate) == _demo("Generate", Everything().generate)


def test_answers_are_media_repeat_with_the_seed_and_say_what_the_model_said(capsys):
    def noise(n: int = 2) -> torch.Tensor:
        from dlplug.console import say

        say("returns: 3")
        return torch.rand(n)

    first, second = (ask(noise, 5, {"n": 3}) for _ in range(2))
    assert isinstance(first[""], Table)
    assert first[""].rows == second[""].rows
    assert first["said"] == Text("returns: 3")
    assert capsys.readouterr().err == ""


def test_what_a_model_refuses_is_bad_input():
    def refuse() -> str:
        raise ValueError("n must be at least 1")

    with pytest.raises(InputError, match="n must be at least 1"):
        ask(refuse, 0, {})


def test_predicted_classes_are_a_line_each_and_anything_else_a_line_a_column():
    row = {"class": "7", "confidence": 0.9, "class_2": "1", "confidence_2": 0.1}
    assert _as_table(row) == Table(("class", "confidence"), [("7", 0.9), ("1", 0.1)])
    assert _as_table({"caption": "a dog"}).rows == [("caption", "a dog")]


def test_media_are_escaped_and_probabilities_are_bars():
    from dlplug_play.render import render, render_error

    page = render({"a<b": Text("<script>1</script>"), "": Table(("token", "probability"), [("<i>", 0.25)])})
    assert "<script>" not in page
    assert "a&lt;b" in page
    assert 'style="width:25.0%"' in page
    assert "&lt;i&gt;" in page
    assert "<b>" not in render_error("<b>")


def test_a_plotly_figure_runs_its_script_in_a_frame_of_its_own():
    import plotly.graph_objects

    from dlplug_play.render import render

    page = render({"": Figure(plotly.graph_objects.Figure())})
    assert 'sandbox="allow-scripts"' in page
    assert "<script" not in page


def test_images_are_in_the_page():
    from dlplug_play.render import render

    page = render({"": Image(torch.rand(1, 4, 4), caption='a "dog"')})
    assert 'src="data:image/png;base64,' in page
    assert "a &quot;dog&quot;" in page


def test_a_sound_has_a_player():
    from dlplug_play.render import render

    page = render({"a<b": Audio(torch.zeros(9), 8000)})
    assert '<audio controls src="data:audio/wav;base64,' in page
    assert 'aria-label="a&lt;b"' in page


def test_without_anything_to_ask_a_run_is_refused(tmp_path):
    class Silent(torch.nn.Module):
        from lightning.pytorch import LightningModule

        predict_step = LightningModule.predict_step

    class Run:
        path, model = tmp_path, Silent()

    with pytest.raises(InputError, match="Silent has nothing to play with"):
        demos.demos_of(Run())
