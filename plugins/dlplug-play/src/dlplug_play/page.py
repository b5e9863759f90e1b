"""The page: a tab for each demo, its widgets beside the answer of each run."""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from random import randrange
from typing import Any

import gradio as gr
from fastapi import FastAPI
from PIL import Image

from dlplug.api import TrainedRun
from dlplug.errors import InputError
from dlplug.runs import Run
from dlplug_play import pictures
from dlplug_play.demos import FILES, Demo, Field, demos_of
from dlplug_play.render import render, render_error, render_hint, render_told
from dlplug_play.sounds import check_sound

# Gradio's own themes ask Google for fonts.
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
CSS = (Path(__file__).parent / "page.css").read_text()
EVENTS = ("submit", "change")  # the first that a widget has, where it answers at once
HINTS = {  # what is still to be given
    "image": "Draw or upload a picture ({}).",
    "sound": "Record or upload a sound ({}).",
    "file": "Upload a file ({}).",
    "text": "Type something ({}).",
}
SLIDERS = 8  # numbers of a vector that have one; the others stay as they are
# Gradio's own sketchpad wants its pen to be picked up first, and draws with WebGL.
PAD = """<canvas width="336" height="336" aria-label="draw here"></canvas>
<div class="tools"><button type="button">clear</button><label>pen <input type="color" value="#000000"></label></div>"""
PAD_SCRIPT = (Path(__file__).parent / "pad.js").read_text()
PLANE = '<div class="plane" aria-label="move in the plane of the first two"><i></i></div>'
PLANE_SCRIPT = (Path(__file__).parent / "plane.js").read_text()


@dataclass
class Player:
    """A run on the page.

    Attributes:
        run: The run.
        name: What it is called.
        demos: What can be asked of it.
        frame: How the pictures of its data lie.
    """

    run: TrainedRun
    name: str
    demos: list[Demo]
    frame: pictures.Frame | None = None

    @classmethod
    def load(cls, run: TrainedRun) -> "Player":
        """Load a run's model, and look at its data where a drawn picture is to be like them."""
        about = Run(run.path).about
        names = [str(about.get(kind, {}).get("name", "")).rpartition(".")[2] for kind in ("model", "data")]
        demos = demos_of(run)
        seen = any(field.kind == "image" for demo in demos for field in demo.fields)
        return cls(run, " on ".join(filter(None, names)), demos, pictures.frame_of(run) if seen else None)

    def answer(self, demo: Demo, values: dict[str, Any], seed: int) -> str:
        """Return the answer as HTML; what cannot be used is said there."""
        told = ""
        with tempfile.TemporaryDirectory() as folder:
            try:
                for field in demo.fields:
                    value = values[field.name]
                    if field.default is None and value in (None, "") and field.kind in HINTS:
                        return render_hint(HINTS[field.kind].format(field.name))
                    if isinstance(value, Image.Image):
                        picture, what = self._fit(value)
                        values[field.name] = str(Path(folder) / f"{field.name}.png")
                        picture.save(values[field.name])
                        told += render_told(picture, what)
                    elif field.kind == "sound" and value:
                        check_sound(value)
                    elif field.kind in FILES:
                        values[field.name] = value or ""
                own = self.demos[self.demos.index(demo)]  # equal, but of this run
                return told + render(own.answer(seed=seed, **values))
            except InputError as error:
                return told + render_error(str(error))

    def _fit(self, picture: Image.Image) -> tuple[Image.Image, str]:
        info = getattr(self.run.model, "info", None)
        channels, height, width = (getattr(info, name, 0) for name in ("channels", "height", "width"))
        shape = (channels, height, width) if height else (3, picture.height, picture.width)
        return pictures.fit(picture, shape, self.frame)


def build(runs: Sequence[TrainedRun]) -> gr.Blocks:
    """Return the page of some runs.

    Raises:
        InputError: A run has nothing to play with.
    """
    players = [Player.load(run) for run in runs]
    if len({player.name for player in players}) < len(players):
        for player in players:
            player.name += f" · {player.run.path.name}"
    demos = list(dict.fromkeys(demo for player in players for demo in player.demos))  # the same of two are one
    with gr.Blocks(title="dlplug play", analytics_enabled=False) as page:
        gr.HTML(f"<h1>{escape(' beside '.join(player.name for player in players))}</h1>")
        with gr.Tabs():
            for demo in demos:
                asked = [player for player in players if demo in player.demos]
                others = {d.title for d in demos if d != demo}
                title = f"{demo.title}: {asked[0].name.partition(' ')[0]}" if demo.title in others else demo.title
                with gr.Tab(title):
                    _add_demo(demo, asked, page.load)
    return page


