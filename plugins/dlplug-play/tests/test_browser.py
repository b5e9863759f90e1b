"""The page in a real browser: Debian's chromium, driven by Playwright. Nothing is downloaded for it."""

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from dlplug.testing import run_command

pytestmark = [
    pytest.mark.skipif(not find_spec("gradio"), reason="needs gradio: pip install dlplug-play"),
    pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium: apt-get install chromium"),
    pytest.mark.skipif(not find_spec("playwright"), reason="needs playwright: pip install playwright"),
    # Playwright's event loop is closed by the garbage collector where a test fails.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

# As `dlplug play`, which may not be installed where the tests run from a checkout.
COMMAND = """
import sys
from argparse import ArgumentParser
from dlplug_play.command import configure
parser = ArgumentParser()
configure(parser)
options = parser.parse_args()
sys.exit(options.run(options))
"""
SHORT = ("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1")
SEVEN = [(-40, -80), (50, -80), (25, -20), (0, 40), (-10, 95)]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Where tests run as root, in a container, chromium's own sandbox cannot start.
        options = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        yield chromium
        chromium.close()


class Page:
    """A page in the browser; at the end nothing may have gone wrong or left the machine.

    Args:
        browser: The browser.
        url: Its address.
        width: Of the window.
    """

    def __init__(self, browser, url, width=1280):
        self.wrong = []
        self.page = browser.new_page(viewport={"width": width, "height": 900})
        self.page.on("console", lambda message: message.type == "error" and self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.route("**/*", lambda route: self._only_from(route, url))
        self.page.goto(url)

    def _only_from(self, route, url):
        if route.request.url.startswith((url, "data:", "blob:")):
            return route.continue_()
        self.wrong.append(route.request.url)
        return route.abort()

    def tab(self, name):
        self.page.get_by_role("tab", name=name, exact=True).first.click()

    def draw(self, points, place=0):
        canvas = self.page.locator(".pad canvas:visible").nth(place)
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        x, y, scale = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] / 336
        mouse = self.page.mouse
        mouse.move(x + points[0][0] * scale, y + points[0][1] * scale)
        mouse.down()
        for dx, dy in points[1:]:
            mouse.move(x + dx * scale, y + dy * scale, steps=8)
        mouse.up()

    def press(self):
        self.page.locator("button.primary:visible").first.click()

    def answer(self, selector, place=0):
        """Wait for a piece of an answer."""
        found = self.page.locator(f".answer:visible {selector}").nth(place)
        found.wait_for(timeout=60_000)
        return found

    def close(self):
        self.page.close()
        assert self.wrong == []


@pytest.fixture
def play(tmp_path):
    """Serve runs of this folder, and return the address; in the end nothing is left of what was sent."""
    started = []

    def play(*runs):
        env = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "GRADIO_SHARE": "True"}
        (tmp_path / "temporary").mkdir()
        line = [sys.executable, "-c", COMMAND, *map(str, runs)]
        process = subprocess.Popen(line, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
        started.append(process)
        said = []
        for text in process.stderr:
            said.append(text)
            if found := re.match(r"play: (\S+)", text):
                return found[1]
        raise AssertionError("".join(said))

    yield play
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        process.stderr.close()
    assert not list((tmp_path / "temporary").glob("dlplug-play-*"))


def fit(folder, *args) -> Path:
    before = set(folder.glob("runs/*/*"))
    result = run_command("fit", *args, folder=folder)
    assert result.returncode == 0, result.stderr
    [run] = set(folder.glob("runs/*/*")) - before
    return run


def test_a_digit_is_drawn_and_a_text_continued_side_by_side(browser, play, tmp_path):
    (tmp_path / "cats.txt").write_text("the cat sat on the mat. " * 2000)
    cnn = fit(tmp_path, "--model=cnn", "--trainer.max_epochs=2", "--trainer.limit_val_batches=1")
    markov = fit(tmp_path, "--model=markov", "--data=text-file", "--data.path=cats.txt")
    url = play(cnn, markov)
    for width in (390, 1280):
        page = Page(browser, url, width)
        page.tab("Predict: cnn")
        page.draw(SEVEN)
        assert "7" in page.answer(".bars th").inner_text()
        assert "scaled to 20 of 28 pixels" in page.page.locator(".told:visible").inner_text()
        page.page.get_by_role("button", name="clear").first.click()
        assert "Draw or upload a picture" in page.answer(".hint").inner_text()
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 390:
            page.close()
    page.tab("Next token")
    page.page.get_by_label("text").locator("visible=true").fill("the c")
    page.press()
    assert page.answer(".bars th").inner_text() == "a"
    page.tab("Generate")
    # What a text says is shown, and neither a template nor HTML.
    page.page.get_by_label("prompt").fill("<b>${1 + 1} {{value}}</b> the c")
    page.press()
    text = page.answer("pre").inner_text()
    assert text.startswith("<b>${1 + 1} {{value}}</b> the c")
    assert "the cat sat" in text
    page.close()


def wav(path):
    head = b"RIFF" + struct.pack("<I", 36 + 32000) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    path.write_bytes(head + b"data" + struct.pack("<I", 32000) + bytes(32000))
    return path


def move_a_slider(page, folder):
    page.tab("Latent space")
    first = page.answer("img").get_attribute("src")
    slider = page.page.locator("input[type=range]:visible").first
    slider.focus()
    for _ in range(20):
        page.page.keyboard.press("ArrowRight")
    page.page.wait_for_function(
        "first => [...document.querySelectorAll('.answer img')].some(i => i.offsetParent && i.src !== first)", arg=first
    )


def interpolate(page, folder):
    move_a_slider(page, folder)
    page.tab("Interpolation")
    page.draw(SEVEN)
    page.draw([(0, -80), (0, 80)], 1)
    page.answer("section img")


def translate(page, folder):
    page.tab("Alignment")
    page.page.get_by_label("text").locator("visible=true").fill("one egg")
    page.press()
    page.answer("h4")
    page.answer("img")


def caption(page, folder):
    page.tab("Attention")
    page.draw(SEVEN)
    page.answer("section img")


def watch(page, folder):
    page.tab("Episode")
    page.press()
    page.answer("img")
    page.page.get_by_text("frame by frame").click()
    page.answer(".frames img")


def search(page, folder):
    page.tab("Generate")
    page.page.get_by_label("text").locator("visible=true").fill("face")
    page.press()
    page.answer("section img")


def listen(page, folder):
    page.tab("Predict")
    page.page.locator("input[type=file][accept*=audio]").last.set_input_files(wav(folder / "silence.wav"))
    page.answer(".bars th")


def classify(page, folder):
    page.page.get_by_label("text").locator("visible=true").first.fill("a smiling face")
    page.press()
    page.answer(".bars th")


def generate(page, folder):
    page.tab("Generate")
    page.press()
    page.answer("section")


USED = {
    "rnn-classifier": (classify, ()),
    "transformer-lm": (generate, ()),
    "vae": (interpolate, ()),
    "gan": (move_a_slider, ()),
    "pixel-cnn": (generate, ()),
    "seq2seq": (translate, ()),
    "captioner": (caption, ()),
    "joint-embedding": (search, ()),
    "fusion": (listen, ()),
    "dqn": (watch, ("--data.batches=4", "--data.episodes=3")),
}


@pytest.mark.slow("a training and a server each, a minute all together; by day a picture's and a text's model")
@pytest.mark.parametrize("model", USED)
def test_models_of_all_lectures(browser, play, tmp_path, model):
    use, options = USED[model]
    page = Page(browser, play(fit(tmp_path, f"--model={model}", *SHORT, *options)))
    use(page, tmp_path)
    page.close()
