"""What all pages share: escaping, looks, and scripts in the page itself."""

import base64
import hashlib
import re
import shlex
from datetime import datetime
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from dlplug.errors import InputError
from dlplug.files import write_atomically
from dlplug.panels import split_stage

HERE = Path(__file__).parent


def fill(template: str | Path, **values: Any) -> str:
    """Return a page that needs nothing but itself.

    Args:
        template: A file that extends base.html; of this folder where it is a name.
        values: What it names.
    """
    own = isinstance(template, str)
    page = pages().get_template(str(template)) if own else pages().from_string(Path(template).read_text())
    now = datetime.now().strftime("%Y-%m-%d %H:%M")
    return page.render(now=now, version=version("dlplug"), **values)


def write_page(path: Path, page: str) -> Path:
    """Write a page and return where it is.

    Raises:
        InputError: It cannot be written there.
    """
    try:
        write_atomically(path, page.encode(errors="replace"))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


@cache
def pages() -> Environment:
    """Return where pages come from, which holds what each of them holds."""
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters.update(
        prose=_prose,
        number=_number,
        duration=_duration,
        quote=lambda text: shlex.quote(str(text)),
        metric=lambda column: split_stage(column.partition(" ")[0])[1],
        breakable=lambda name: Markup(re.sub("([/_.])", r"\1<wbr>", str(escape(name)))),
    )
    scripts = [_plotly(), (HERE / "page.js").read_text()]
    environment.globals.update(
        css=Markup((HERE / "page.css").read_text()),
        scripts=[Markup(script) for script in scripts],
        hashes=[csp_hash(script) for script in scripts],
    )
    return environment


def _plotly() -> str:
    spec = find_spec("plotly")  # its script alone: importing it would take a while
    assert spec
    assert spec.origin
    return (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def csp_hash(script: str) -> str:
    """Return what a page's Content-Security-Policy allows a script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _prose(text: str) -> Markup:
    """Return a docstring's paragraphs as HTML."""
    paragraphs = [str(escape(" ".join(paragraph.split()))) for paragraph in str(text).split("\n\n")]
    html = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return Markup(re.sub("``(.+?)``", r"<code>\1</code>", html))


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    if hours:
        return f"{hours} h {rest // 60} min"
    return f"{rest // 60} min {rest % 60} s" if rest >= 60 else f"{seconds:.1f} s"


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
