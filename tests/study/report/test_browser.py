"""The report in a real browser, the system's Chromium: what it loads, how it sorts, zooms, and fits."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.programs import find_program
from tests.study.report.page import SEEDS, whole_page

DESK, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_page(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium-browser") or shutil.which("google-chrome") or find_program("chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


@pytest.fixture
def open_page(browser: Browser, report: Path) -> Iterator:
    """Open the page at a size and in a color scheme; afterwards nothing may have been fetched or complained of."""
    contexts, complaints, requests = [], [], []

    def opened(size: tuple[int, int] = DESK, scheme: str = "light", touch: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, has_touch=touch
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()] * len(contexts)


def order(page: Page) -> list[str]:
    return page.eval_on_selector_all(".ranking tbody tr", "rows => rows.map(row => row.cells[1].textContent)")


def column(page: Page, index: int) -> list[str]:
    return page.eval_on_selector_all(".ranking tbody tr", f"rows => rows.map(row => row.cells[{index}].dataset.value)")


def test_it_is_small_and_shows_all_its_images(open_page, report: Path) -> None:
    assert report.stat().st_size < 15_000_000
    page = open_page()
    page.wait_for_function("[...document.querySelectorAll('.viewer img')].every(i => i.complete && i.naturalWidth)")


def test_a_table_sorts_by_click_and_by_keyboard_and_keeps_the_unknown_last(open_page) -> None:
    page = open_page()
    heads = page.locator(".ranking thead button")
    parameters = heads.all_text_contents().index("parameters")
    heads.nth(parameters).click()
    numbers = [float(v) for v in column(page, parameters) if v]
    assert numbers == sorted(numbers)
    assert column(page, parameters)[-1] == ""
    assert page.locator(".ranking th").nth(parameters).get_attribute("aria-sort") == "ascending"
    heads.nth(parameters).focus()
    page.keyboard.press("Enter")
    numbers = [float(v) for v in column(page, parameters) if v]
    assert numbers == sorted(numbers, reverse=True)
    assert column(page, parameters)[-1] == ""
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.closest('th').cellIndex") == parameters - 1
    heads.nth(1).click()
    assert order(page) == sorted(order(page), key=str.lower)
    heads.nth(0).click()
    assert order(page)[-1].startswith("gelu (diverged)"), "without a rank, so last"


def test_the_divider_moves_by_keyboard_and_by_pointer(open_page) -> None:
    page = open_page()
    stage = page.locator(".stage").first
    over = page.locator(".side.over").first
    clip = "e => parseFloat(getComputedStyle(e).clipPath.match(/([\\d.]+)%\\)?$/)[1])"
    stage.focus()
    assert stage.get_attribute("aria-valuenow") == "50"
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert stage.get_attribute("aria-valuenow") == "40"
    assert over.evaluate(clip) == pytest.approx(40)
    page.keyboard.press("End")
    assert over.evaluate(clip) == pytest.approx(100)
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 60)
    page.mouse.up()
    assert over.evaluate(clip) == pytest.approx(25, abs=1)


def test_all_panes_of_a_viewer_zoom_and_move_together(open_page) -> None:
    page = open_page()
    viewer = page.locator(".viewer").first
    images = viewer.locator(".pane img")
    matrices = "images => images.map(image => getComputedStyle(image).transform)"

    def transforms() -> list[list[float]]:
        found = images.evaluate_all(matrices)
        assert len(found) == 3
        assert len(set(found)) == 1, found
        return [float(v) for v in re.findall(r"-?[\d.]+(?:e-?\d+)?", found[0].partition("(")[2])]

    assert transforms()[0] == 1
    viewer.locator("button.in").click()
    viewer.locator("button.in").click()
    before = transforms()
    assert before[0] == before[3] == 4
    assert images.first.evaluate("e => getComputedStyle(e).imageRendering") == "pixelated"
    box = viewer.locator(".truth").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 125)
    page.mouse.up()
    after = transforms()
    assert (after[4] - before[4], after[5] - before[5]) == pytest.approx((40, 25), abs=1)
    viewer.locator(".stage").focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert transforms()[4] > after[4]
    page.keyboard.press("0")
    assert transforms() == [1, 0, 0, 1, 0, 0]
    other = page.locator(".viewer").nth(1).locator(".pane img").first
    assert other.evaluate("e => getComputedStyle(e).transform") == "matrix(1, 0, 0, 1, 0, 0)"


def test_models_are_chosen_per_side_and_error_maps_are_right(open_page) -> None:
    page = open_page()
    viewer = page.locator(".viewer").first
    viewer.locator("select.left").select_option("HR")
    viewer.locator("select.right").select_option("vanilla")
    assert viewer.locator(".tag.at-right").text_content().startswith("vanilla")
    viewer.locator("button.errors").click()
    page.wait_for_function(
        "['left', 'right'].every(s => document.querySelector(`.viewer img.${s}`).src.startsWith('data:image/png'))"
    )
    brightest = """async side => {
        const image = document.querySelector(`.viewer img.${side}`);
        await image.decode();
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        return Math.max(...context.getImageData(0, 0, canvas.width, 9).data.filter((_, i) => i % 4 !== 3));
    }"""
    assert page.evaluate(brightest, "left") == 0, "the original has no error"
    assert page.evaluate(brightest, "right") > 100
    assert viewer.locator(".scale").is_visible()
    viewer.locator("button.errors").click()
    page.wait_for_function("document.querySelector('.viewer img.left').src.startsWith('data:image/webp')")


def test_dark_mode_changes_the_colors_and_keeps_the_contrast(open_page) -> None:
    def luminances(page: Page) -> tuple[float, float]:
        found = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        channels = [[int(v) / 255 for v in re.findall(r"\d+", color)[:3]] for color in found]
        linear = [[c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb] for rgb in channels]
        ground, ink = (0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in linear)
        return ground, ink

    light, dark = (luminances(open_page(scheme=scheme)) for scheme in ("light", "dark"))
    assert light[0] > 0.8 > 0.2 > dark[0]
    for pair in (light, dark):  # WCAG 2, level AAA
        assert (max(pair) + 0.05) / (min(pair) + 0.05) > 7


def test_a_phone_shows_all_of_it_without_scrolling_sideways(open_page) -> None:
    page = open_page(PHONE, touch=True)
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    assert page.locator(".pareto .narrow").first.is_visible()
    assert not page.locator(".pareto .wide").first.is_visible()
    page.locator(".ranking .sorter select").select_option(label="parameters")
    numbers = [float(v) for v in column(page, 4) if v]
    assert numbers == sorted(numbers)
    small = page.eval_on_selector_all(
        ".narrow svg text, .forest svg text",
        "all => all.filter(t => t.getBoundingClientRect().height > 0 && t.getBoundingClientRect().height < 10).length",
    )
    assert small == 0, "letters must stay legible"


def test_buttons_choose_the_cost(open_page) -> None:
    page = open_page()
    visible = ".pareto .cost:not([hidden])"
    assert page.locator(visible).evaluate_all("all => all.map(one => one.dataset.cost)") == ["parameters"]
    page.locator(".pareto").get_by_role("button", name="time per image").focus()
    page.keyboard.press("Space")
    assert page.locator(visible).evaluate_all("all => all.map(one => one.dataset.cost)") == ["latency"]
    pressed = page.locator(".pareto button[aria-pressed=true]").all_text_contents()
    assert pressed == ["time per image"]
    assert page.locator(".pareto .dominated:visible").count() > 0


def test_curves_light_up_and_hide(open_page) -> None:
    page = open_page()
    name = page.locator(".legend button[data-variant=residual]")
    lit = ".curves .wide .run.lit"
    name.focus()
    assert page.locator(lit).evaluate_all("all => all.map(one => one.dataset.variant)") == ["residual"] * SEEDS
    assert "residual, lr 0.001, seed 2" in page.locator(".readout").text_content()
    page.keyboard.press("Enter")
    assert name.get_attribute("aria-pressed") == "false"
    assert page.locator(".curves .wide .run.off").count() == SEEDS
    page.locator(".curves .wide .run:not(.off) .end").last.hover()
    assert page.locator(lit).count() == 1


def test_paper_shows_every_cost_and_no_controls(open_page) -> None:
    page = open_page()
    page.emulate_media(media="print")
    assert page.locator(".pareto .cost:visible").count() == 5
    assert page.locator(".controls:visible").count() == 0
    assert page.pdf()[:5] == b"%PDF-"
