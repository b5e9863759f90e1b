"""Run folders for the tests of the report, made by hand so that nothing is trained."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path

import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo

PANELS = [
    {"section": "Losses", "title": "The loss", "note": "Healthy: it falls.", "curves": ["loss"], "media": ""},
    {"section": "Losses", "title": "Absent", "note": "Nobody logs it.", "curves": ["nowhere"], "media": ""},
    {"section": "Pictures", "title": "Samples", "note": "Healthy: sharp.", "curves": [], "media": "samples"},
]
CARD = {"name": "net", "class_path": "pkg.Net", "origin": "pkg 1.0", "summary": "A net.", "lecture": "3", "doc": "Doc."}


def make_run(path, rows=None, panels=PANELS, config=None, model=None, **about):
    """Make a run folder; ``rows`` are those of metrics.csv, without which there is nothing but a config."""
    path.mkdir(parents=True)
    config = config or {"trainer": {"max_epochs": 4}, "model": {"init_args": {"lr": 0.1}}}
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    if rows is None:
        return path
    card = {**CARD, **(model or {})}
    data = {**CARD, "name": "points"}
    commands = ["dlplug fit --model net"]
    about = {"commands": commands, "model": card, "data": data, "versions": {"torch": "2"}, "panels": panels, **about}
    (path / "about.json").write_text(json.dumps(about))
    write_csv(path / "metrics.csv", rows)
    return path


def write_csv(path, rows):
    """Write dictionaries as ``MetricsFile`` does."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def losses(epochs=4, steps=10):
    """Rows of a loss that falls, validated at the end of each epoch."""
    rows = []
    for step in range(epochs * steps):
        row = {"epoch": step // steps, "step": step, "train/loss": 100 / (step + 1), "val/loss": "", "train/lr": 0.1}
        rows.append({**row, "val/loss": 120 / (step + 1)} if step % steps == steps - 1 else row)
    return rows


def picture(path, colour="red", caption=""):
    """Save a small picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    if caption:
        info.add_itxt("Description", caption)
    Image.new("RGB", (16, 16), colour).save(path, pnginfo=info)


class Page(HTMLParser):
    """A page's elements as ``(tag, attributes, text)``, in order, with the text of scripts."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements = []
        self.open = []
        self.html = path.read_text()
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        if tag not in ("meta", "img", "input", "br", "wbr", "link"):
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for element in self.open:
            if element[0] not in ("html", "body") and (element is self.open[-1] or self.open[-1][0] != "script"):
                element[2] += data

    def all(self, tag, **attributes):
        """Return the elements with a tag and with attributes; ``class_`` and ``type_`` for those names."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [e for e in self.elements if e[0] == tag and wanted.items() <= e[1].items()]

    def texts(self, tag, **attributes):
        return [" ".join(text.split()) for _, _, text in self.all(tag, **attributes)]

    @property
    def data(self):
        """What the scripts of data hold."""
        return [json.loads(text) for text in (e[2] for e in self.all("script", type_="application/json"))]

    @property
    def charts(self):
        """The traces of each plot."""
        return [d for d in self.data if isinstance(d, list) and d and isinstance(d[0], dict)]