def mount(page: gr.Blocks, size: int) -> FastAPI:
    """Return what serves a page, and takes files of so many bytes; nothing of Gradio's is open besides."""
    page.queue(max_size=16, api_open=False)
    return gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        page,
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=size,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=THEME,
        css=CSS,
    )


def _add_demo(demo: Demo, players: Sequence[Player], on_load: Any) -> None:
    seeded = not demo.live
    moves = any(field.kind == "vector" for field in demo.fields)
    with gr.Row(elem_classes="moves" if moves else None):
        with gr.Column(min_width=300):
            gr.Markdown(demo.help)
            widgets = {field.name: _widgets(field) for field in demo.fields}
            seed = gr.Textbox(label="seed", placeholder="another each time", max_lines=1) if seeded else None
            button = gr.Button(demo.title, variant="primary", visible=not moves)
        shown = []
        for player in players:
            with gr.Column(min_width=300):
                if len(players) > 1:
                    gr.HTML(f"<h3>{escape(player.name)}</h3>")
                shown.append(gr.HTML('<div class="answer"></div>'))
    flat = [widget for each in widgets.values() for widget in each]

    def answer(*values: Any) -> Any:
        given = iter(values)
        try:
            asked = {field.name: _value(field, [next(given) for _ in widgets[field.name]]) for field in demo.fields}
        except InputError as error:
            return [render_error(str(error))] * len(players) if len(players) > 1 else render_error(str(error))
        typed = str(next(given, 0)).strip()
        chosen = int(typed) % 2**32 if typed.isdecimal() else randrange(2**31)
        answers = [player.answer(demo, dict(asked), chosen) for player in players]
        return answers[0] if len(answers) == 1 else answers

    inputs = [*flat, *([seed] if seed else [])]
    events = [button.click, *([on_load] if moves else [])]
    for widget in flat:
        if demo.live:
            events.append(next(getattr(widget, name) for name in EVENTS if hasattr(widget, name)))
        elif isinstance(widget, gr.Textbox):
            events.append(widget.submit)
    gr.on(events, answer, inputs, shown, trigger_mode="always_last", api_visibility="private", show_progress="minimal")


def _widgets(field: Field) -> list[Any]:
    """Return the widgets of a field: one, or a slider for each number of a vector."""
    label, info = field.name.replace("_", " "), field.help or None
    match field.kind:
        case "vector":
            start = [round(float(value), 2) for value in field.default or [0.0]][:SLIDERS]
            reach = max(3, *(math.ceil(2 * abs(value)) for value in start))
            plane = gr.HTML("", html_template=PLANE, js_on_load=PLANE_SCRIPT, visible=len(start) > 1)
            sliders = [
                gr.Slider(-reach, reach, value, step=0.05, label=f"{label} {place}", buttons=["reset"])
                for place, value in enumerate(start, start=1)
            ]
            js = f"at => at.split(',').map(share => share * {reach})"
            plane.submit(None, plane, sliders[:2], js=js, api_visibility="private")
            return sliders
        case "image":
            gr.Markdown(f"**{label}** {escape(field.help)}")
            with gr.Tabs():
                with gr.Tab("draw"):
                    pad = gr.HTML("", html_template=PAD, js_on_load=PAD_SCRIPT, elem_classes="pad")
                with gr.Tab("upload or photograph"):
                    photograph = gr.Image(
                        label=label,
                        type="filepath",
                        image_mode=None,
                        sources=["upload", "webcam", "clipboard"],
                        buttons=[],
                    )
            pad.submit(lambda: None, None, photograph, show_progress="hidden", api_visibility="private")
            return [pad, photograph]
        case "sound":
            return [
                gr.Audio(
                    label=f"{label}: record or upload a WAV",
                    sources=["upload", "microphone"],
                    type="filepath",
                    buttons=[],
                )
            ]
        case "file":
            return [gr.File(label=label, type="filepath")]
        case "bool":
            return [gr.Checkbox(bool(field.default), label=label, info=info)]
        case "int" | "float":
            return [gr.Number(field.default, label=label, info=info, precision=0 if field.kind == "int" else None)]
        case "choice":
            return [gr.Dropdown(list(field.choices), value=field.default, label=label, info=info)]
        case _:
            return [gr.Textbox(field.default or "", label=label, info=info, lines=3, max_lines=12)]


def _value(field: Field, values: list[Any]) -> Any:
    """Return an argument from what its widgets hold; a picture on which nothing is drawn is None."""
    if field.kind == "vector":
        rest = [float(value) for value in field.default or [0.0]][len(values) :]
        return [float(value) for value in values] + rest
    if field.kind == "image":
        return pictures.read_picture(values[1]) if values[1] else pictures.read_pad(values[0] or "")
    return values[0]
