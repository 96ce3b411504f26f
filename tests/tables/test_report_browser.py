"""The report in a browser: what is pressed and read, at two widths, in both colours. Needs Debian's chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from wsss_lightning.tables.cells import Cell
from wsss_lightning.tables.collect import write_snapshot
from wsss_lightning.tables.report import write_report
from wsss_lightning.tables.results import Table

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (1400, 600)
# Contrast of text against the nearest background that is not transparent (WCAG 2.1, relative luminance).
CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (colour) => { const [r, g, b] = colour.map((v) => (v /= 255) <= .04045 ? v / 12.92
    : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = (element) => { const layers = [];
    for (let e = element; e; e = e.parentElement) layers.unshift(rgba(getComputedStyle(e).backgroundColor));
    return layers.reduce((under, [r, g, b, a]) => [r, g, b].map((v, i) => v * a / 255 + under[i] * (1 - a / 255)),
      matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255]); };
  const found = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !element.checkVisibility() || element instanceof SVGElement) continue;
    const style = getComputedStyle(element), [a, b] = [light(rgba(style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push(`${element.className} ${ratio.toFixed(2)} ${element.textContent.trim()}`);
  }
  return found;
}"""


SEEN = """() => {
  const focused = document.activeElement, before = focused.dataset.seen;
  focused.dataset.seen = 1;
  return before ? 0 : 1;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, headless."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")
    if (path := shutil.which("chromium")) is None:
        pytest.skip("no chromium is found: apt-get install chromium")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def report(
    cells: list[Cell],
    finish: Callable[..., np.ndarray],
    draw: Callable[..., None],
    collected: Callable[..., Table],
    root: Path,
) -> Path:
    """A report of two rows under two seeds, with pictures of twelve images, and curves."""
    for cell in cells:
        finish(cell)
    for cell in (cells[0], cells[2]):
        draw(cell.plan.final.folder, cell.row, count=12, size=(100, 75))
        logs = cell.plan.stages["classifier"].folder / "logs" / "version_0" / "metrics.csv"
        logs.parent.mkdir(parents=True)
        values = [f"0,{step},{1 / (step + len(cell.row))}" for step in range(0, 50, 10)]
        logs.write_text("\n".join(["epoch,step,train/loss", *values, ""]))
    write_snapshot(collected(notes=["reduced"]), root)
    return write_report(root)


@pytest.fixture
def faults() -> list[str]:
    """What a page asks of the network, and what it complains of; a test that ends with any has failed."""
    return []


@pytest.fixture
def opened(browser: Browser, report: Path, faults: list[str]) -> Iterator[Callable[..., Page]]:
    """Open the report at a width, in `light` or `dark`."""
    contexts = []

    def open_page(width: int, scheme: str = "light", *, scripts: bool = True) -> Page:
        size = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=scripts)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda asked: faults.append(asked.url) if not asked.url.startswith("data:") else None)
        page.goto(report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert set(faults) <= {report.as_uri()}


def _texts(page: Page, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_text_contents()]


def _ious(page: Page, row: int) -> list[float]:
    texts = _texts(page, f".panel:not([hidden]) .score[data-row='{row}']")
    return [float(text.split()[-1]) for text in texts]


def test_tables_sort_and_images_are_filtered_enlarged_and_faded(opened: Callable[..., Page]) -> None:
    page = opened(1400)
    names = ".results tbody th"
    assert _texts(page, names) == ["Top", "Diverse¹", "Printed only"]
    page.click(".results th:nth-child(3) button")  # ours, the highest first; a row without a number comes last
    assert _texts(page, names) == ["Diverse¹", "Top", "Printed only"]
    assert page.get_attribute(".results th:nth-child(3)", "aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert _texts(page, names) == ["Top", "Diverse¹", "Printed only"]
    classes = "#table-1-classes th:nth-child(2) button"
    page.click(classes)
    assert _texts(page, ".groups .of") == _texts(page, "#table-1-classes tbody th")

    assert _texts(page, "output") == ["6 of 12 images"] and len(_ious(page, 0)) == 6
    page.select_option("[data-use=order]", "worst")
    page.select_option("[data-use=row]", label="Diverse")
    shown = _ious(page, 1)
    assert shown == sorted(shown)
    page.click("[data-use=more]")
    everything = _ious(page, 1)
    assert len(everything) == 12 and everything == sorted(everything) and everything[:6] == shown
    page.select_option("[data-use=class]", "cat")
    assert _texts(page, ".panel:not([hidden]) .score")[0].startswith("IoU of cat")
    assert _ious(page, 1) == sorted(_ious(page, 1)) != everything

    page.locator("[data-use=over]").fill("25")
    label_map = page.locator(".panel:not([hidden]) .labels img").first
    assert label_map.evaluate("image => getComputedStyle(image).opacity") == "0.25"
    behind = page.locator(".panel:not([hidden]) .stack").first
    assert behind.evaluate("span => getComputedStyle(span).backgroundImage").startswith('url("data:image/jpeg')
    first, second = (page.locator(".panel:not([hidden])").nth(number).get_attribute("data-image") for number in (0, 1))
    page.locator(".panel:not([hidden]) .labels button").first.click()
    assert page.locator("#viewer").is_visible() and page.text_content(".said") == f"{first} · ground truth"
    assert page.locator(".stage img").bounding_box()["width"] > 400  # type: ignore[index]
    page.keyboard.press("ArrowDown")
    assert page.text_content(".said") == f"{second} · ground truth"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert re.fullmatch(rf"{second} · Top IoU of cat [\d.]+ · sampled points", page.text_content(".said") or "")
    page.keyboard.press("Escape")
    page.locator("#viewer").wait_for(state="hidden")
    # After "close"; a locator, since the page's policy forbids what `wait_for_function` evaluates.
    page.locator(f".panel[data-image='{second}'] :focus").wait_for()


def test_a_row_opens_what_stands_behind_it_and_curves_are_read_by_keys(opened: Callable[..., Page]) -> None:
    page = opened(600)
    page.click(".results a >> text=Diverse")
    details = page.locator("#table-1-row-2[open]")
    details.wait_for()
    assert "wsss run experiment=points/diverse" in details.inner_text()
    details.locator(".copy").first.click()
    details.locator(".copy", has_text=re.compile("^(copied|marked)$")).first.wait_for()
    chart = page.locator("svg.traced").first
    chart.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.text_content(".readout") == "at 10: Top 0.07692, Diverse 0.05882"


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_is_legible_in_both_colours(opened: Callable[..., Page], width: int, scheme: str) -> None:
    page = opened(width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.click("[data-use=more]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 27)"
    assert dark == (scheme == "dark")
    for other in ("light", "dark"):
        page.click("#theme")
        assert page.text_content("#theme") == f"colours: {other}"
        assert page.evaluate(CONTRAST) == []


@pytest.mark.long
@pytest.mark.parametrize("width", WIDTHS)
def test_every_control_is_named_and_reached_by_the_keyboard(opened: Callable[..., Page], width: int) -> None:
    page = opened(width)
    wanted = page.evaluate(
        "[...document.querySelectorAll('a, button, select, input, summary, [tabindex]')]"
        ".filter((each) => each.checkVisibility() && !each.closest('dialog')).length"
    )
    seen, outlines = 0, set()
    for _ in range(wanted):
        page.keyboard.press("Tab")
        seen += page.evaluate(SEEN)
        outlines.add(page.evaluate("getComputedStyle(document.activeElement).outlineStyle"))
    assert seen == wanted
    assert outlines <= {"solid", "auto"}
    tree = page.locator("body").aria_snapshot()
    assert not re.search(r"^\s*- (button|combobox|slider|link|img)(?: \[[^]]*\])*:?$", tree, re.MULTILINE)


@pytest.mark.long
def test_it_prints_light_without_controls_and_reads_without_scripts(
    opened: Callable[..., Page], faults: list[str]
) -> None:
    page = opened(1400, "dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light"
    assert not page.locator(".tools, #theme, .copy").filter(visible=True).count()
    assert page.pdf(format="A4")[:4] == b"%PDF"
    plain = opened(1400, scripts=False)
    assert plain.locator(".panel").filter(visible=True).count() == 12
    assert plain.locator("table.results").is_visible() and not plain.locator("div.tools").is_visible()
