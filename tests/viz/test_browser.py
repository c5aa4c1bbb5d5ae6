"""The report in a real browser: Chromium without a window, as Debian ships it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
import pytest

from outcrop.viz.exhibit import Exhibit
from outcrop.viz.labels import number
from outcrop.viz.report import write_exhibits
from outcrop.viz.server import ViewServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

Make = Callable[..., Any]
PATIENCE_MS = 60_000


@dataclass
class Visit:
    """A page, what it asked the network for, and what it complained of."""

    page: "Page"
    address: str
    frame: pd.DataFrame
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def layer(self, name: str) -> "Locator":
        return self.page.locator(f'#maps .layer[aria-label^="{name}"]')

    def cell(self, name: str, row: int, column: int) -> tuple[float, float]:
        """The middle of a cell in the window."""
        layer = self.layer(name)
        layer.scroll_into_view_if_needed()
        box = layer.bounding_box()
        assert box is not None
        sites, steps = self.frame["site"].nunique(), self.frame["step"].nunique()
        return box["x"] + (column + 0.5) * box["width"] / steps, box["y"] + (row + 0.5) * box["height"] / sites

    def found(self, name: str, row: int, column: int) -> pd.Series:
        """The row of the table behind a cell."""
        own = self.frame[
            (self.frame["property"] == name) & (self.frame["order"] == row) & (self.frame["step"] == column)
        ]
        return own.iloc[0]


def wait_until(page: "Page", condition: str) -> None:
    """Until a JavaScript expression holds; playwright's own way evaluates strings, which the page's policy forbids."""
    look = f"({condition}) ? done(true) : Date.now() > end ? done(false) : setTimeout(look, 20)"
    begun = f"const end = Date.now() + {PATIENCE_MS}; const look = () => {look}; look();"
    assert page.evaluate(f"new Promise((done) => {{ {begun} }})"), condition


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, exhibit: Exhibit) -> tuple[Path, pd.DataFrame]:
    """The report on seven sites and four steps."""
    return write_exhibits([exhibit], tmp_path_factory.mktemp("report") / "report.html"), exhibit.frame


def visit(browser: "Browser", written: tuple[Path | str, pd.DataFrame], **context: Any) -> Visit:
    place, frame = written
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(150_000)  # a busy machine is no fault of the page
    opened = Visit(page, place.as_uri() if isinstance(place, Path) else place, frame)
    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("console", lambda message: opened.complaints.append(message.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.goto(opened.address)
    return opened


def draw(opened: Visit) -> None:
    opened.page.locator("#maps-title").scroll_into_view_if_needed()
    opened.page.wait_for_selector("#maps[data-drawn]")


@pytest.fixture(scope="module")
def wide(browser: "Browser", written: tuple[Path, pd.DataFrame]) -> Iterator[Visit]:
    opened = visit(browser, written, viewport={"width": 1400, "height": 900})
    draw(opened)
    yield opened
    opened.page.context.close()


@pytest.fixture
def report(wide: Visit) -> Iterator[Visit]:
    """The page as it was first drawn."""
    yield wide
    if wide.page.locator("dialog[open]").count():
        wide.page.keyboard.press("Escape")
    wide.page.fill("#filter", "")
    wide.page.mouse.move(0, 0)
    wide.page.wait_for_selector("#maps[data-drawn]")
    # Whatever a test did: nothing left the page, and nothing went wrong.
    assert wide.requests == [wide.address]
    assert wide.complaints == []


def test_hovering_a_cell_tells_its_numbers(report: Visit) -> None:
    report.page.mouse.move(*report.cell("Style", 5, 1))
    told = report.page.locator(".tip").inner_text()
    row = report.found("style", 5, 1)
    assert told.startswith("up 1 · noise 75")
    assert "up_blocks.1" in told
    for name in ("accuracy", "chance", "control", "selectivity"):
        assert number(row[name]) in told
    assert f"{number(row['low'])} to {number(row['high'])}" in told
    assert "480" in told


def test_the_page_rounds_numbers_as_the_figures_do(report: Visit) -> None:
    values = [0, 0.125, 0.375, 0.625, 0.875, 0.015, 0.035, 0.97, 1, -0.125, -0.001]
    assert report.page.evaluate("(values) => values.map(number)", values) == [number(value) for value in values]


def test_a_majority_level_below_chance_has_no_place_on_the_scale(report: Visit) -> None:
    bar = "([majority, bottom]) => {{ const bar = colourBar({{ majority, bottom, top: 1 }}); return {}; }}"
    text, marks = bar.format("bar.textContent"), bar.format('bar.querySelectorAll(".majority").length')
    assert "majority .09, below chance" in report.page.evaluate(text, [0.09, 0.125])
    assert [report.page.evaluate(marks, [level, 0.125]) for level in (0.09, 0.2)] == [0, 1]


def test_a_click_opens_the_cell_with_its_plane_and_its_pictures(report: Visit) -> None:
    report.page.mouse.click(*report.cell("Style", 5, 1))
    dialog = report.page.locator("dialog[open]")
    assert dialog.locator("h2").inner_text() == "up 1 · noise 75"
    assert number(report.found("style", 5, 1)["accuracy"]) in dialog.locator("tr.chosen").inner_text()
    report.page.wait_for_selector('.plane[data-drawn="5,1"]')
    assert dialog.locator(".points .scatterlayer .trace").count() == 3
    assert dialog.locator(".points .scatterlayer .point").count() == 24
    assert dialog.locator(".examples h3").all_inner_texts() == [
        "Named rightly by this probe: style",
        "Named wrongly: style",
    ]
    assert dialog.locator(".examples .tile").count() == 12
    dialog.get_by_role("button", name="pictures").click()
    assert dialog.locator(".tiles .tile").count() >= 3
    dialog.get_by_role("button", name="later step").click()
    assert dialog.locator("h2").inner_text() == "up 1 · noise 50"


def test_the_keyboard_reaches_every_cell(report: Visit) -> None:
    layer = report.layer("Content")
    layer.focus()
    keys = report.page.keyboard
    keys.press("ArrowUp")
    for _ in range(7):
        keys.press("ArrowUp")
    keys.press("Home")
    seen = set()
    for _row in range(7):
        for column in range(4):
            seen.add(report.page.locator(".tip strong").inner_text())
            keys.press("ArrowRight" if column < 3 else "Home")
        assert report.page.locator(".unseen").inner_text().count("accuracy") == 1
        keys.press("ArrowDown")
    assert len(seen) == 28
    keys.press("Enter")
    assert report.page.locator("dialog[open] h2").inner_text() == "up 2 · noise 100"
    keys.press("Escape")
    assert report.page.locator("dialog[open]").count() == 0
    assert layer.evaluate("node => node === document.activeElement")


def test_the_filter_leaves_the_sites_and_properties_that_were_asked_for(report: Visit) -> None:
    report.page.fill("#filter", "up_bl*2")
    report.page.wait_for_selector('#maps .frame[data-drawn="1"]')
    assert report.page.locator("#count").inner_text() == "1 of 7 sites"
    assert report.page.locator("#maps .ytick text").all_text_contents() == ["up 2"]
    left = report.page.locator("tr[data-site]:not([hidden])").evaluate_all(
        "rows => rows.map((row) => row.dataset.site)"
    )
    assert set(left) == {"up 2 up_blocks.2"}
    report.page.fill("#filter", "")
    report.page.uncheck('#properties input[value="style"]')
    assert report.page.locator("#maps .part:not([hidden]) h3").all_inner_texts() == ["Content", "Layout"]
    report.page.check('#properties input[value="style"]')


def test_where_nothing_is_left_the_page_says_why(report: Visit) -> None:
    said = report.page.locator("[data-effects] > [role=status]")
    assert not said.is_visible()
    report.page.fill("#filter", "nowhere")
    assert said.inner_text() == "No place here has ‘nowhere’ in its name."
    assert report.page.locator("#maps > [role=status]").inner_text() == said.inner_text()
    report.page.fill("#filter", "")
    shown = report.page.locator("[data-effects] .part:not([hidden])")
    boxes = report.page.locator("#properties input")
    assert shown.count() > 0
    for box in boxes.all():
        box.uncheck()
    assert said.inner_text() == "None of the properties shown here is ticked above."
    assert shown.count() == 0
    for box in boxes.all():
        box.check()


def test_an_effect_opens_to_the_pictures_it_was_read_from(report: Visit) -> None:
    report.page.locator("[data-effects]").scroll_into_view_if_needed()
    report.page.wait_for_selector("[data-effects][data-drawn]")
    layer = report.page.locator('[data-effects] .layer[aria-label^="Style"]')
    layer.focus()
    report.page.keyboard.press("ArrowRight")
    report.page.keyboard.press("ArrowLeft")
    assert report.page.locator(".tip strong").inner_text() == "up 1 · steps 0–3"
    assert ".90" in report.page.locator(".tip").inner_text()
    report.page.keyboard.press("Enter")
    dialog = report.page.locator("#effect[open]")
    assert dialog.locator("h2").inner_text() == "Style: up 1 · steps 0–3"
    assert dialog.locator(".pair").count() == 2
    assert "A: a red disc\nB: a blue star" in dialog.locator(".pair").first.inner_text()
    report.page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert layer.evaluate("node => node === document.activeElement")


def test_a_script_in_a_prompt_is_shown_as_text(report: Visit) -> None:
    report.page.mouse.click(*report.cell("Layout", 0, 0))
    shown = report.page.locator("dialog[open] .examples figcaption").first.inner_text()
    assert shown.startswith("<script>window.hacked = 1</script><img src=x")
    assert report.page.evaluate("window.hacked") is None
    assert report.page.locator("dialog script, dialog img").count() == 0


def test_the_button_changes_between_light_and_dark(report: Visit) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    tick = "getComputedStyle(document.querySelector('.ytick text')).fill"
    light = report.page.evaluate(f"[{paper}, {tick}]")
    report.page.click("#theme")
    wait_until(report.page, f"{tick} !== '{light[1]}'")
    dark = report.page.evaluate(f"[{paper}, {tick}]")
    assert [light[0], dark[0]] == ["rgb(253, 253, 251)", "rgb(22, 23, 21)"]
    report.page.click("#theme")
    wait_until(report.page, f"{tick} === '{light[1]}'")


def test_a_dark_page_prints_on_white_with_its_figures(report: Visit) -> None:
    colours = "[...['background-color', 'color']].map((name) => getComputedStyle(document.body).getPropertyValue(name))"
    light = report.page.evaluate(colours)
    report.page.click("#theme")
    assert report.page.evaluate(colours) != light
    report.page.emulate_media(media="print", color_scheme="dark")
    assert report.page.evaluate(colours) == light
    assert report.page.locator('img[alt^="Heatmap"]').is_visible()
    assert not report.page.locator("#maps").is_visible()
    report.page.emulate_media(media="screen", color_scheme="light")
    report.page.click("#theme")


def test_a_dark_phone_needs_no_scrolling_to_the_side(browser: "Browser", written: tuple[Path, pd.DataFrame]) -> None:
    opened = visit(browser, written, viewport={"width": 390, "height": 800}, color_scheme="dark", has_touch=True)
    draw(opened)
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 23, 21)"
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    opened.page.touchscreen.tap(*opened.cell("Style", 2, 2))
    opened.page.wait_for_selector('.plane[data-drawn="2,2"]')
    assert opened.page.evaluate("document.querySelector('dialog').scrollWidth") <= 390
    assert opened.complaints == []
    opened.page.context.close()


def test_nothing_moves_when_maps_are_drawn_and_pictures_read(
    browser: "Browser", written: tuple[Path, pd.DataFrame]
) -> None:
    opened = visit(browser, written, viewport={"width": 1400, "height": 900})
    height = "document.documentElement.scrollHeight"
    before = opened.page.evaluate(height)
    draw(opened)
    opened.page.locator("[data-effects]").scroll_into_view_if_needed()
    opened.page.wait_for_selector("[data-effects][data-drawn]")
    opened.page.locator(".strip figure").last.scroll_into_view_if_needed()
    wait_until(opened.page, "[...document.querySelectorAll('.strip img')].at(-1).naturalWidth > 0")
    assert opened.page.evaluate(height) == before
    opened.page.context.close()


def test_maps_of_one_property_stand_side_by_side(browser: "Browser", tmp_path: Path, exhibit: Exhibit) -> None:
    other: Any = replace(cast(Any, exhibit.ds), uuid="another")
    page = write_exhibits([exhibit, Exhibit(other, exhibit.table)], tmp_path / "two.html")
    opened = visit(browser, (page, exhibit.frame), viewport={"width": 1400, "height": 900})
    draw(opened)
    parts = opened.page.locator("#maps .part").all()
    tops = [box["y"] for part in parts if (box := part.bounding_box())]
    titles = [part.locator("h3").inner_text().split()[0] for part in parts]
    assert titles == ["Content", "Content", "Style", "Style", "Layout", "Layout"]
    assert tops[::2] == tops[1::2]
    assert len(set(tops)) == 3
    assert opened.complaints == []
    opened.page.context.close()


def test_without_scripts_the_static_figures_show(browser: "Browser", written: tuple[Path, pd.DataFrame]) -> None:
    opened = visit(browser, written, java_script_enabled=False)
    assert opened.page.locator('img[alt^="Heatmap"]').is_visible()
    assert not opened.page.locator("#theme").is_visible()
    assert not opened.page.locator("#maps").is_visible()
    opened.page.context.close()


def test_a_served_page_asks_for_what_it_shows(browser: "Browser", server: ViewServer, exhibit: Exhibit) -> None:
    opened = visit(browser, (server.address, exhibit.frame), viewport={"width": 1400, "height": 900})
    draw(opened)
    opened.page.mouse.move(*opened.cell("Style", 5, 1))
    assert opened.page.locator(".tip strong").inner_text() == "up 1 · noise 75"
    assert opened.requests == [opened.address]
    opened.page.mouse.click(*opened.cell("Style", 5, 1))
    opened.page.wait_for_selector('.plane[data-drawn="5,1"]')
    assert opened.page.locator(".points .scatterlayer .point").count() == 24
    wait_until(
        opened.page, "[...document.querySelectorAll('.examples img')].every((image) => image.naturalWidth === 64)"
    )
    assert opened.page.locator(".examples img").count() == 12
    paths = [address.removeprefix(opened.address) for address in opened.requests[1:]]
    assert {"panel/0/5/1", "examples/0/1/5/1", "picture/0/1"} <= set(paths)
    assert all(address.startswith(opened.address) for address in opened.requests)
    assert opened.complaints == []
    opened.page.context.set_offline(True)
    opened.page.get_by_role("button", name="later step").click()
    opened.page.wait_for_selector(".trouble:not([hidden])")
    assert "Is outcrop view still running?" in opened.page.locator(".trouble").inner_text()
    opened.page.context.close()
