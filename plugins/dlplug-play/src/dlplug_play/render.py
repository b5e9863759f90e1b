"""Media as HTML, which needs nothing but itself."""

from collections.abc import Mapping
from html import escape
from io import BytesIO

from PIL import Image, ImageSequence

from dlplug.files import data_uri
from dlplug.media import Audio, Figure, Media, Table, Text, Video

SHARES = ("confidence", "probability")  # columns of a table that are drawn as bars
FRAMES = 120  # of a video that can be looked at one by one


def render(media: Mapping[str, Media]) -> str:
    """Return media by name as a piece of a page."""
    parts = []
    for name, medium in media.items():
        title = f"<h4>{escape(name)}</h4>" if name and name != "said" else ""
        note = ' class="said"' if name == "said" else ""
        parts.append(f"<section{note}>{title}{_render(medium, name)}</section>")
    return f'<div class="answer">{"".join(parts)}</div>'


def render_error(why: str) -> str:
    """Return what is wrong as a piece of a page."""
    return f'<div class="answer"><p class="wrong" role="alert">{escape(why)}</p></div>'


def render_hint(what: str) -> str:
    """Return what is still to be given as a piece of a page."""
    return f'<div class="answer"><p class="hint">{escape(what)}</p></div>'


def render_told(picture: Image.Image, what: str) -> str:
    """Return a picture as a model sees it, and what was done to it, as a piece of a page."""
    file = BytesIO()
    picture.save(file, "PNG")
    return f'<div class="told">{_img(file.getvalue(), "png", "as the model sees it")}<p>{escape(what)}</p></div>'


def _render(medium: Media, name: str) -> str:
    if isinstance(medium, Table):
        return _table(medium)
    if isinstance(medium, Text):
        return f"<pre>{escape(medium.text)}</pre>"
    if isinstance(medium, Figure) and medium.suffix == "json":  # whose script stays in a frame of its own
        page = escape(medium.figure.to_html(include_plotlyjs=True), quote=True)
        return (
            f'<iframe sandbox="allow-scripts" srcdoc="{page}" title="{escape(name or "figure", quote=True)}"></iframe>'
        )
    content = medium.encode()
    if isinstance(medium, Audio):
        source, label = data_uri(content, "audio/wav"), escape(name or "sound", quote=True)
        return f'<audio controls src="{source}" aria-label="{label}"></audio>'
    caption = getattr(medium, "caption", "")
    image = _img(content, medium.suffix, caption or name or "what the model made")
    return f"{image}{_frames(content)}" if isinstance(medium, Video) else image


def _table(table: Table) -> str:
    if len(table.columns) == 2 and table.columns[1] in SHARES:
        bars = (
            f'<tr><th scope="row">{escape(str(name))}</th><td class="bar"><i style="width:{100 * share:.1f}%"></i></td>'
            f"<td>{share:.1%}</td></tr>"
            for name, share in ((name, float(str(share))) for name, share in table.rows)
        )
        return f'<table class="bars">{"".join(bars)}</table>'
    head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
    rows = ("".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) for row in table.rows)
    return f'<table class="rows"><tr>{head}</tr>{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _frames(gif: bytes) -> str:
    """Return a video's frames side by side, to be gone through step by step."""
    frames = list(ImageSequence.all_frames(Image.open(BytesIO(gif))))
    stride = -(-len(frames) // FRAMES)
    shown = []
    for number in range(0, len(frames), stride):
        file = BytesIO()
        frames[number].convert("P").save(file, "PNG", optimize=True)
        image = _img(file.getvalue(), "png", f"frame {number}")
        shown.append(f"<figure>{image}<figcaption>{number}</figcaption></figure>")
    return f'<details><summary>frame by frame</summary><div class="frames">{"".join(shown)}</div></details>'


def _img(content: bytes, suffix: str, alt: str) -> str:
    return f'<img src="{data_uri(content, f"image/{suffix}")}" alt="{escape(alt, quote=True)}">'
