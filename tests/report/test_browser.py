"""The report in a real browser: Debian's chromium, driven by Playwright. Nothing is downloaded for it."""

import json
import shutil
from importlib.util import find_spec
from itertools import pairwise

import pytest
from reports import PANELS, losses, make_run, picture, write_csv

from dlplug.api import Page
from dlplug.report.page import write
from dlplug.runs import Run

pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium: apt-get install chromium"),
    pytest.mark.skipif(not find_spec("playwright"), reason="needs playwright: pip install playwright"),
    # Playwright's event loop is closed by the garbage collector where a test fails.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

HEAVY_FIGURES = [  # of plotly's, those that draw with WebGL among them
    {"type": "bar", "y": [1, 2]},
    {"type": "scattergl", "y": [1, 2]},
    {"type": "scatter3d", "x": [1, 2], "y": [1, 2], "z": [1, 2]},
    {"type": "heatmap", "z": [[1, 2], [3, 4]]},
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Where tests run as root, in a container, chromium's own sandbox cannot start.
        options = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """Open a page from the disk; at the end of the test nothing may have gone wrong or left the machine."""
    wrong, pages = [], []

    def visit(path, width=1280, height=900, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        pages.append(page)
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.route("**/*", lambda route: _only_from_disk(route, wrong))
        page.goto(path.as_uri())
        return page

    yield visit
    for page in pages:
        page.close()
    assert wrong == []


def _only_from_disk(route, wrong):
    if route.request.url.startswith(("file:", "data:", "blob:")):
        return route.continue_()
    wrong.append(route.request.url)
    return route.abort()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs with every kind of medium."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("one", "two"):
        run = make_run(folder / name, losses(), PANELS, monitor=["val/loss", "min"])
        write_csv(run / "test.csv", [{"epoch": 0, "step": 0, "test/loss": 2.5}])
        for step, colour in ((10, "red"), (20, "green"), (30, "blue")):
            picture(run / "media" / "samples" / f"{step:08d}.png", colour, f"all {colour}")
        for n, trace in enumerate(HEAVY_FIGURES):
            (run / "media" / f"figure {n}").mkdir()
            (run / "media" / f"figure {n}" / "00000001.json").write_text(json.dumps({"data": [trace], "layout": {}}))
        (run / "media" / "table").mkdir()
        wide = ",".join(f"a wide column {n}" for n in range(30))
        (run / "media" / "table" / "00000001.csv").write_text(f"{wide}\n{wide}\n")
        (run / "media" / "words").mkdir()
        (run / "media" / "words" / "00000001.txt").write_text("w" * 500)
    return folder


@pytest.fixture(scope="module")
def one(folder):
    return write([Run(folder / "one")], folder / "one.html")


@pytest.fixture(scope="module")
def both(folder):
    return write([Run(folder / "one"), Run(folder / "two")], folder / "both.html")


def until(page, condition):
    """Wait until a page says so; Playwright's own way to wait is an eval, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(condition)


def scroll(page):
    """Scroll through the page, so that all is drawn, and wait for it."""
    for chart in page.locator(".chart").all():
        if chart.is_visible():
            chart.scroll_into_view_if_needed()
    until(page, "!document.querySelector('.chart:not(:has(.main-svg, canvas))')")


def test_every_plot_and_figure_is_drawn_when_it_is_seen(visit, one):
    page = visit(one, height=500)
    page.wait_for_selector(".plot .main-svg")
    assert page.locator(".chart:not(:has(.main-svg))").count() > 2
    scroll(page)
    assert page.get_by_text("cannot be drawn").count() == 0
    assert page.locator(".gl-container canvas").count() > 0
    buttons = page.locator(".modebar-btn").evaluate_all("all => all.map(b => b.dataset.title)")
    assert "Reset axes" in buttons
    assert not [title for title in buttons if "cloud" in title.lower()]


def test_a_notebook_holds_the_page_compressed(visit, one, tmp_path):
    shown = Page(one)._repr_html_()
    assert len(shown) < one.stat().st_size / 2
    (tmp_path / "notebook.html").write_text(f"<!doctype html>{shown}")
    page = visit(tmp_path / "notebook.html").frame_locator("iframe")
    page.locator(".plot .main-svg").first.wait_for()
    assert page.locator("h1").inner_text()


def test_slider_changes_the_picture_and_the_step(visit, one):
    page = visit(one)
    viewer = page.locator(".viewer[data-key=samples]")
    slider = viewer.get_by_role("slider", name="Step of samples")
    shown = viewer.locator("img:visible")
    assert shown.get_attribute("alt") == "all blue"
    last = shown.get_attribute("src")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert viewer.locator("output").inner_text() == "step 20"
    assert slider.get_attribute("aria-valuetext") == "step 20"
    assert shown.count() == 1
    assert shown.get_attribute("alt") == "all green"
    assert shown.get_attribute("src") != last
    page.keyboard.press("Home")
    assert viewer.locator("output").inner_text() == "step 10"
    assert viewer.locator("figcaption:visible").inner_text() == "all red"
    assert shown.evaluate("image => image.complete && image.naturalWidth") == 16


def test_picture_grows_to_the_windows_size_and_back(visit, one):
    page = visit(one)
    picture = page.locator(".viewer[data-key=samples] img:visible")
    large = page.get_by_role("dialog", name="The picture, enlarged")
    picture.click()
    assert large.locator("img").get_attribute("alt") == "all blue"
    assert large.locator("img").evaluate("image => image.clientWidth") > 1200 > picture.evaluate("i => i.clientWidth")
    large.click()
    assert not large.is_visible()
    picture.press("Enter")
    assert large.is_visible()
    page.keyboard.press("Escape")
    assert not large.is_visible()


def test_each_run_has_its_own_slider(visit, both):
    page = visit(both)
    viewers = page.locator(".viewer[data-key=samples]")
    assert viewers.count() == 2
    viewers.nth(1).get_by_role("slider").fill("0")
    assert viewers.nth(1).locator("output").inner_text() == "step 10"
    assert viewers.nth(0).locator("output").inner_text() == "step 30"


def test_runs_have_colours_of_their_own(visit, both):
    page = visit(both)
    page.wait_for_selector(".plot .main-svg")
    lines = page.evaluate("document.querySelector('.plot').data.map(t => [t.name, t.line.color, t.line.dash])")
    assert len(lines) == 6
    assert len({(name, colour) for name, colour, _ in lines}) == 2
    assert [dash for _, _, dash in lines] == ["solid", "dash", "dot"] * 2
    swatches = page.locator(".swatch").evaluate_all("all => all.map(s => getComputedStyle(s).backgroundColor)")
    assert len(set(swatches)) == 2


def test_log_button_makes_every_y_axis_logarithmic(visit, one):
    page = visit(one)
    page.wait_for_selector(".plot .main-svg")
    kind = "[...document.querySelectorAll('.plot')].map(e => e._fullLayout?.yaxis.type).filter(Boolean)"
    assert set(page.evaluate(kind)) == {"linear"}
    button = page.get_by_role("button", name="Log y")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    scroll(page)  # those drawn later too
    assert set(page.evaluate(kind)) == {"log"}
    assert len(page.evaluate(kind)) == 2
    button.click()
    assert set(page.evaluate(kind)) == {"linear"}


def test_x_axis_is_called_as_the_model_says(visit, tmp_path):
    rows = [{**row, "train/env_steps": 8 * row["step"]} for row in losses()]
    page = visit(write([Run(make_run(tmp_path / "run", rows, axis="train/env_steps"))], tmp_path / "page.html"))
    page.wait_for_selector(".plot .main-svg")
    assert page.evaluate("document.querySelector('.plot')._fullLayout.xaxis.title.text") == "env_steps"


def test_what_does_not_change_is_drawn_above_zero(visit, tmp_path):
    rows = [{"epoch": 0, "step": n, "train/a": 24, "train/b": 1e-3, "train/c": n - 9} for n in range(9)]
    page = visit(write([Run(make_run(tmp_path / "run", rows))], tmp_path / "page.html"))
    scroll(page)
    ranges = "[...document.querySelectorAll('.plot')].map(e => e._fullLayout.yaxis.range.map(y => y / e.data[0].y[0]))"
    for low, high in page.evaluate(ranges)[:2]:
        assert low == 0
        assert 1 < high < 1.5
    page.get_by_role("button", name="Log y").click()
    types = page.evaluate("[...document.querySelectorAll('.plot')].map(e => e._fullLayout.yaxis.type)")
    assert types == ["log", "log", "linear"]  # what is below zero has no logarithm


def test_every_plot_is_on_paper_light_and_as_wide_as_there(visit, one):
    page = visit(one, height=500, scheme="dark")
    page.wait_for_selector(".plot .main-svg")
    undrawn = "document.querySelectorAll('.chart:not(:has(.main-svg, canvas))').length"
    assert page.evaluate(undrawn) > 2
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    until(page, f"!{undrawn}")
    wider = "e => e.querySelector('.main-svg') && e.querySelector('.main-svg').clientWidth > e.clientWidth"
    assert page.evaluate(f"[...document.querySelectorAll('.chart')].filter({wider}).length") == 0
    assert page.evaluate(LOOK)[0] > 700
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    until(page, f"({LOOK})()[0] < 150")
    assert not page.evaluate("document.documentElement.className")


def test_phones_navigation_shows_where_one_is(visit, one):
    page = visit(one, width=390, height=740)
    page.locator("#reproduce").scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    link = page.locator("nav a[aria-current]")
    until(page, "document.querySelector('nav a[aria-current]')?.textContent === 'Reproduce'")
    page.wait_for_timeout(300)
    box = link.bounding_box()
    assert 0 <= box["x"] <= 390 - box["width"]
    assert 0 <= box["y"] < 60


LOOK = """() => {
    const lightness = (colour) => Math.round(colour.match(/[0-9.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0));
    const text = document.querySelector(".plot .xtick text");
    return [lightness(getComputedStyle(document.body).backgroundColor), lightness(getComputedStyle(text).fill)];
}"""


def test_dark_is_the_systems_choice_until_the_button_is_pressed(visit, one):
    page = visit(one, scheme="dark")
    page.wait_for_selector(".plot .xtick text")
    button = page.get_by_role("button", name="Dark")
    dark = page.evaluate(LOOK)
    assert dark[0] < 150
    assert dark[1] > 400
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    until(page, f"({LOOK})()[1] < 350")
    light = page.evaluate(LOOK)
    assert light[0] > 700
    assert button.get_attribute("aria-pressed") == "false"
    page.emulate_media(color_scheme="light")
    button.click()
    until(page, f"({LOOK})()[1] > 400")
    assert page.evaluate(LOOK) == dark


@pytest.mark.parametrize("name", ["one", "both"])
def test_phone_does_not_scroll_sideways(visit, one, both, name):
    page = visit({"one": one, "both": both}[name], width=360, height=740)
    scroll(page)
    page.locator("summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    beyond = "e => e.getBoundingClientRect().right > 361 && !e.closest('.scroll, nav')"
    assert page.evaluate(f"[...document.querySelectorAll('main *, header *')].filter({beyond}).length") == 0


def test_keyboard_reaches_everything_and_focus_is_seen(visit, one):
    page = visit(one)
    page.wait_for_selector(".plot .main-svg")
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen += page.evaluate(
            """() => {
                const e = document.activeElement, style = getComputedStyle(e);
                const name = e.getAttribute("aria-label") || e.labels?.[0]?.innerText || e.innerText;
                return [[e.tagName, name.trim().split("\\n")[0], style.outlineStyle !== "none" && style.outlineWidth]];
            }"""
        )
        if seen[-1][0] == "SUMMARY":
            break
    names = {(tag, name) for tag, name, _ in seen}
    assert {("BUTTON", "Log y"), ("BUTTON", "Dark"), ("BUTTON", "Copy"), ("SUMMARY", "Configuration")} <= names
    assert {("A", "Losses"), ("INPUT", "Step of samples")} <= names
    assert all(outline for tag, _, outline in seen if tag != "BODY")
    assert all(name for tag, name, _ in seen if tag in ("A", "BUTTON", "INPUT"))
    page.keyboard.press("Enter")
    assert page.get_by_text("max_epochs: 4").is_visible()


def test_every_field_has_a_name_and_headings_do_not_skip(visit, both):
    page = visit(both)
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(h => Number(h.tagName[1]))")
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    for link in page.locator("nav a").all():
        assert page.locator(link.get_attribute("href")).count() == 1


def test_copy(visit, one):
    page = visit(one)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.get_by_role("button", name="Copy").first
    button.click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "dlplug fit --model net"


def test_what_a_run_says_is_never_run(visit, tmp_path):
    evil = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'>"
    panels = [{"section": evil, "title": evil, "note": evil, "curves": [evil, "b"], "media": ""}]
    rows = [{"epoch": 0, "step": n, f"train/{evil}": n, "train/b": n, f"val/{evil}": n} for n in range(3)]
    runs = [make_run(tmp_path / f"{evil.replace('/', '')}{n}", rows, panels, model={"name": evil}) for n in range(2)]
    figure = {"data": [{"type": "bar", "y": [1], "name": evil}], "layout": {"title": {"text": evil}}}
    (runs[0] / "media" / "f").mkdir(parents=True)
    (runs[0] / "media" / "f" / "00000001.json").write_text(json.dumps(figure))
    for n in (1, 2):
        page = visit(write([Run(run) for run in runs[:n]], tmp_path / f"{n}.html"))
        scroll(page)
        page.locator(".plot").first.hover(position={"x": 200, "y": 150})
        page.wait_for_timeout(200)
        assert page.evaluate("window.bad") is None
        assert page.locator("img").count() == 0


def test_a_page_of_a_run_that_trains_reloads_and_keeps_its_place(visit, tmp_path, monkeypatch):
    monkeypatch.setattr("dlplug.report.page.LIVE_SECONDS", 1)
    run = make_run(tmp_path / "run", losses())
    path = run / "report.html"
    write([Run(run)], path, "Training, epoch 1 of 2, about 9 s left")
    page = visit(path, height=300)
    assert "about 9 s left" in page.inner_text("#live")
    page.evaluate("scrollTo(0, 400)")
    write([Run(run)], path, "Training, epoch 2 of 2, about 4 s left")
    page.get_by_text("about 4 s left").wait_for(timeout=60_000)
    page.wait_for_load_state()
    assert page.evaluate("() => scrollY") == pytest.approx(400, abs=5)
    write([Run(run)], path)
    page.locator("#live").wait_for(state="detached", timeout=60_000)
